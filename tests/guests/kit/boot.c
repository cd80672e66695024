/* SPDX-License-Identifier: BSD-2-Clause */
/* The C entry: reads struct hvm_start_info before anything can overwrite it, sets the machine up, runs the guest. */
#include "tests/guests/kit/boot.h"

#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "tests/guests/kit/trap.h"
#include "config/guest_abi.h"
#include "host/bits.h"

#define START_MAGIC 0x336EC578
#define HYPERVISOR_PRESENT BIT(31) /* CPUID.1:ECX */

/* Xen "x86/HVM direct boot ABI". */
struct hvm_start_info {
    u32 magic, version, flags, nr_modules;
    u64 modules, cmdline, rsdp;
    u64 memmap; /* from version 1 on */
    u32 nr_memmap, reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "struct hvm_start_info, version 1");

struct hvm_memmap_entry {
    u64 base, size;
    u32 kind, reserved;
};
_Static_assert(sizeof(struct hvm_memmap_entry) == 24, "struct hvm_memmap_table_entry");

_Noreturn void kit_main(const struct hvm_start_info *info);

struct boot boot;

static void memory_read(const struct hvm_start_info *info)
{
    const struct hvm_memmap_entry *entry = (const void *)info->memmap;

    if (info->version == 0 || !info->memmap) {
        /* Without a map only our own image is known to be RAM. */
        boot.region[boot.nr_regions++] = (struct memory_region){ (u64)image_start, (u64)image_end - (u64)image_start,
                                                                 MEMORY_RAM };
        return;
    }
    for (; boot.nr_regions < MIN(info->nr_memmap, BOOT_MAX_REGIONS); boot.nr_regions++, entry++)
        boot.region[boot.nr_regions] = (struct memory_region){ entry->base, entry->size, entry->kind };
}

static void machine_read(void)
{
    struct cpuid c = cpuid(0, 0);

    memcpy(boot.vendor, (u32[]){ c.ebx, c.edx, c.ecx }, 12);
    if (!(cpuid(1, 0).ecx & HYPERVISOR_PRESENT))
        return;
    c = cpuid(GODWIT_CPUID_BASE, 0);
    memcpy(boot.hypervisor, (u32[]){ c.ebx, c.ecx, c.edx }, 12);
    boot.godwit = strcmp(boot.hypervisor, "GodwitGodwit") == 0;
}

void kit_main(const struct hvm_start_info *info)
{
    bool valid = info->magic == START_MAGIC;

    if (valid) {
        const char *cmdline = (const char *)info->cmdline;

        if (cmdline)
            memcpy(boot.cmdline, cmdline, MIN(strlen(cmdline), sizeof(boot.cmdline) - 1));
        memory_read(info);
    }
    modes_init();
    trap_init();
    machine_read();
    clock_init();
    if (!valid)
        report("the start info has its magic number", false);
    guest_main();
    report_end();
}

bool boot_option(const char *key, char *value, size_t size)
{
    size_t length = strlen(key);
    const char *p = boot.cmdline;

    while (*p) {
        size_t n = 0;

        while (p[n] && p[n] != ' ')
            n++;
        if (n > length && strncmp(p, key, length) == 0 && p[length] == '=') {
            n = MIN(n - length - 1, size - 1);
            memcpy(value, p + length + 1, n);
            value[n] = '\0';
            return true;
        }
        p += n;
        while (*p == ' ')
            p++;
    }
    return false;
}

bool boot_is_ram(u64 base, u64 size)
{
    for (u32 i = 0; i < boot.nr_regions; i++) {
        const struct memory_region *r = &boot.region[i];

        if (r->kind == MEMORY_RAM && base >= r->base && base + size <= r->base + r->size)
            return true;
    }
    return false;
}

u64 boot_ram_end(u64 limit)
{
    u64 end = 0;

    for (u32 i = 0; i < boot.nr_regions; i++) {
        const struct memory_region *r = &boot.region[i];

        if (r->kind == MEMORY_RAM && r->base < limit)
            end = MAX(end, MIN(limit, r->base + r->size));
    }
    return end;
}
