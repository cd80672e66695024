/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* Nested page faults (docs/exits.md "Nested page faults"): what is a device's, what was a stale translation, and what
 * ends a VM, or only a program in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/fixup.h"
#include "tests/unit/guest_rig.h"

#define OFF 0x40

static struct exit fault(gpa_t gpa, bool write, bool fetch, bool walk)
{
    return (struct exit){ .kind = EXIT_NPF, .u.npf = { .gpa = gpa, .write = write, .fetch = fetch, .walk = walk } };
}

/* The guest executes this code, which accesses the device; RDI points to it. Returns as guest_exits. */
static int code_at(const void *code, size_t len, gpa_t gpa, bool write, bool skips)
{
    const struct exit exit = fault(gpa, write, false, false);

    guest_poke(RIG_CODE, code, len);
    rig.vcpu->regs[RDI] = gpa;
    int vector = guest_exits(&exit, skips);

    assert_int_equal(rig.vcpu->rip, RIG_CODE + (skips ? len : 0));
    return vector;
}
#define CODE(gpa, write, skips, ...) \
    code_at((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }), gpa, write, skips)

static void ring3(void)
{
    rig.state->seg[SEG_SS].attr |= 3 << 5;
}

static void assert_ends(const char *reason)
{
    if (!strstr(rig.end, reason))
        fail_msg("ended by \"%s\", not \"%s\"", rig.end, reason);
    assert_int_equal(rig.vm.status, VM_CRASHED);
    rig.end[0] = 0;
    rig.vm.status = VM_RUNNING;
}

static void assert_lives(void)
{
    assert_string_equal(rig.end, "");
}

/* --- Devices --------------------------------------------------------------------------------------------------- */

static void test_device_read(void **state)
{
    (void)state;
    rig.answer = 0x8877665544332211;
    rig.vcpu->regs[RAX] = ~0ULL;
    assert_int_equal(CODE(RIG_MMIO + OFF, false, true, 0x8B, 0x07), NO_FAULT); /* mov (%rdi), %eax */
    assert_int_equal(rig.vcpu->regs[RAX], 0x44332211);
    assert_int_equal(rig.access[0].off, OFF);
    assert_int_equal(rig.access[0].size, 4);
    assert_int_equal(CODE(RIG_MMIO, false, true, 0x0F, 0xB6, 0x0F), NO_FAULT); /* movzbl (%rdi), %ecx */
    assert_int_equal(rig.vcpu->regs[RCX], 0x11);
    assert_int_equal(CODE(RIG_MMIO, false, true, 0x48, 0x8B, 0x07), NO_FAULT); /* mov (%rdi), %rax */
    assert_int_equal(rig.vcpu->regs[RAX], 0x8877665544332211);
    assert_true(rig.vcpu->ask_interrupts);
    assert_lives();
}

static void test_device_write(void **state)
{
    (void)state;
    rig.vcpu->regs[RAX] = 0x8877665544332211;
    assert_int_equal(CODE(RIG_MMIO + OFF, true, true, 0x66, 0x89, 0x07), NO_FAULT); /* mov %ax, (%rdi) */
    assert_true(rig.access[0].write);
    assert_int_equal(rig.access[0].size, 2);
    assert_int_equal(rig.access[0].val, 0x2211);
    rig.answer = 0xF0;
    assert_int_equal(CODE(RIG_MMIO, true, true, 0x80, 0x0F, 0x0F), NO_FAULT); /* orb $15, (%rdi) */
    assert_false(rig.access[1].write);
    assert_int_equal(rig.access[2].val, 0xFF);
    assert_true(rig.vcpu->rflags & RFLAGS_SF);
    assert_lives();
}

/* Where no device is, reads give ones and writes do nothing. */
static void test_nobody(void **state)
{
    (void)state;
    assert_int_equal(CODE(RIG_HOLE, false, true, 0x8B, 0x07), NO_FAULT);
    assert_int_equal(rig.vcpu->regs[RAX], 0xFFFFFFFF);
    assert_int_equal(CODE(RIG_HOLE, true, true, 0x89, 0x07), NO_FAULT);
    assert_int_equal(rig.accesses, 0);
    assert_lives();
}

/* The guest's own tables do not let this access happen, whatever the processor has cached: the fault is the guest's. */
static void test_guest_page_fault(void **state)
{
    const u64 read_only = 3ULL << 30 | PTE_P | PTE_U | PTE_PS;

    (void)state;
    guest_poke(0x11000 + 3 * 8, &read_only, 8); /* of RIG_MMIO's gigabyte */
    rig.state->cr0 |= CR0_WP;
    assert_int_equal(CODE(RIG_MMIO, true, false, 0x89, 0x07), VECTOR_PF);
    assert_int_equal(rig.vcpu->cr2, RIG_MMIO);
    assert_int_equal(rig.vcpu->event.error, PF_PRESENT | PF_WRITE);
    assert_int_equal(rig.accesses, 0);
    assert_lives();
}

/* --- What cannot go on: the kernel's VM ends, a program's access is a fault of the program ----------------------- */

static void test_unknown_instruction(void **state)
{
    (void)state;
    assert_int_equal(CODE(RIG_MMIO, false, false, 0xC5, 0xFE, 0x6F, 0x07), NO_FAULT); /* vmovdqu (%rdi), %ymm0 */
    assert_ends("gpa 0xe0000000");
    ring3();
    assert_int_equal(CODE(RIG_MMIO, false, false, 0xC5, 0xFE, 0x6F, 0x07), VECTOR_GP);
    assert_lives();
}

/* The bytes are an instruction that makes no access of that kind: another vcpu has changed them. */
static void test_changed_instruction(void **state)
{
    (void)state;
    CODE(RIG_MMIO, false, false, 0xF4); /* hlt */
    assert_ends("can't emulate the instruction that accessed gpa 0xe0000000");
    ring3();
    assert_int_equal(CODE(RIG_MMIO, false, false, 0xF4), VECTOR_GP);
    assert_lives();
}

static void test_fetch(void **state)
{
    const struct exit exit = fault(RIG_HOLE, false, true, false);

    (void)state;
    assert_int_equal(guest_exits(&exit, false), NO_FAULT);
    assert_ends("instruction fetch from gpa 0xd0000000");
    ring3();
    assert_int_equal(guest_exits(&exit, false), VECTOR_GP);
    assert_lives();
}

static void test_page_tables(void **state)
{
    const struct exit exit = fault(RIG_HOLE, false, false, true);

    (void)state;
    assert_int_equal(guest_exits(&exit, false), NO_FAULT);
    assert_ends("page tables at gpa 0xd0000000");
    ring3(); /* its kernel has made them */
    guest_exits(&exit, false);
    assert_ends("page tables at gpa 0xd0000000");
}

static void deliver(u8 type)
{
    rig.vcpu->event = (struct event){ .valid = true, .type = type, .vector = 0x30, .len = 2 };
    rig.vcpu->exit = fault(RIG_HOLE, true, false, false);
    exit_handlers[rig.vcpu->exit.kind].handle(rig.vcpu);
}

static void test_delivery(void **state)
{
    (void)state;
    deliver(EVENT_INTERRUPT);
    assert_ends("delivery of event 48 needs gpa 0xd0000000");
    deliver(EVENT_SOFT_INTERRUPT);
    assert_ends("delivery of event 48");
    ring3();
    deliver(EVENT_INTERRUPT); /* not of the program's doing */
    assert_ends("delivery of event 48");
    deliver(EVENT_SOFT_INTERRUPT); /* INT n with a stack of its own, in virtual-8086 mode */
    assert_lives();
    assert_int_equal(rig.vcpu->event.vector, VECTOR_GP);
}

/* --- RAM ------------------------------------------------------------------------------------------------------- */

/* A fault that is no more, as another vcpu was faster, costs an entry. One that does not go away would be for ever. */
static void test_stale(void **state)
{
    const struct exit here = fault(0x5000, true, false, false), there = fault(0x6000, true, false, false);

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(guest_exits(&here, false), NO_FAULT);
        assert_int_equal(guest_exits(&there, false), NO_FAULT);
    }
    assert_lives();
    for (unsigned i = 0; i < 100 && !rig.end[0]; i++)
        guest_exits(&here, false);
    assert_ends("does not go away");
}

/* A write that the log waits for is noted, and the page is the guest's to write from then on; so often as it is
 * cleared. */
static void test_logged_write(void **state)
{
    struct guest_mem *mem = &rig.vm.mem;
    const struct exit write = fault(0x5123, true, false, false);
    u64 *found = calloc(dirty_words(mem), sizeof(u64));

    (void)state;
    assert_int_equal(dirty_start(mem, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_LAZY), 0);
    for (unsigned i = 0; i < 100; i++) {
        struct npt_leaf leaf;

        assert_true(npt_lookup(&rig.vm.npt, 0x5000, &leaf));
        assert_false(leaf.prot & NPT_W);
        assert_int_equal(guest_exits(&write, false), NO_FAULT);
        assert_true(npt_lookup(&rig.vm.npt, 0x5000, &leaf));
        assert_true(leaf.prot & NPT_W);
        memset(found, 0, dirty_words(mem) * sizeof(u64));
        while (!dirty_harvest_part(mem, found, 4096))
            ;
        assert_true(found[0] & BIT(5));
    }
    assert_lives();
    dirty_stop_part(mem, ~0ULL);
    free(found);
}

static bool is_writable(u64 page)
{
    struct npt_leaf leaf;

    assert_true(npt_lookup(&rig.vm.npt, page * PAGE_SIZE, &leaf));
    return leaf.prot & NPT_W;
}

/* Where writers are throttled a vcpu writes to some new pages after a rest, and then waits before the next one is
 * opened; it writes at once when its time has come, or when the limit is lifted. */
static void test_writers_wait(void **state)
{
    u64 page = 16;

    (void)state;
    assert_int_equal(dirty_start(&rig.vm.mem, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_LAZY), 0);
    rig.vm.write_price = 1ULL << 32;
    for (; rig.vcpu->status == VCPU_RUNNABLE && page < 100; page++) {
        const struct exit write = fault(page * PAGE_SIZE, true, false, false);

        assert_int_equal(guest_exits(&write, false), NO_FAULT);
        assert_int_equal(is_writable(page), rig.vcpu->status == VCPU_RUNNABLE);
    }
    assert_in_range(page, 16 + 10, 16 + 20);
    for (unsigned lifted = 0; lifted < 2; lifted++, page++) {
        const struct exit write = fault(page * PAGE_SIZE, true, false, false);

        rig.vcpu->status = VCPU_RUNNABLE;
        rig.vm.write_price = lifted ? 0 : 1ULL << 32;
        rig.vcpu->write_at = lifted ? ~0ULL : 0;
        assert_int_equal(guest_exits(&write, false), NO_FAULT);
        assert_true(is_writable(page) && rig.vcpu->status == VCPU_RUNNABLE);
    }
    assert_lives();
    dirty_stop_part(&rig.vm.mem, ~0ULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_device_read),
        TEST(test_device_write),
        TEST(test_nobody),
        TEST(test_guest_page_fault),
        TEST(test_unknown_instruction),
        TEST(test_changed_instruction),
        TEST(test_fetch),
        TEST(test_page_tables),
        TEST(test_delivery),
        TEST(test_stale),
        TEST(test_logged_write),
        TEST(test_writers_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
