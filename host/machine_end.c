/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ending the machine.
 *
 * QEMU (TCG and KVM) says who it is by CPUID; its isa-debug-exit device ends it with status value << 1 | 1. Bochs has
 * no such leaf: it is the one 64-bit machine without a hypervisor's signature that has Intel's 440FX of 1996.
 */
#include "host/machine_end.h"

#include "host/asm.h"
#include "host/serial.h"
#include "host/smp.h"
#include "host/x86.h"
#include "host/log.h"

#define QEMU_EXIT_PORT 0xF4
#define QEMU_EXIT_BASE 0x10 /* tells an end of ours from QEMU's own 0 and 1 */

#define PCI_ADDRESS 0xCF8
#define PCI_DATA 0xCFC
#define PCI_ENABLE BIT(31) /* bus 0, device 0, function 0, register 0 */
#define PCI_ID_440FX 0x12378086

#define BOCHS_PORT 0x8900
#define BOCHS_BREAK 'D' /* back to the debugger, whose next command ends Bochs with status 0 */

enum machine { MACHINE_REAL, MACHINE_QEMU, MACHINE_BOCHS };

static bool halt_at_end;

static enum machine machine_detect(void)
{
    if (cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR) {
        u32 name = cpuid(CPUID_HYPERVISOR, 0).ebx;

        return name == CPUID_NAME_TCG || name == CPUID_NAME_KVM ? MACHINE_QEMU : MACHINE_REAL;
    }
    outl(PCI_ADDRESS, PCI_ENABLE);
    return inl(PCI_DATA) == PCI_ID_440FX ? MACHINE_BOCHS : MACHINE_REAL;
}

void machine_set_halt(bool halt)
{
    halt_at_end = halt;
}

void machine_end(enum end_status status)
{
    log_flush();
    log_set_level(LOG_INFO); /* the runner waits for this line, whatever the configuration says */
    pr_info("end status=%d", status);
    serial_flush();
    if (!halt_at_end) {
        switch (machine_detect()) {
        case MACHINE_QEMU: outb(QEMU_EXIT_PORT, QEMU_EXIT_BASE + status); break;
        case MACHINE_BOCHS: outb(BOCHS_PORT, BOCHS_BREAK); break;
        case MACHINE_REAL: break;
        }
    }
    smp_stop_others();
    halt_forever();
}
