/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "backend"
#include "hv/backend.h"

#include <errno.h>

#include "host/cpu.h"
#include "host/log.h"
#include "host/panic.h"
#include "host/frame.h"

struct backend_features backend_features;
const struct backend *backend_in_use;

int backend_init(void)
{
    static const struct backend *const candidates[] = { &vmx_backend, &svm_backend };

    for (unsigned i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        int err = candidates[i]->init();

        if (err == -ENODEV)
            continue;
        if (err)
            return err;
        backend_in_use = candidates[i];
        backend_cpu_on();
        pr_info("%s", backend_in_use->name);
        return 0;
    }
    pr_err("this processor offers neither VT-x nor AMD-V: enable it in the firmware, or see docs/emulators.md");
    return -ENODEV;
}

void backend_cpu_on(void)
{
    struct cpu *cpu = this_cpu();

    cpu->backend_page = frame_alloc_page();
    if (!cpu->backend_page)
        panic("no memory for the backend's page of cpu%u", cpu->index);
    int err = backend_in_use->cpu_on();
    if (err)
        panic("%s: cpu%u refuses what the first processor accepted (error %d)", backend_in_use->name, cpu->index, -err);
}
