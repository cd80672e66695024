/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/world_cold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "config/digest.h"
#include "guest/load/images.h"
#include "host/bits.h"
#include "hv/guest_image.h"
#include "tests/unit/fake_kept.h"
#include "tests/unit/world.h"

static u32 has;
static u8 kernel[FAKE_KERNEL], initrd[FAKE_INITRD];

static struct guest_file file_of(const u8 *bytes, size_t len)
{
    return (struct guest_file){ .data = bytes, .size = len, .digest = digest_bytes(0, bytes, len) };
}

const struct guest_image *fake_image(void *vm)
{
    static struct guest_image image;

    (void)vm;
    for (unsigned i = 0; i < FAKE_KERNEL && !image.kernel.data; i++)
        kernel[i] = (u8)(i * i >> 3);
    memset(initrd, 'x', sizeof(initrd));
    image.kernel = file_of(kernel, sizeof(kernel));
    image.initrd = file_of(initrd, sizeof(initrd));
    return &image;
}

/* A file of the destination's own, or one that came. */
static const void *locate(const struct guest_file *wanted, const u8 *own, size_t len, bool here, const u8 *vm_id)
{
    return here && wanted->size == len && wanted->digest == digest_bytes(0, own, len) ? own : kept_find(wanted, vm_id);
}

/* Only the kernel is looked for. */
void image_locate(struct guest_image *image, const u8 *vm_id)
{
    const void *found = locate(&image->kernel, kernel, sizeof(kernel), has & 1, vm_id);

    image->kernel.data = found ? found : locate(&image->kernel, initrd, sizeof(initrd), has & 2, vm_id);
}

void world_files(u32 has_now, bool full)
{
    fake_kept_init(full);
    has = has_now;
}

void world_damage(void)
{
    kernel[FAKE_KERNEL - 1] ^= 1;
}

/* --- The guest -------------------------------------------------------------------------------------------------- */

/* What is kept is what was sent. */
static void assert_files_are_here(void)
{
    struct guest_image image = *fake_image(NULL), second = { .kernel = image.initrd };

    image_locate(&image, world_id);
    image_locate(&second, world_id);
    assert_memory_equal(image.kernel.data, kernel, sizeof(kernel));
    assert_memory_equal(second.kernel.data, initrd, sizeof(initrd));
}

int fake_shut_down(void *ctx)
{
    struct fake_vm *vm = ctx;

    if (vm->world->shuts_down > 0)
        return vm->world->shuts_down--, -EAGAIN;
    if (vm->world->shuts_down < 0)
        return vm->world->shuts_down;
    vm->running = false;
    vm->off = true;
    return 0;
}

void fake_definition(void *ctx, unsigned index, struct wire_section *section, struct codec *c)
{
    struct fake_vm *vm = ctx;

    if (index > 0) {
        codec_refuse(c, -ENOENT, "there is one section");
        return;
    }
    if (!c->restoring)
        strcpy(section->name, "vm");
    codec_version(c, 1);
    codec_u64(c, &vm->resets);
    vm->restored += codec_restored(c);
}

enum wire_code fake_defined(void *vm, char reason[WIRE_REASON])
{
    strcpy(reason, "its section is missing");
    return ((struct fake_vm *)vm)->restored == 1 ? WIRE_OK : WIRE_E_STATE;
}

bool fake_start(void *ctx, bool on, u64 down_ns)
{
    struct fake_vm *vm = ctx;

    assert_true(vm->exists && !vm->running && !vm->world->source_vm.running);
    assert_int_equal(vm->resets, vm->world->source_vm.resets);
    assert_files_are_here();
    vm->running = on && !vm->world->stays_off;
    vm->off = !vm->running;
    vm->paused_ns = down_ns;
    return vm->running;
}

bool fake_files_here(void *ctx)
{
    struct guest_image image = *fake_image(NULL), second = { .kernel = image.initrd };
    struct fake_vm *vm = ctx;

    image_locate(&image, world_id);
    image_locate(&second, world_id);
    vm->filed = image.kernel.data && second.kernel.data;
    if (vm->filed)
        assert_files_are_here();
    return vm->filed;
}
