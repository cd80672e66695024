/* SPDX-License-Identifier: BSD-2-Clause */
/* Attacks that a guest does not survive, one for each boot: only the VM is to end, with its reason in the status. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/string.h"

#define GARBAGE 0x20000 /* of real mode: a segment's worth */
#define GARBAGE_SIZE 0x10000

static void lidt_empty(void)
{
    struct table_pointer none = { 0, 0 };

    asm volatile("lidt %0" : : "m"(none));
}

void attack_triple(void)
{
    lidt_empty();
    asm volatile("ud2");
}

void attack_hltoff(void)
{
    asm volatile("cli; hlt");
}

void attack_mmioexec(void)
{
    ((void (*)(void))HOLE)();
}

/* The tables read as ones, which sets reserved bits. */
void attack_pagetables(void)
{
    write_cr3(HOLE);
    (void)*(volatile u64 *)0x5000;
}

/* The frame of the exception would go where no memory is. */
void attack_stack(void)
{
    asm volatile("mov %0, %%rsp; ud2" : : "r"(HOLE + 0x1000));
}

void attack_loop(void)
{
    asm volatile("1: jmp 1b");
}

void attack_descriptor(void)
{
    memset(kit_idt, 0, sizeof(kit_idt));
    asm volatile("int $0x70");
}

/* Without an IDT the first exception is the last. */
void attack_realmode_garbage(void)
{
    for (u32 i = 0; i < GARBAGE_SIZE; i += 4)
        *(volatile u32 *)(u64)(GARBAGE + i) = random32();
    real_call(real_garbage);
}

/* EFER.LME and CR0.PG without CR4.PAE: #GP, in a mode without an IDT. */
void attack_lme(void)
{
    protected_call(lme_paging_without_pae);
}

/* An access that no driver makes and our decoder does not know. */
void attack_mmio_vector(void)
{
    write_cr4(read_cr4() | CR4_OSFXSR);
    asm volatile("movdqu (%0), %%xmm0" : : "r"(HOLE));
}
