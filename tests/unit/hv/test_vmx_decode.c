/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/vmx/decode.c */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* What an exit of VT-x means, by SDM 3C "VM Exits" and SDM 3D appendix C: the VMCS that is read is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "hv/vmx/vmx.h"
#include "tests/unit/guest_rig.h"
#include "tests/unit/processor.h"

#define CR0_LONG (CR0_PE | CR0_PG | CR0_ET | CR0_NE)
#define VALID BIT(31)

static u64 vmcs[0x8000]; /* by the fields' encodings */
static struct vmx_vcpu vmx;
static u64 guest_cr0;
static void *state_of_rig;

static u64 *vmcs_field(u32 field)
{
    return &vmcs[field % ARRAY_SIZE(vmcs)];
}

u64 vmx_guest_cr0(void)
{
    return guest_cr0;
}

void vmx_instruction_failed(const char *instruction, u64 operand)
{
    fail_msg("%s %lx", instruction, operand);
    abort();
}

static int setup(void **state)
{
    guest_rig_setup(state);
    memset(vmcs, 0, sizeof(vmcs));
    vmx = (struct vmx_vcpu){ 0 };
    guest_cr0 = CR0_LONG | CR0_TS | CR0_EM;
    state_of_rig = rig.vcpu->backend;
    rig.vcpu->backend = &vmx;
    processor.vmcs = vmcs_field;
    processor.dr6 = DR6_RESET;
    vmcs[GUEST_EFER] = EFER_LME | EFER_LMA;
    vmcs[GUEST_CS_ACCESS_RIGHTS] = 0xA09B;
    vmcs[EXIT_INSTRUCTION_LENGTH] = 3;
    return 0;
}

static int teardown(void **state)
{
    rig.vcpu->backend = state_of_rig;
    return guest_rig_teardown(state);
}

/* An exit for this reason. Returns its kind. */
static enum exit_kind decode(u64 reason, u64 qualification)
{
    processor_run_as(this_cpu());
    rig.vcpu->event.valid = false;
    rig.vcpu->exit.kind = NR_EXITS;
    vmcs[EXIT_QUALIFICATION] = qualification;
    vmx_decode(rig.vcpu, reason);
    return rig.vcpu->exit.kind;
}

/* --- Reasons --------------------------------------------------------------------------------------------------- */

/* Appendix C, in its order. What was never asked for ends this VM alone, and names the reason. */
static void test_reasons(void **state)
{
    static const struct {
        u8 reason;
        u8 kind;
    } known[] = {
        { 0, EXIT_NMI },        { 1, EXIT_INTERRUPT },   { 2, EXIT_TRIPLE_FAULT }, { 7, EXIT_WINDOW },
        { 8, EXIT_WINDOW },     { 9, EXIT_TASK_SWITCH }, { 10, EXIT_CPUID },       { 11, EXIT_UNDEFINED },
        { 12, EXIT_HLT },       { 13, EXIT_INVALIDATE }, { 15, EXIT_PROTECTED },   { 18, EXIT_UNDEFINED },
        { 19, EXIT_UNDEFINED }, { 20, EXIT_UNDEFINED },  { 21, EXIT_UNDEFINED },   { 22, EXIT_UNDEFINED },
        { 23, EXIT_UNDEFINED }, { 24, EXIT_UNDEFINED },  { 25, EXIT_UNDEFINED },   { 26, EXIT_UNDEFINED },
        { 27, EXIT_UNDEFINED }, { 28, EXIT_CR },         { 30, EXIT_IO },          { 31, EXIT_RDMSR },
        { 32, EXIT_WRMSR },     { 36, EXIT_UNDEFINED },  { 39, EXIT_UNDEFINED },   { 48, EXIT_NPF },
        { 50, EXIT_UNDEFINED }, { 52, EXIT_PREEMPT },    { 53, EXIT_UNDEFINED },   { 54, EXIT_INVALIDATE },
        { 55, EXIT_XSETBV },    { 59, EXIT_UNDEFINED },  { 62, EXIT_LOG_FULL },
    };
    unsigned next = 0;

    (void)state;
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | 2 << 8 | 2; /* of reason 0: an NMI */
    vmcs[GUEST_PHYSICAL_ADDRESS] = 0x6000;
    for (unsigned reason = 0; reason < 0x100; reason++) {
        if (reason == 41) /* test_machine_check_at_entry */
            continue;
        if (next < ARRAY_SIZE(known) && known[next].reason == reason) {
            assert_int_equal(decode(reason, 0), known[next++].kind);
            continue;
        }
        assert_int_equal(decode(reason, 5), EXIT_UNKNOWN);
        assert_int_equal(rig.vcpu->exit.u.raw.code, reason);
        assert_int_equal(rig.vcpu->exit.u.raw.info[0], 5);
        assert_int_equal(rig.vcpu->exit.u.raw.info[1], 0x6000);
    }
}

/* SDM 3C "Machine-Check Events During VM Entry": of no guest's making, and the machine is not to be trusted. */
static void test_machine_check_at_entry(void **state)
{
    (void)state;
    expect_assert_failure(decode(41, 0));
    expect_assert_failure(decode(BIT(31) | 41, 0));
}

/* An instruction has the length that the processor says; what no instruction caused has none to skip. */
static void test_lengths(void **state)
{
    static const u8 instructions[] = { 10, 12, 13, 28, 30, 31, 32, 54, 55 }, others[] = { 1, 2, 7, 48, 52, 62 };

    (void)state;
    for (unsigned i = 0; i < sizeof(instructions); i++) {
        decode(instructions[i], 0);
        assert_int_equal(rig.vcpu->exit.len, 3);
    }
    for (unsigned i = 0; i < sizeof(others); i++) {
        decode(others[i], 0);
        assert_int_equal(rig.vcpu->exit.len, 0);
    }
}

/* SDM 3C "VM-Entry Failures During or After Loading Guest State": bit 31; and failures of the instruction itself. */
static void test_failed_entries(void **state)
{
    (void)state;
    assert_int_equal(decode(BIT(31) | 33, 4), EXIT_ENTRY_FAILED);
    assert_int_equal(rig.vcpu->exit.u.raw.code, 33);
    assert_int_equal(rig.vcpu->exit.u.raw.info[0], 4);
    vmcs[VM_INSTRUCTION_ERROR] = 7;
    vmx_decode_refused(rig.vcpu, VMX_FAIL_VALID);
    assert_int_equal(rig.vcpu->exit.kind, EXIT_ENTRY_FAILED);
    assert_int_equal(rig.vcpu->exit.u.raw.code, 7);
    vmx_decode_refused(rig.vcpu, VMX_FAULT + VECTOR_GP);
    assert_int_equal(rig.vcpu->exit.kind, EXIT_ENTRY_FAULT);
    assert_int_equal(rig.vcpu->exit.u.raw.code, VECTOR_GP);
}

static void test_xsetbv_of_a_program(void **state)
{
    (void)state;
    vmcs[GUEST_SS_ACCESS_RIGHTS] = 0xC0F3;
    assert_int_equal(decode(55, 0), EXIT_PROTECTED);
}

/* --- Qualifications -------------------------------------------------------------------------------------------- */

/* SDM 3C table "Exit Qualification for Control-Register Accesses". */
static void test_control_registers(void **state)
{
    const struct exit *exit = &rig.vcpu->exit;

    (void)state;
    rig.vcpu->regs[R9] = 0x1122334455667788;
    decode(28, 4 | 9 << 8); /* mov %r9, %cr4 */
    assert_true(exit->u.cr.cr == 4 && exit->u.cr.write && exit->u.cr.value == 0x1122334455667788);
    decode(28, 8 | 1 << 4 | 6 << 8); /* mov %cr8, %rsi */
    assert_true(exit->u.cr.cr == 8 && !exit->u.cr.write && exit->u.cr.gpr == RSI);
    decode(28, 2 << 4); /* clts */
    assert_true(exit->u.cr.cr == 0 && exit->u.cr.write && exit->u.cr.value == (CR0_LONG | CR0_EM));
    decode(28, 3 << 4 | 0xFFF2ULL << 16); /* lmsw: four bits, and PE is not cleared */
    assert_true(exit->u.cr.write && exit->u.cr.value == (CR0_LONG | CR0_MP));
    guest_cr0 = CR0_ET;
    decode(28, 3 << 4 | 1ULL << 16); /* from real mode it is set */
    assert_int_equal(exit->u.cr.value, CR0_ET | CR0_PE);
    vmcs[GUEST_CS_ACCESS_RIGHTS] = 0xC09B; /* compatibility mode: 32 bits */
    decode(28, 4 | 9 << 8);
    assert_int_equal(exit->u.cr.value, 0x55667788);
}

/* SDM 3C tables "Exit Qualification for I/O Instructions" and "Format of the VM-Exit Instruction-Information Field as
 * Used for INS and OUTS". */
static void test_ports(void **state)
{
    const struct exit *exit = &rig.vcpu->exit;

    (void)state;
    decode(30, 0x60ULL << 16 | BIT(6) | BIT(3)); /* in $0x60, %al */
    assert_true(exit->u.io.port == 0x60 && exit->u.io.size == 1 && exit->u.io.in && !exit->u.io.string);
    decode(30, 0xCF8ULL << 16 | 3);
    assert_true(exit->u.io.port == 0xCF8 && exit->u.io.size == 4 && !exit->u.io.in && !exit->u.io.rep);
    vmcs[EXIT_INSTRUCTION_INFO] = 1 << 7 | 5 << 15;   /* 32-bit addresses, GS */
    decode(30, 0x3F8ULL << 16 | BIT(5) | BIT(4) | 1); /* rep outsw */
    assert_true(exit->u.io.string && exit->u.io.rep && exit->u.io.size == 2);
    assert_true(exit->u.io.addr_size == 4 && exit->u.io.seg == SEG_GS);
}

/* SDM 3C table "Exit Qualification for EPT Violations": bits 7 and 8 tell an access of the guest from one to its page
 * tables. */
static void test_nested_faults(void **state)
{
    const struct exit *exit = &rig.vcpu->exit;

    (void)state;
    vmcs[GUEST_PHYSICAL_ADDRESS] = 0xFEE00020;
    decode(48, BIT(8) | BIT(7) | BIT(1));
    assert_true(exit->u.npf.gpa == 0xFEE00020 && exit->u.npf.write && !exit->u.npf.fetch && !exit->u.npf.walk);
    decode(48, BIT(8) | BIT(7) | BIT(2));
    assert_true(exit->u.npf.fetch && !exit->u.npf.write);
    decode(48, BIT(7) | BIT(0));
    assert_true(exit->u.npf.walk);
    decode(48, BIT(0)); /* no linear address: the load of PDPTEs, which is no walk of an access */
    assert_false(exit->u.npf.walk);
}

/* --- Events ---------------------------------------------------------------------------------------------------- */

/* SDM 3C "Information for VM Exits That Occur During Event Delivery": the event is delivered again, as it was. */
static void test_interrupted_delivery(void **state)
{
    static const u8 reasons[] = { 48, 62, 9 };
    const struct event *event = &rig.vcpu->event;

    (void)state;
    for (unsigned i = 0; i < sizeof(reasons); i++) {
        vmcs[IDT_VECTORING_INFO] = VALID | 0x51;
        decode(reasons[i], 0);
        assert_true(event->valid && event->type == EVENT_INTERRUPT && event->vector == 0x51 && !event->has_error);
        vmcs[IDT_VECTORING_INFO] = VALID | BIT(11) | 3 << 8 | VECTOR_PF;
        vmcs[IDT_VECTORING_ERROR_CODE] = 6;
        decode(reasons[i], 0);
        assert_true(event->type == EVENT_EXCEPTION && event->has_error && event->error == 6);
        vmcs[IDT_VECTORING_INFO] = VALID | 4 << 8 | 0x80; /* int $0x80 */
        decode(reasons[i], 0);
        assert_true(event->type == EVENT_SOFT_INTERRUPT && event->vector == 0x80 && event->len == 3);
        rig.vcpu->nmi_blocked = true; /* from the entry that injected it */
        vmcs[IDT_VECTORING_INFO] = VALID | 2 << 8 | 2;
        decode(reasons[i], 0);
        assert_true(event->type == EVENT_NMI && !rig.vcpu->nmi_blocked);
        vmcs[IDT_VECTORING_INFO] = 0x51;
        decode(reasons[i], 0);
        assert_false(event->valid);
    }
}

/* SDM 3C "Resuming Guest Software After Handling an Exception": the IRET that faulted is executed again, with NMIs
 * blocked as before; bit 12 says nothing if the exit came during a delivery. */
static void test_iret_that_faults(void **state)
{
    static const u8 reasons[] = { 48, 62 };

    (void)state;
    for (unsigned i = 0; i < sizeof(reasons); i++) {
        rig.vcpu->nmi_blocked = false;
        vmcs[IDT_VECTORING_INFO] = VALID | 0x51;
        decode(reasons[i], BIT(12));
        assert_false(rig.vcpu->nmi_blocked);
        vmcs[IDT_VECTORING_INFO] = 0;
        decode(reasons[i], BIT(12));
        assert_true(rig.vcpu->nmi_blocked);
    }
    rig.vcpu->nmi_blocked = false;
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | BIT(12) | BIT(11) | 3 << 8 | VECTOR_AC;
    decode(0, 0);
    assert_true(rig.vcpu->nmi_blocked);
}

/* SDM 3C "Architectural State Before a VM Exit": DR6 and DR7 are as before the #DB, and delivery changes them. */
static void test_debug_exception(void **state)
{
    (void)state;
    processor.dr6 = DR6_RESET | 0xF;
    vmcs[GUEST_DR7] = DR7_RESET | BIT(13);
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | 3 << 8 | VECTOR_DB;
    assert_int_equal(decode(0, BIT(14) | BIT(1)), EXIT_REENTER);
    assert_int_equal(processor.dr6, DR6_RESET | BIT(14) | BIT(1));
    assert_int_equal(vmcs[GUEST_DR7], DR7_RESET);
    assert_true(rig.vcpu->event.valid && rig.vcpu->event.vector == VECTOR_DB && !rig.vcpu->event.has_error);
    /* INT1 changes none of these, and is behind its instruction. */
    processor.dr6 = DR6_RESET;
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | 5 << 8 | VECTOR_DB;
    decode(0, BIT(14));
    assert_int_equal(processor.dr6, DR6_RESET);
    assert_true(rig.vcpu->event.type == EVENT_PRIVILEGED_EXCEPTION && rig.vcpu->event.len == 3);
}

/* #AC comes with its error. */
static void test_alignment_check(void **state)
{
    (void)state;
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | BIT(11) | 3 << 8 | VECTOR_AC;
    decode(0, 0);
    assert_true(rig.vcpu->event.vector == VECTOR_AC && rig.vcpu->event.has_error && rig.vcpu->event.error == 0);
    assert_int_equal(processor.nmis, 0);
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | 3 << 8 | VECTOR_UD; /* never asked for */
    assert_int_equal(decode(0, 0), EXIT_UNKNOWN);
}

/* A host NMI: it was taken by the exit, and the host has to hear of it, once. */
static void test_host_nmi(void **state)
{
    (void)state;
    vmcs[EXIT_INTERRUPTION_INFO] = VALID | 2 << 8 | 2;
    assert_int_equal(decode(0, 0), EXIT_NMI);
    assert_int_equal(processor.nmis, 1);
    assert_false(rig.vcpu->event.valid);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reasons),
        TEST(test_lengths),
        TEST(test_failed_entries),
        TEST(test_machine_check_at_entry),
        TEST(test_control_registers),
        TEST(test_ports),
        TEST(test_nested_faults),
        TEST(test_interrupted_delivery),
        TEST(test_iret_that_faults),
        TEST(test_debug_exception),
        TEST(test_alignment_check),
        TEST(test_host_nmi),
        TEST(test_xsetbv_of_a_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
