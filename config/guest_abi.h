/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a Godwit guest may rely on beyond the PC platform. Shared with tests/guests/kit; numbers here never change
 * meaning.
 *
 * Guests start by the PVH protocol (Xen "x86/HVM direct boot ABI"): 32-bit protected mode, paging off, flat segments,
 * %ebx = physical address of struct hvm_start_info, with the memory map and the command line.
 */
#pragma once

/* Hypervisor CPUID range: signature in EBX:ECX:EDX = "GodwitGodwit", EAX = highest leaf. */
#define GODWIT_CPUID_BASE 0x40000000
/* EAX = TSC frequency in kHz, EBX = LAPIC timer frequency in kHz (divide configuration 1). */
#define GODWIT_CPUID_TIMING 0x40000010

/*
 * The second hypervisor range is KVM's, for its paravirtual clock, steal time and EOI (Linux "KVM CPUID bits",
 * "KVM-specific MSRs"): EBX:ECX:EDX = "KVMKVMKVM". Guests find this range because they look at every 100h-th leaf.
 */
#define KVM_CPUID_BASE 0x40000100
#define KVM_CPUID_FEATURES 0x40000101
#define KVM_FEATURE_CLOCKSOURCE 0x1              /* clock MSRs at 11h and 12h */
#define KVM_FEATURE_NOP_IO_DELAY 0x2             /* ports need no recovery time */
#define KVM_FEATURE_CLOCKSOURCE2 0x8             /* clock MSRs at 4B564D00h and 4B564D01h */
#define KVM_FEATURE_STEAL_TIME 0x20              /* how long a vcpu was kept from running (dev/steal_time.h) */
#define KVM_FEATURE_PV_EOI 0x40                  /* an EOI may be a bit in memory (dev/pv_eoi.h) */
#define KVM_FEATURE_CLOCKSOURCE_STABLE (1 << 24) /* the clock is the same on all vcpus */
#define KVM_FEATURES                                                                                          \
    (KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_STEAL_TIME | \
     KVM_FEATURE_PV_EOI | KVM_FEATURE_CLOCKSOURCE_STABLE)

/*
 * Verdict port, write only, 1 to 4 bytes: ends the VM. 0 = PASS, anything else = FAIL with that code.
 * Our QEMU command lines give isa-debug-exit the same port and width, so that a kit guest runs on plain QEMU, too.
 */
#define GODWIT_VERDICT_PORT 0xF4

/* A guest's console: a 16550 at the PC's first serial port. */
#define GODWIT_CONSOLE_PORT 0x3F8

/*
 * Ticks a second of the guest's LAPIC timer at divide by 1. It is the same on every host, so that a guest that has
 * calibrated its timer may move.
 */
#define GODWIT_APIC_TIMER_HZ 1000000000ULL
