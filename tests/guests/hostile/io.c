/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports, string I/O and MSRs that belong to nobody. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "dev/platform_map.h"
#include "config/guest_abi.h"
#include "host/bits.h"

/* Exits are slow where all is emulated: all ports that a PC has are tried, and of those beyond one in so many, so that
   each width meets every offset in a word. */
#define PC_PORTS 0x1000
#define STEP 13
#define RANDOM_MSRS 200

/* Ports of devices that a guest has; they are left alone, with the three ports below that a wide access reaches. */
static const struct {
    u16 first, last;
} known[] = {
    { GODWIT_VERDICT_PORT, GODWIT_VERDICT_PORT + 3 },
    { GODWIT_CONSOLE_PORT, GODWIT_CONSOLE_PORT + 7 },
    { 0x20, 0x21 },   /* 8259 */
    { 0xA0, 0xA1 },   /* the second 8259 */
    { 0x4D0, 0x4D1 }, /* edge or level */
    { 0x40, 0x43 },   /* 8254 */
    { 0x61, 0x61 },   /* its gate */
    { 0x64, 0x64 },   /* reset */
    { 0x70, 0x71 },   /* CMOS clock */
    { ACPI_PM1A_EVENT_PORT, ACPI_PM1A_EVENT_PORT + 3 },
    { ACPI_PM1A_CONTROL_PORT, ACPI_PM1A_CONTROL_PORT + 1 },
    { ACPI_PM_TIMER_PORT, ACPI_PM_TIMER_PORT + 3 },
    { ACPI_GPE0_PORT, ACPI_GPE0_PORT + 1 },
    { RESET_PORT & ~7, RESET_PORT | 7 }, /* and PCI's configuration */
};

static u8 page[2 * PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static bool is_known(u32 port)
{
    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (port + 3 >= known[i].first && port <= known[i].last)
            return true;
    return false;
}

/* In all three widths by turns. */
static bool reads_ones(u16 port)
{
    switch (port % 3) {
    case 0: return inb(port) == 0xFF;
    case 1: return inw(port) == 0xFFFF;
    default: return inl(port) == ~0U;
    }
}

static void write_random(u16 port)
{
    u32 value = random32();

    switch (port % 3) {
    case 0: outb(port, (u8)value); break;
    case 1: outw(port, (u16)value); break;
    default: outl(port, value);
    }
}

static u32 next_port(u32 port)
{
    return port + (port < PC_PORTS ? 1 : STEP);
}

void attack_ports(void)
{
    unsigned wrong = 0;

    if (!on_godwit("all"))
        return;
    for (u32 port = 0; port < 0x10000; port = next_port(port))
        if (!is_known(port))
            wrong += !reads_ones((u16)port);
    report_equal("ports that do not read as ones", wrong, 0);
    for (u32 port = 0; port < 0x10000; port = next_port(port))
        if (!is_known(port))
            write_random((u16)port);
    report("writes go nowhere", reads_ones(0x80) && reads_ones(0xFFFF));
}

/* All that the timers and the interrupt controllers have, but for what ends or resets the machine. */
static const u16 chip_ports[] = { 0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1, 0x40,  0x41,  0x42,
                                  0x43, 0x61, 0x70, 0x71, 0x600, 0x601, 0x602, 0x603, 0x608 };

#define CHIP_ROUNDS 1500
#define IOAPIC_DELIVERY 0x700U /* fixed: not an INIT to ourselves */

/* Nonsense into every register, by every width; interrupts of any vector would be our own doing, so they are off. */
void attack_chips(void)
{
    volatile u32 *ioapic = (u32 *)IOAPIC_BASE;

    if (!on_godwit("all"))
        return;
    for (unsigned i = 0; i < CHIP_ROUNDS; i++) {
        u16 port = chip_ports[random32() % ARRAY_SIZE(chip_ports)];

        if (port < 0x600)
            write_random(port);
        else
            outb(port, (u8)random32()); /* a wide one would reach the sleep control */
        reads_ones(port);
        ioapic[0] = random32() & 0x3F;
        ioapic[4] = random32() & ~IOAPIC_DELIVERY;
        ioapic[16] = random32() & 0xFF;
    }
    for (unsigned i = 0; i < 24; i++) {
        ioapic[0] = 0x10 + 2 * i;
        ioapic[4] = 0x10000; /* masked */
    }
    outb(0x43, 0x30);
    outb(0x21, 0xFF);
    outb(0xA1, 0xFF);
    report("the chips take anything", ioapic[4] == 0x10000);
}

#define WILD_PORT 0x1234

static void ins(void *to, u64 count)
{
    asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(WILD_PORT) : "memory");
}

static void ins_to(u64 address)
{
    ins((void *)address, 1);
}

static void ins_across(u64 address)
{
    ins((void *)address, 16);
}

static void outs_from(u64 address)
{
    u64 count = 1;

    asm volatile("rep outsb" : "+S"(address), "+c"(count) : "d"(WILD_PORT) : "memory");
}

/* The instruction's memory operand faults though the hypervisor does the access. */
void attack_strings(void)
{
    struct fault f;
    u8 ones[64];

    memset(ones, 0xFF, sizeof(ones));
    memset(page, 0, sizeof(page));
    ins(page + PAGE_SIZE - 32, 64);
    if (on_godwit("rep ins across pages"))
        report("rep ins across pages",
               memcmp(page + PAGE_SIZE - 32, ones, 64) == 0 && page[PAGE_SIZE + 32] == 0 && page[PAGE_SIZE - 33] == 0);
    page[0] = 0x55;
    ins(page, 0);
    report_equal("rep ins of nothing", page[0], 0x55);

    f = fault_catch(ins_to, PAGING_TEST + 5);
    report_error("ins to no page", f, X86_PF, PF_W);
    report_equal("ins to no page, address", f.cr2, PAGING_TEST + 5);
    f = fault_catch(outs_from, PAGING_TEST + 6);
    report_error("outs from no page", f, X86_PF, 0);
    report_equal("outs from no page, address", f.cr2, PAGING_TEST + 6);
    report_error("ins to a non-canonical address", fault_catch(ins_to, BIT(63)), X86_GP, 0);

    page_map(PAGING_TEST, (u64)page, LEVEL_4K, PTE_P);
    report_error("ins to a read-only page", fault_catch(ins_to, PAGING_TEST), X86_PF, PF_P | PF_W);
    page_map(PAGING_TEST, (u64)page, LEVEL_4K, PTE_P | PTE_W);
    f = fault_catch(ins_across, PAGING_TEST + PAGE_SIZE - 8);
    report_error("rep ins that runs off a page", f, X86_PF, PF_W);
    report_equal("rep ins that runs off a page, address", f.cr2, PAGING_TEST + PAGE_SIZE);
    page_unmap(PAGING_TEST, LEVEL_4K);
}

static void msr_read(u64 index)
{
    rdmsr((u32)index);
}

static void msr_write(u64 index)
{
    wrmsr((u32)index, 0x123456789ABCDEF0);
}

/* A base that no address can be: refused, or of no consequence until it is used. */
static void msr_noncanonical(u64 index)
{
    wrmsr((u32)index, BIT(63));
    cpuid(0, 0);
}

static void base_attack(const char *name, u32 index)
{
    struct fault f = fault_catch(msr_noncanonical, index);

    report(name, f.vector == X86_GP || f.vector == FAULT_NONE);
    wrmsr(index, 0);
}

/* A processor without virtualization has none of these. */
static const u32 absent[] = { 0x480, 0x481, 0x48D, 0x491, 0xC0010117, 0x40000000, 0xDEADBEEF, 0xFFFFFFFF };

void attack_msrs(void)
{
    unsigned wrong = 0;

    base_attack("FS base, non-canonical", MSR_FS_BASE);
    base_attack("LSTAR, non-canonical", MSR_LSTAR);
    if (!on_godwit("absent MSRs"))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
        report_error("read of an absent MSR", fault_catch(msr_read, absent[i]), X86_GP, 0);
        report_error("write of an absent MSR", fault_catch(msr_write, absent[i]), X86_GP, 0);
    }
    for (unsigned i = 0; i < RANDOM_MSRS; i++) {
        u32 index = random32() | 0x10000; /* not one of the low ones, of which a guest has some */

        if (index >= 0xC0000000 && index < 0xC0020000)
            continue;
        wrong += fault_catch(msr_read, index).vector != X86_GP;
        wrong += fault_catch(msr_write, index).vector != X86_GP;
    }
    report_equal("wild MSRs that do not fault", wrong, 0);
}
