/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* A guest's IN, OUT, INS and OUTS, as SDM 2 describes each: what the device sees, and what is in registers and memory
 * afterwards, also if the instruction faults in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/fixup.h"
#include "tests/unit/guest_rig.h"

#define BUFFER 0x200000 /* of a string */
#define HALF 0x123456789ABCDEF0ULL

static int in(u16 port, u8 size)
{
    const struct exit exit = { .kind = EXIT_IO, .len = 1, .u.io = { .port = port, .size = size, .in = true } };

    return guest_exits(&exit, true);
}

static int out(u16 port, u8 size)
{
    return guest_exits(&(struct exit){ .kind = EXIT_IO, .len = 2, .u.io = { .port = port, .size = size } }, true);
}

/* SDM 1 "General-Purpose Registers": a 32-bit result clears the upper half, a shorter one leaves the rest. */
static void test_in(void **state)
{
    static const struct {
        u8 size;
        u64 rax;
    } cases[] = { { 1, 0x123456789ABCDE11 }, { 2, 0x123456789ABC2211 }, { 4, 0x44332211 } };

    (void)state;
    rig.answer = 0x8877665544332211;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        rig.vcpu->regs[RAX] = HALF;
        assert_int_equal(in(RIG_PORT + 4, cases[i].size), NO_FAULT);
        assert_int_equal(rig.vcpu->regs[RAX], cases[i].rax);
        assert_int_equal(rig.access[i].off, 4);
        assert_int_equal(rig.access[i].size, cases[i].size);
        assert_false(rig.access[i].write);
    }
    rig.vcpu->regs[RAX] = HALF;
    assert_int_equal(in(0x9000, 4), NO_FAULT); /* nobody's */
    assert_int_equal(rig.vcpu->regs[RAX], 0xFFFFFFFF);
    assert_int_equal(rig.accesses, 3);
}

static void test_out(void **state)
{
    static const u8 sizes[] = { 1, 2, 4 };

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes); i++) {
        rig.vcpu->regs[RAX] = HALF;
        rig.vcpu->ask_interrupts = false;
        assert_int_equal(out(RIG_PORT, sizes[i]), NO_FAULT);
        assert_true(rig.access[i].write);
        assert_int_equal(rig.access[i].val, HALF & size_mask(sizes[i]));
        assert_int_equal(rig.vcpu->regs[RAX], HALF);
        assert_true(rig.vcpu->ask_interrupts); /* the device may have raised one */
        assert_ptr_equal(rig.access[i].vcpu, rig.vcpu);
    }
}

/* --- Strings --------------------------------------------------------------------------------------------------- */

static struct exit string(bool is_in, u8 size, bool rep)
{
    return (struct exit){
        .kind = EXIT_IO,
        .len = 3,
        .u.io = { .port = RIG_PORT,
                  .size = size,
                  .in = is_in,
                  .string = true,
                  .rep = rep,
                  .addr_size = 8,
                  .seg = SEG_DS },
    };
}

static void test_outs(void **state)
{
    const struct exit once = string(false, 2, false);

    (void)state;
    guest_poke(BUFFER, "abcdefgh", 8);
    rig.vcpu->regs[RSI] = BUFFER;
    rig.vcpu->regs[RCX] = 5;
    assert_int_equal(guest_exits(&once, true), NO_FAULT);
    assert_int_equal(rig.access[0].val, 'a' | 'b' << 8);
    assert_int_equal(rig.vcpu->regs[RSI], BUFFER + 2);
    assert_int_equal(rig.vcpu->regs[RCX], 5); /* without REP */
    rig.vcpu->rflags |= RFLAGS_DF;
    assert_int_equal(guest_exits(&once, true), NO_FAULT);
    assert_int_equal(rig.access[1].val, 'c' | 'd' << 8);
    assert_int_equal(rig.vcpu->regs[RSI], BUFFER);
}

static void test_ins(void **state)
{
    const struct exit rep = string(true, 4, true);

    (void)state;
    rig.answer = 0x64636261;
    rig.vcpu->regs[RDI] = BUFFER;
    rig.vcpu->regs[RCX] = 3;
    assert_int_equal(guest_exits(&rep, true), NO_FAULT);
    assert_int_equal(rig.accesses, 3);
    assert_int_equal(rig.vcpu->regs[RCX], 0);
    assert_int_equal(rig.vcpu->regs[RDI], BUFFER + 12);
    assert_int_equal(guest_peek(BUFFER + 8, 4), 0x64636261);
    assert_int_equal(guest_exits(&rep, true), NO_FAULT); /* a count of 0: no access, but done */
    assert_int_equal(rig.accesses, 3);
    assert_int_equal(rig.vcpu->regs[RDI], BUFFER + 12);
}

/* A long one goes on in several exits, so that interrupts and neighbours need not wait for it; what it does is the
 * same. */
static void test_long_string(void **state)
{
    const struct exit rep = string(false, 1, true);
    unsigned exits = 0;

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        guest_poke(BUFFER + i, &(u8){ i }, 1);
    rig.vcpu->regs[RSI] = BUFFER;
    rig.vcpu->regs[RCX] = 200;
    while (rig.vcpu->regs[RCX]) {
        unsigned before = rig.accesses;

        rig.vcpu->exit = rep;
        rig.vcpu->rip = RIG_CODE;
        exit_handlers[rig.vcpu->exit.kind].handle(rig.vcpu);
        assert_int_equal(rig.vcpu->rip, RIG_CODE + (rig.vcpu->regs[RCX] ? 0 : rep.len));
        assert_in_range(rig.accesses - before, 1, 100);
        exits++;
    }
    assert_int_equal(rig.accesses, 200);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(rig.access[i].val, i);
    assert_true(exits > 1);
}

/* SDM 1 "Instruction Prefixes", address size: 32-bit registers are zero-extended when they are written, 16-bit ones
 * keep what is above. */
static void test_address_sizes(void **state)
{
    struct exit rep = string(false, 1, true);

    (void)state;
    rep.u.io.addr_size = 4;
    rig.vcpu->regs[RSI] = 0xDEADULL << 32 | BUFFER;
    rig.vcpu->regs[RCX] = 0xDEADULL << 32 | 2;
    assert_int_equal(guest_exits(&rep, true), NO_FAULT);
    assert_int_equal(rig.vcpu->regs[RSI], BUFFER + 2);
    assert_int_equal(rig.vcpu->regs[RCX], 0);
    assert_int_equal(rig.accesses, 2);
    /* Real mode: the offset wraps in the segment, the count is CX. */
    rig.state->cr0 = CR0_ET;
    rig.state->efer = rig.state->cr4 = 0;
    rig.state->seg[SEG_DS] = (struct segment){ .base = 0x20000, .limit = 0xFFFF, .attr = 0x93 };
    guest_poke(0x2FFFF, "x", 1);
    guest_poke(0x20000, "y", 1);
    rep.u.io.addr_size = 2;
    rig.vcpu->regs[RSI] = HALF | 0xFFFF;
    rig.vcpu->regs[RCX] = 0xABCD0002;
    assert_int_equal(guest_exits(&rep, true), NO_FAULT);
    assert_int_equal(rig.access[2].val, 'x');
    assert_int_equal(rig.access[3].val, 'y');
    assert_int_equal(rig.vcpu->regs[RSI], (HALF & ~0xFFFFULL) | 1);
    assert_int_equal(rig.vcpu->regs[RCX], 0xABCD0000);
}

/* In 64-bit mode only FS and GS have a base; the destination of INS is in ES, whatever the prefix. */
static void test_segments(void **state)
{
    struct exit one = string(false, 1, false);

    (void)state;
    guest_poke(BUFFER, "z", 1);
    rig.state->seg[SEG_DS].base = rig.state->seg[SEG_ES].base = 0x1000;
    rig.vcpu->regs[RSI] = BUFFER;
    assert_int_equal(guest_exits(&one, true), NO_FAULT);
    assert_int_equal(rig.access[0].val, 'z');
    rig.state->seg[SEG_FS].base = BUFFER - 0x10;
    one.u.io.seg = SEG_FS;
    rig.vcpu->regs[RSI] = 0x10;
    assert_int_equal(guest_exits(&one, true), NO_FAULT);
    assert_int_equal(rig.access[1].val, 'z');
    rig.answer = 'w';
    one.u.io.in = true;
    rig.vcpu->regs[RDI] = BUFFER + 1;
    assert_int_equal(guest_exits(&one, true), NO_FAULT);
    assert_int_equal(guest_peek(BUFFER + 1, 1), 'w');
}

/* The page behind BUFFER's is at a linear address that is not mapped: 4 GiB. */
#define LAST (4ULL << 30)

/* SDM 2 "REP": after a fault the registers say how far it came, and the instruction can be restarted. INS does not
 * take a byte from the device that it could not store. */
static void test_fault_in_the_middle(void **state)
{
    const struct exit rep_in = string(true, 1, true), rep_out = string(false, 1, true);

    (void)state;
    rig.vcpu->regs[RDI] = LAST - 2;
    rig.vcpu->regs[RCX] = 5;
    assert_int_equal(guest_exits(&rep_in, false), VECTOR_PF);
    assert_int_equal(rig.vcpu->cr2, LAST);
    assert_int_equal(rig.vcpu->event.error, PF_WRITE);
    assert_int_equal(rig.accesses, 2);
    assert_int_equal(rig.vcpu->regs[RCX], 3);
    assert_int_equal(rig.vcpu->regs[RDI], LAST);
    rig.vcpu->regs[RSI] = LAST;
    assert_int_equal(guest_exits(&rep_out, false), VECTOR_PF);
    assert_int_equal(rig.vcpu->event.error, 0);
    assert_int_equal(rig.accesses, 2);
    rig.vcpu->regs[RSI] = 1ULL << 47; /* not canonical */
    assert_int_equal(guest_exits(&rep_out, false), VECTOR_GP);
    assert_int_equal(rig.accesses, 2);
}

static void end_vm(void)
{
    if (rig.accesses == 3)
        rig.vm.status = VM_PASSED;
}

/* The device ends the VM (the verdict, or power-off) in the middle of a string: that is the last access. */
static void test_vm_ends_in_the_middle(void **state)
{
    const struct exit rep = string(false, 1, true);

    (void)state;
    rig.on_access = end_vm;
    rig.vcpu->regs[RSI] = BUFFER;
    rig.vcpu->regs[RCX] = 10;
    assert_int_equal(guest_exits(&rep, false), NO_FAULT);
    assert_int_equal(rig.accesses, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in),
        TEST(test_out),
        TEST(test_outs),
        TEST(test_ins),
        TEST(test_long_string),
        TEST(test_address_sizes),
        TEST(test_segments),
        TEST(test_fault_in_the_middle),
        TEST(test_vm_ends_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
