/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to physical memory that is not there, in every width across every edge; and the LAPIC's rough side. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

static const u64 holes[] = { HOLE, 0xE0000004, 0xFEC01000, 0xFED00000, 0xFEE01000, 0xFEDFFFF8, 0xFFFFFFF0 };

static u64 read_width(u64 address, unsigned width)
{
    switch (width) {
    case 1: return *(volatile u8 *)address;
    case 2: return *(volatile u16 *)address;
    case 4: return *(volatile u32 *)address;
    default: return *(volatile u64 *)address;
    }
}

static void write_width(u64 address, unsigned width, u64 value)
{
    switch (width) {
    case 1: *(volatile u8 *)address = (u8)value; break;
    case 2: *(volatile u16 *)address = (u16)value; break;
    case 4: *(volatile u32 *)address = (u32)value; break;
    default: *(volatile u64 *)address = value;
    }
}

static bool hole_right(u64 address)
{
    bool right = true;

    for (unsigned width = 1; width <= 8; width *= 2) {
        write_width(address, width, 0x1122334455667788);
        right = right && read_width(address, width) == size_mask(width);
    }
    return right;
}

/* The last bytes of RAM and the first behind it, in one access. */
static void edge_of_ram(void)
{
    u64 end = align_down(boot_ram_end(GiB(4)), PAGE_SIZE);

    *(volatile u16 *)(end - 2) = 0x1234;
    report_equal("a read that leaves RAM", read_width(end - 2, 4), 0xFFFF1234);
    write_width(end - 2, 4, 0xAAAA5678);
    report_equal("a write that leaves RAM", read_width(end - 2, 4), 0xFFFF5678);
}

void attack_mmio(void)
{
    if (!on_godwit("all"))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(holes); i++)
        report("a hole reads as ones", hole_right(holes[i]));
    for (u64 address = HOLE + PAGE_SIZE - 7; address < HOLE + PAGE_SIZE; address++)
        report("across two pages of a hole", hole_right(address));
    edge_of_ram();
}

static unsigned unwanted;

static void unwanted_handler(struct trap_frame *frame)
{
    (void)frame;
    unwanted++;
}

/* Reserved registers take writes of all ones without a trace. */
static void reserved_registers(void)
{
    static const u16 reserved[] = { 0x010, 0x040, 0x070, 0x0C0, 0x290, 0x3F0, 0x400, 0xFF0 };

    for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
        *lapic_mmio(reserved[i]) = ~0U;
    report_equal("the TPR after writes of reserved registers", lapic_read(LAPIC_TPR), 0);
}

static void every_read(void)
{
    u64 sum = 0;

    for (u32 offset = 0; offset < PAGE_SIZE; offset += 4)
        sum += read_width(LAPIC_BASE + offset, 1U << (offset / 4 % 4));
    for (u32 offset = 1; offset < PAGE_SIZE; offset += 0x83)
        sum += read_width(LAPIC_BASE + offset, 4);
    report("reads of every register in every width", sum != 0);
}

/* Vectors below 16 are not interrupts: they must not come as the exceptions of those numbers. */
static void illegal_vectors(void)
{
    trap_handle(X86_BP, unwanted_handler);
    trap_handle(X86_OF, unwanted_handler);
    lapic_self_ipi(X86_BP);
    lapic_timer(X86_OF, 0, 10);
    sti();
    clock_spin(1000);
    cli();
    lapic_timer_stop();
    trap_handle(X86_BP, NULL);
    trap_handle(X86_OF, NULL);
    report_equal("interrupts with the vectors of exceptions", unwanted, 0);
}

void attack_lapic(void)
{
    lapic_enable();
    reserved_registers();
    every_read();
    if (on_godwit("interrupts with the vectors of exceptions"))
        illegal_vectors();
    lapic_write(LAPIC_ICR_HIGH, 0x7F000000);
    lapic_write(LAPIC_ICR, ICR_ASSERT | 0x77);
    report("an interrupt to a processor that is not there", true);
}
