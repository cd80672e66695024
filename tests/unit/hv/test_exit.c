/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* What the short exits do to the guest (docs/exits.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/fixup.h"
#include "host/log.h"
#include "tests/unit/guest_rig.h"
#include "tests/unit/stubs.h"

static int exits(enum exit_kind kind, bool skips)
{
    return guest_exits(&(struct exit){ .kind = kind, .len = 3 }, skips);
}

/* A guest that goes on and on with MSRs that it has not costs others no line of the log, which keeps 256. */
static void test_log_of_msrs(void **state)
{
    unsigned before = stub_log_lines;
    u64 value;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(guest_rdmsr(0x12345, &value), VECTOR_GP);
        assert_int_equal(guest_wrmsr(0x12345, 0), VECTOR_GP);
    }
    assert_in_range(stub_log_lines - before, 1, LOG_KEPT / 4);
}

/* Counters and traces show the names. */
static void test_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NR_EXITS; i++) {
        assert_non_null(exit_handlers[i].handle);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(exit_handlers[i].name, exit_handlers[j].name);
    }
}

static void test_faults(void **state)
{
    (void)state;
    assert_int_equal(exits(EXIT_UNDEFINED, false), VECTOR_UD);
    assert_int_equal(exits(EXIT_PROTECTED, false), VECTOR_GP);
    assert_true(rig.vcpu->rflags & RFLAGS_RF); /* in the pushed image: SDM 3B "Instruction-Breakpoint Exception" */
    assert_string_equal(rig.end, "");
}

static void test_skipped(void **state)
{
    static const enum exit_kind kinds[] = { EXIT_INVALIDATE, EXIT_CPUID };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        rig.vcpu->shadow = SHADOW_STI;
        rig.vcpu->rflags |= RFLAGS_RF;
        assert_int_equal(exits(kinds[i], true), NO_FAULT);
        assert_int_equal(rig.vcpu->shadow, SHADOW_NONE); /* it was that one instruction */
        assert_false(rig.vcpu->rflags & RFLAGS_RF);
    }
}

/* SDM 3B "Single-Step Exception Condition": the trap comes after an instruction that we have carried out, too, and DR6
 * says why. */
static void test_single_step(void **state)
{
    (void)state;
    rig.vcpu->rflags |= RFLAGS_TF;
    rig.state->dr6 = DR6_RESET;
    assert_int_equal(exits(EXIT_CPUID, true), VECTOR_DB);
    assert_int_equal(rig.state->dr6, DR6_RESET | DR6_BS);
    assert_int_equal(exits(EXIT_HLT, true), VECTOR_DB);
    assert_int_equal(rig.vcpu->status, VCPU_RUNNABLE);         /* the handler runs first */
    assert_int_equal(exits(EXIT_UNDEFINED, false), VECTOR_UD); /* this one was not carried out */
}

static void test_hlt(void **state)
{
    (void)state;
    rig.vcpu->shadow = SHADOW_STI; /* sti; hlt */
    assert_int_equal(exits(EXIT_HLT, true), NO_FAULT);
    assert_int_equal(rig.vcpu->status, VCPU_HALTED);
    assert_int_equal(rig.vcpu->shadow, SHADOW_NONE); /* else the interrupt that wakes it would wait */
}

static void test_window(void **state)
{
    (void)state;
    rig.vcpu->ask_interrupts = false;
    assert_int_equal(exits(EXIT_WINDOW, false), NO_FAULT);
    assert_true(rig.vcpu->ask_interrupts);
}

static void test_no_business_of_the_guest(void **state)
{
    static const enum exit_kind kinds[] = { EXIT_INTERRUPT, EXIT_PREEMPT, EXIT_NMI, EXIT_REENTER, EXIT_LOG_FULL };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        rig.vcpu->shadow = SHADOW_MOV_SS;
        assert_int_equal(exits(kinds[i], false), NO_FAULT);
        assert_int_equal(rig.vcpu->shadow, SHADOW_MOV_SS);
        assert_int_equal(rig.vcpu->status, VCPU_RUNNABLE);
        assert_string_equal(rig.end, "");
    }
}

/* The VM ends, and its status says what an operator has to know. */
static void test_ends(void **state)
{
    static const struct {
        enum exit_kind kind;
        const char *says;
    } cases[] = {
        { EXIT_TASK_SWITCH, "hardware task switch" },
        { EXIT_ENTRY_FAILED, "refused the guest state (code 0x21" },
        { EXIT_ENTRY_FAULT, "VM entry raised" },
        { EXIT_UNKNOWN, "exit that was never asked for (code 0x21, info 0x5 0x6)" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        rig.vm.status = VM_RUNNING;
        guest_exits(&(struct exit){ .kind = cases[i].kind, .u.raw = { 0x21, { 5, 6 } } }, false);
        assert_int_equal(rig.vm.status, VM_CRASHED);
        if (!strstr(rig.end, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", rig.end, cases[i].says);
    }
    assert_int_equal(rig.triple_faults, 0);
    exits(EXIT_TRIPLE_FAULT, false);
    assert_int_equal(rig.triple_faults, 1); /* a reset, as on a PC */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),       TEST(test_log_of_msrs), TEST(test_faults), TEST(test_skipped),
        TEST(test_single_step), TEST(test_hlt),         TEST(test_window), TEST(test_no_business_of_the_guest),
        TEST(test_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
