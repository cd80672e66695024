/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's processors by EFI_MP_SERVICES_PROTOCOL, which gnu-efi does not declare. */
#include "boot/cpus.h"

#include <assert.h>
#include <cpuid.h>
#include <efi.h>
#include <efilib.h>

/* PI Specification 2 "EFI_MP_SERVICES_PROTOCOL". */
#define MP_SERVICES_GUID                                   \
    {                                                      \
        0x3fdda605, 0xa76e, 0x4f46,                        \
        {                                                  \
            0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 \
        }                                                  \
    }

#define PROCESSOR_AS_BSP 0x1
#define PROCESSOR_ENABLED 0x2
#define PROCESSOR_HEALTHY 0x4

struct processor_info {
    uint64_t id; /* the local APIC's */
    uint32_t status;
    uint32_t location[3]; /* package, core, thread */
    uint32_t extended[6]; /* PI 1.7: a finer location */
};
static_assert(sizeof(struct processor_info) == 48, "PI EFI_PROCESSOR_INFORMATION");

/* The members up to the last of the two that are called here. */
struct mp_services {
    EFI_STATUS(EFIAPI *get_number)(struct mp_services *, UINTN *total, UINTN *enabled);
    EFI_STATUS(EFIAPI *get_info)(struct mp_services *, UINTN number, struct processor_info *);
};

static uint32_t boot_apic_id(void)
{
    uint32_t eax, ebx = 0, ecx, edx;

    __get_cpuid(1, &eax, &ebx, &ecx, &edx); /* SDM 2A "CPUID": initial APIC ID in EBX[31:24] */
    return ebx >> 24;
}

/* Append a processor; the boot processor takes the first place instead. */
static void cpu_add(struct boot_info *boot_info, const struct processor_info *info)
{
    const uint32_t needed = PROCESSOR_ENABLED | PROCESSOR_HEALTHY;

    if (info->status & PROCESSOR_AS_BSP)
        boot_info->apic_id[0] = (uint32_t)info->id;
    else if ((info->status & needed) == needed && boot_info->nr_cpus < BOOT_INFO_MAX_CPUS)
        boot_info->apic_id[boot_info->nr_cpus++] = (uint32_t)info->id;
}

void cpus_find(struct boot_info *boot_info)
{
    EFI_GUID guid = MP_SERVICES_GUID;
    struct mp_services *mp;
    UINTN total, enabled;
    EFI_STATUS status;

    boot_info->nr_cpus = 1;
    boot_info->apic_id[0] = boot_apic_id();
    status = BS->LocateProtocol(&guid, NULL, (void **)&mp);
    if (!EFI_ERROR(status))
        status = mp->get_number(mp, &total, &enabled);
    if (EFI_ERROR(status)) {
        Print(L"warning: the firmware has no MP services, only the boot processor is used [%r]\n", status);
        return;
    }
    for (UINTN i = 0; i < total; i++) {
        struct processor_info info = { 0 };

        if (!EFI_ERROR(mp->get_info(mp, i, &info)))
            cpu_add(boot_info, &info);
    }
    if (enabled > boot_info->nr_cpus)
        Print(L"warning: %ld processors, %d used\n", (uint64_t)enabled, boot_info->nr_cpus);
}
