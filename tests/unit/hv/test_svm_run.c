/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/svm/run.c hv/svm/decode.c hv/svm/state.c hv/svm/setup.c */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* One trip into a guest on AMD-V: what the processor is asked for, and what its answers mean, by APM 2 "Secure Virtual
 * Machine" and its appendices B and C. The processor is svm_enter below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/apic.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/fixup.h"
#include "host/frame.h"
#include "host/msr_index.h"
#include "hv/svm/svm.h"
#include "mm/guest_missing.h"
#include "tests/unit/guest_rig.h"
#include "tests/unit/processor.h"

#define ASIDS 8

/* What the processor is going to leave, and what it found at the last entry. */
static struct {
    u64 code, info1, info2, next_rip, exit_int_info;
    u64 rip;             /* 0: as at the entry */
    bool forgets_shadow; /* as QEMU 7.2 does at VMRUN */
} leaves;
static struct vmcb_control found;
static struct svm_cpu svm_cpu[2];
static void *state_of_rig;
static const struct backend *backend_of_rig;
static const struct backend svm = { .get = svm_get, .set = svm_set };
const char svm_enter_vmrun[1];

int svm_enter(u64 *regs, hpa_t vmcb_pa, hpa_t host_area)
{
    struct vmcb *vmcb = frame_window(vmcb_pa);

    (void)regs, (void)host_area;
    assert_false(processor.gif);
    found = vmcb->control;
    vmcb->control.exit_code = leaves.code;
    vmcb->control.exit_info_1 = leaves.info1;
    vmcb->control.exit_info_2 = leaves.info2;
    vmcb->control.next_rip = leaves.next_rip;
    vmcb->control.exit_int_info = leaves.exit_int_info;
    if (leaves.forgets_shadow)
        vmcb->control.interrupt_state = 0;
    if (leaves.rip)
        vmcb->save.rip = leaves.rip;
    return NO_FAULT;
}

void apic_timer_arm(u64 deadline)
{
    (void)deadline;
}

bool apic_timer_lost(void)
{
    return false;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

static bool intercept_get(const struct vmcb_control *control, unsigned exit_code)
{
    return control->intercept[exit_code / 32] >> exit_code % 32 & 1;
}

/* The rig's guest, with its state in a VMCB. */
static int setup(void **state)
{
    struct vcpu_state long_mode;

    guest_rig_setup(state);
    processor_run_as(this_cpu());
    svm_init();
    svm_shared.nr_asids = ASIDS;
    svm_shared.next_rip = svm_shared.decode_assists = true;
    svm_cpu[0] = svm_cpu[1] = (struct svm_cpu){ .next_asid = 1, .asid_generation = 1 };
    this_cpu()->backend_data = &svm_cpu[0];
    this_cpu()->index = 0;
    long_mode = *rig.state;
    state_of_rig = rig.vcpu->backend;
    backend_of_rig = backend_in_use;
    backend_in_use = &svm;
    rig.vcpu->backend = calloc(1, sizeof(struct svm_vcpu));
    svm_vcpu_init(rig.vcpu);
    svm_set(rig.vcpu, &long_mode, STATE_ALL);
    memset(&leaves, 0, sizeof(leaves));
    return 0;
}

static int teardown(void **state)
{
    free(rig.vcpu->backend);
    rig.vcpu->backend = state_of_rig;
    backend_in_use = backend_of_rig;
    frame_free(svm_shared.msrpm, 1);
    return guest_rig_teardown(state);
}

static struct vmcb *vmcb(void)
{
    return svm_vcpu(rig.vcpu)->vmcb;
}

/* One trip from RIG_CODE, with this end. Returns the kind of the exit. */
static enum exit_kind trip(u64 code, u64 info1, u64 info2)
{
    processor_run_as(this_cpu());
    leaves.code = code;
    leaves.info1 = info1;
    leaves.info2 = info2;
    rig.vcpu->rip = RIG_CODE;
    svm_run(rig.vcpu);
    assert_true(processor.gif);
    return rig.vcpu->exit.kind;
}

static void code_put(const char *bytes)
{
    guest_poke(RIG_CODE, bytes, 15);
}
#define CODE(bytes) code_put(bytes "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90")

/* An STI shadow and a window that is wanted: the next instruction is looked at before the entry, and may be in a
 * missing page. Then the guest is not entered. */
static void test_next_instruction_is_missing(void **state)
{
    static u8 page[PAGE_SIZE] = { 0xF4 }; /* hlt, at RIG_CODE */

    (void)state;
    assert_int_equal(guest_mem_expect(&rig.vm.mem, RIG_CODE, 1), 0);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        rig.vcpu->shadow = SHADOW_STI;
        rig.vcpu->want_window = true;
        rig.vcpu->rip = RIG_CODE;
        processor_run_as(this_cpu());
        svm_run(rig.vcpu);
        assert_int_equal(rig.vcpu->exit.kind, attempt ? EXIT_HLT : EXIT_REENTER);
        assert_int_equal(rig.vcpu->status, attempt ? VCPU_RUNNABLE : VCPU_WAIT_PAGE);
        if (attempt)
            break;
        assert_int_equal(vm_page_supply(&rig.vm, RIG_CODE / PAGE_SIZE, page), 0);
        rig.vcpu->status = VCPU_RUNNABLE;
    }
}

/* A host interrupt ends a run before the first instruction, which is not here any more. It may be a HLT, so the shadow
 * that came with it stays. */
static void test_a_shadow_that_nobody_can_judge_stays(void **state)
{
    (void)state;
    assert_int_equal(guest_mem_expect(&rig.vm.mem, RIG_CODE, 1), 0);
    rig.vcpu->shadow = SHADOW_STI;
    leaves.forgets_shadow = true;
    trip(VMEXIT_INTR, 0, 0);
    assert_int_equal(rig.vcpu->status, VCPU_WAIT_PAGE);
    assert_int_equal(rig.vcpu->shadow, SHADOW_STI);
}

/* --- What is asked for ----------------------------------------------------------------------------------------- */

/* APM 2 "MSR Intercepts": two bits for each MSR of three ranges, read and write. A guest reaches no MSR but those that
 * VMLOAD and VMSAVE give it. */
static void test_msr_map(void **state)
{
    static const u32 range[] = { 0, 0xC0000000, 0xC0010000 };
    const u8 *map = frame_window(vmcb()->control.msrpm_base_pa);
    unsigned count, open = 0;
    const u32 *list = msr_passthrough(&count);

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(range); i++) {
        for (u32 msr = 0; msr < 0x2000; msr++) {
            unsigned bits = map[i * 0x800 + msr / 4] >> 2 * (msr % 4) & 3;
            bool ours = false;

            for (unsigned j = 0; j < count; j++)
                ours |= list[j] == range[i] + msr;
            assert_int_equal(bits, ours ? 0 : 3);
            open += ours;
        }
    }
    assert_int_equal(open, count);
}

/* APM 2 "IOIO Intercept": a bit for each port, and three more for accesses that begin at the last ones. */
static void test_port_map(void **state)
{
    const u8 *map = frame_window(vmcb()->control.iopm_base_pa);

    (void)state;
    for (unsigned port = 0; port < 65536 + 3; port++)
        assert_true(map[port / 8] >> port % 8 & 1);
}

/* Each reason that is asked for is known when it comes; each that was never asked for ends this VM alone. */
static void test_every_code(void **state)
{
    (void)state;
    for (unsigned code = 2 * 16; code < 0xC0; code++) {
        bool asked;

        if (code == VMEXIT_EXCP0 + VECTOR_MC) /* the host's own end */
            continue;
        CODE("\x0F\x01\xD1");
        leaves.next_rip = RIG_CODE + 2;
        trip(code, 0, 0);
        asked = intercept_get(&found, code);
        if (rig.vcpu->exit.kind == EXIT_UNKNOWN) {
            assert_false(asked);
            assert_int_equal(rig.vcpu->exit.u.raw.code, code);
        } else if (code != VMEXIT_VINTR && code != VMEXIT_IRET) { /* asked for at times */
            assert_true(asked);
        }
    }
    assert_int_equal(trip(0x401, 5, 6), EXIT_UNKNOWN);
    assert_int_equal(rig.vcpu->exit.u.raw.info[1], 6);
}

static void test_not_offered(void **state)
{
    static const u8 codes[] = { VMEXIT_VMRUN,  VMEXIT_VMMCALL, VMEXIT_VMLOAD,  VMEXIT_VMSAVE, VMEXIT_STGI, VMEXIT_CLGI,
                                VMEXIT_SKINIT, VMEXIT_INVLPGA, VMEXIT_MONITOR, VMEXIT_MWAIT,  VMEXIT_RSM };

    (void)state;
    for (unsigned i = 0; i < sizeof(codes); i++) {
        assert_int_equal(trip(codes[i], 0, 0), EXIT_UNDEFINED);
        assert_true(intercept_get(&found, codes[i]));
    }
}

/* --- Instructions ---------------------------------------------------------------------------------------------- */

static const struct {
    u8 code;
    u8 info1; /* of MSR: WRMSR */
    enum exit_kind kind;
    const char *bytes;
    u8 len;
} instructions[] = {
    { VMEXIT_CPUID, 0, EXIT_CPUID, "\x0F\xA2\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 2 },
    { VMEXIT_CPUID, 0, EXIT_CPUID, "\x66\x48\x0F\xA2\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 4 },
    { VMEXIT_HLT, 0, EXIT_HLT, "\xF4\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 1 },
    { VMEXIT_INVD, 0, EXIT_INVALIDATE, "\x0F\x08\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 2 },
    { VMEXIT_WBINVD, 0, EXIT_INVALIDATE, "\x0F\x09\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 2 },
    { VMEXIT_MSR, 0, EXIT_RDMSR, "\x0F\x32\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 2 },
    { VMEXIT_MSR, 1, EXIT_WRMSR, "\x2E\x0F\x30\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 3 },
    { VMEXIT_XSETBV, 0, EXIT_XSETBV, "\x0F\x01\xD1\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 3 },
};

/* The length is the processor's next RIP, where it saves one, else that of the instruction. */
static void test_lengths(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++) {
        code_put(instructions[i].bytes);
        svm_shared.next_rip = false;
        leaves.next_rip = 0;
        assert_int_equal(trip(instructions[i].code, instructions[i].info1, 0), instructions[i].kind);
        assert_int_equal(rig.vcpu->exit.len, instructions[i].len);
        svm_shared.next_rip = true;
        leaves.next_rip = RIG_CODE + 9;
        trip(instructions[i].code, instructions[i].info1, 0);
        assert_int_equal(rig.vcpu->exit.kind, instructions[i].kind);
        assert_int_equal(rig.vcpu->exit.len, 9);
    }
}

/* Another vcpu has changed the code: the guest executes what is there now. It cannot keep us at that for ever. */
static void test_changed_code(void **state)
{
    (void)state;
    svm_shared.next_rip = false;
    for (unsigned i = 0; i < 1000; i++) { /* now and then it is as it was */
        if (i % 2)
            CODE("\x0F\xA2");
        else
            CODE("\x90");
        assert_int_equal(trip(VMEXIT_CPUID, 0, 0), i % 2 ? EXIT_CPUID : EXIT_REENTER);
        assert_int_equal(rig.vcpu->rip, RIG_CODE);
    }
    CODE("\x90");
    for (unsigned i = 0; i < 1000; i++)
        trip(VMEXIT_CPUID, 0, 0);
    assert_int_equal(rig.vcpu->exit.kind, EXIT_UNKNOWN);
}

/* XSETBV of a program is a fault, also where the exit comes before the check (APM 3 "XSETBV"). */
static void test_xsetbv_of_a_program(void **state)
{
    (void)state;
    CODE("\x0F\x01\xD1");
    vmcb()->save.cpl = 3;
    assert_int_equal(trip(VMEXIT_XSETBV, 0, 0), EXIT_PROTECTED);
}

/* --- Ports: APM 2 "IOIO Intercept Information" ------------------------------------------------------------------- */

static void test_ports(void **state)
{
    const struct exit *exit = &rig.vcpu->exit;

    (void)state;
    assert_int_equal(trip(VMEXIT_IOIO, 0x60 << 16 | BIT(4) | 1, RIG_CODE + 2), EXIT_IO); /* in $0x60, %al */
    assert_true(exit->u.io.port == 0x60 && exit->u.io.size == 1 && exit->u.io.in && exit->len == 2);
    assert_false(exit->u.io.string || exit->u.io.rep);
    trip(VMEXIT_IOIO, 0xCF8ULL << 16 | BIT(6), RIG_CODE + 1); /* out %eax, %dx */
    assert_true(exit->u.io.port == 0xCF8 && exit->u.io.size == 4 && !exit->u.io.in && exit->len == 1);
    /* rep outsw with a GS prefix and 32-bit addresses */
    trip(VMEXIT_IOIO, 0x3F8ULL << 16 | 5ULL << 10 | BIT(8) | BIT(5) | BIT(3) | BIT(2), RIG_CODE + 4);
    assert_true(exit->u.io.string && exit->u.io.rep && exit->u.io.size == 2);
    assert_true(exit->u.io.addr_size == 4 && exit->u.io.seg == SEG_GS);
    svm_shared.decode_assists = false; /* the same from the instruction */
    CODE("\x65\x67\xF3\x66\x6F");
    trip(VMEXIT_IOIO, 0x3F8ULL << 16 | BIT(5) | BIT(3) | BIT(2), RIG_CODE + 5);
    assert_true(exit->kind == EXIT_IO && exit->len == 5 && exit->u.io.addr_size == 4 && exit->u.io.seg == SEG_GS);
    CODE("\x90");
    assert_int_equal(trip(VMEXIT_IOIO, 0x3F8ULL << 16 | BIT(5) | BIT(3) | BIT(2), RIG_CODE + 5), EXIT_REENTER);
}

/* --- Control registers ------------------------------------------------------------------------------------------- */

static void assert_cr(u8 cr, bool write, u64 value, u8 len)
{
    const struct exit *exit = &rig.vcpu->exit;

    assert_int_equal(exit->kind, EXIT_CR);
    assert_int_equal(exit->u.cr.cr, cr);
    assert_int_equal(exit->u.cr.write, write);
    assert_int_equal(exit->len, len);
    if (write)
        assert_int_equal(exit->u.cr.value, value);
}

static void test_cr_moves(void **state)
{
    const u64 mov = BIT(63);

    (void)state;
    rig.vcpu->regs[R9] = 0x1122334455667788;
    leaves.next_rip = RIG_CODE + 4;
    trip(VMEXIT_CR4_WRITE, mov | R9, 0);
    assert_cr(4, true, 0x1122334455667788, 4);
    vmcb()->save.seg[SEG_CS].attr &= ~0x200; /* compatibility mode: 32 bits */
    trip(VMEXIT_CR0_WRITE, mov | R9, 0);
    assert_cr(0, true, 0x55667788, 4);
    vmcb()->save.seg[SEG_CS].attr |= 0x200;
    trip(VMEXIT_CR8_READ, mov | R9, 0);
    assert_cr(8, false, 0, 4);
    assert_int_equal(rig.vcpu->exit.u.cr.gpr, R9);
    svm_shared.decode_assists = svm_shared.next_rip = false;
    CODE("\x41\x0F\x22\xE1"); /* mov %r9, %cr4 */
    trip(VMEXIT_CR4_WRITE, 0, 0);
    assert_cr(4, true, 0x1122334455667788, 4);
    CODE("\x44\x0F\x20\xC6"); /* mov %cr8, %rsi */
    trip(VMEXIT_CR8_READ, 0, 0);
    assert_cr(8, false, 0, 4);
    assert_int_equal(rig.vcpu->exit.u.cr.gpr, RSI);
}

/* APM 3 "CLTS" and "LMSW": the low four bits, of which PE is not cleared; from a register or from memory. */
static void test_clts_and_lmsw(void **state)
{
    const u64 cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;

    (void)state;
    vmcb()->save.cr0 = cr0 | CR0_TS | CR0_EM;
    CODE("\x0F\x06"); /* clts */
    trip(VMEXIT_CR0_WRITE, 0, 0);
    assert_cr(0, true, cr0 | CR0_EM, 2);
    CODE("\x0F\x01\xF1"); /* lmsw %cx */
    rig.vcpu->regs[RCX] = ~0ULL & ~CR0_PE;
    trip(VMEXIT_CR0_WRITE, 0, 0);
    assert_cr(0, true, cr0 | CR0_TS | CR0_EM | CR0_MP, 3);
    CODE("\x0F\x01\x37"); /* lmsw (%rdi) */
    guest_poke(0x4000, &(u16){ 0x8 }, 2);
    rig.vcpu->regs[RDI] = 0x4000;
    trip(VMEXIT_CR0_WRITE, 0, 0);
    assert_cr(0, true, cr0 | CR0_TS, 3);
    rig.vcpu->regs[RDI] = 4ULL << 30; /* not mapped: the guest's fault */
    assert_int_equal(trip(VMEXIT_CR0_WRITE, 0, 0), EXIT_REENTER);
    assert_true(rig.vcpu->event.valid && rig.vcpu->event.vector == VECTOR_PF);
    svm_set(rig.vcpu, &(struct vcpu_state){ .cr0 = CR0_ET }, STATE_CR); /* real mode: PE can be set */
    CODE("\x0F\x01\xF1");
    rig.vcpu->regs[RCX] = CR0_PE;
    trip(VMEXIT_CR0_WRITE, 0, 0);
    assert_cr(0, true, CR0_ET | CR0_PE, 3);
}

/* --- Nested faults, and what is no exit of the guest's ------------------------------------------------------------ */

static void test_nested_faults(void **state)
{
    const struct exit *exit = &rig.vcpu->exit;

    (void)state;
    assert_int_equal(trip(VMEXIT_NPF, BIT(32) | BIT(2) | BIT(1), 0xFEE00020), EXIT_NPF);
    assert_true(exit->u.npf.gpa == 0xFEE00020 && exit->u.npf.write && !exit->u.npf.fetch && !exit->u.npf.walk);
    trip(VMEXIT_NPF, BIT(32) | BIT(4) | BIT(2), 0x5000);
    assert_true(exit->u.npf.fetch && !exit->u.npf.write);
    trip(VMEXIT_NPF, BIT(33) | BIT(2), 0x5000); /* in the walk of the guest's tables */
    assert_true(exit->u.npf.walk);
    assert_int_equal(exit->len, 0);
}

static void test_refused_state(void **state)
{
    (void)state;
    CODE("\x90");
    assert_int_equal(trip(~0ULL, 0, 0), EXIT_ENTRY_FAILED);
    assert_int_equal(trip(VMEXIT_INVALID, 0, 0), EXIT_ENTRY_FAILED);
    assert_int_equal(rig.vcpu->rip, RIG_CODE);
}

/* --- Events ---------------------------------------------------------------------------------------------------- */

/* APM 2 "Event Injection": an event that an exit has interrupted is injected again, as it was. INT n, whose RIP is that
 * of the instruction, is executed again instead. */
static void test_interrupted_delivery(void **state)
{
    static const u64 again[] = { BIT(31) | 0x51, BIT(31) | 2 << 8 | 2, BIT(31) | 3 << 8 | VECTOR_UD,
                                 0x6ULL << 32 | BIT(31) | BIT(11) | 3 << 8 | VECTOR_PF };
    static const u64 not_again[] = { BIT(31) | 4 << 8 | 0x80, BIT(31) | 3 << 8 | VECTOR_BP, 0x51 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(again); i++) {
        rig.vcpu->nmi_blocked = false;
        leaves.exit_int_info = again[i];
        trip(VMEXIT_NPF, 0, 0x5000);
        assert_true(rig.vcpu->event.valid);
        leaves.exit_int_info = 0;
        trip(VMEXIT_INTR, 0, 0);
        assert_int_equal(found.event_injection, again[i]);
        assert_false(rig.vcpu->event.valid); /* it has arrived */
        trip(VMEXIT_INTR, 0, 0);
        assert_int_equal(found.event_injection, 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(not_again); i++) {
        leaves.exit_int_info = not_again[i];
        trip(VMEXIT_NPF, 0, 0x5000);
        assert_false(rig.vcpu->event.valid);
    }
}

/* A delivered NMI blocks the next until its IRET is executed: neither before that nor for longer. */
static void test_nmi_blocking(void **state)
{
    (void)state;
    rig.vcpu->event = (struct event){ .valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI };
    trip(VMEXIT_INTR, 0, 0);
    assert_true(rig.vcpu->nmi_blocked);
    assert_int_equal(trip(VMEXIT_IRET, 0, 0), EXIT_REENTER);
    assert_true(intercept_get(&found, VMEXIT_IRET));
    assert_true(rig.vcpu->nmi_blocked); /* IRET has yet to read its frame */
    trip(VMEXIT_INTR, 0, 0);
    assert_true(rig.vcpu->nmi_blocked); /* still at the IRET */
    assert_false(intercept_get(&found, VMEXIT_IRET));
    leaves.rip = RIG_CODE + 0x100;
    trip(VMEXIT_INTR, 0, 0);
    assert_false(rig.vcpu->nmi_blocked);
    leaves.rip = 0;
    leaves.exit_int_info = BIT(31) | 2 << 8 | 2; /* an NMI that did not arrive blocks nothing */
    rig.vcpu->event = (struct event){ .valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI };
    trip(VMEXIT_NPF, 0, 0x5000);
    assert_false(rig.vcpu->nmi_blocked);
}

/* A window is asked for once: a virtual interrupt above every priority, whose exit comes before its delivery. */
static void test_window(void **state)
{
    (void)state;
    rig.vcpu->want_window = true;
    assert_int_equal(trip(VMEXIT_VINTR, 0, 0), EXIT_WINDOW);
    assert_true(found.interrupt_control & BIT(8));
    assert_true(intercept_get(&found, VMEXIT_VINTR));
    trip(VMEXIT_INTR, 0, 0);
    assert_int_equal(found.interrupt_control, BIT(24)); /* the host's IF masks its interrupts, always */
    assert_false(intercept_get(&found, VMEXIT_VINTR));
}

/* A kick that has come is not entered over. */
static void test_kicked(void **state)
{
    (void)state;
    memset(&found, 0xEE, sizeof(found));
    this_cpu()->kicked = true;
    assert_int_equal(trip(VMEXIT_HLT, 0, 0), EXIT_INTERRUPT);
    this_cpu()->kicked = false;
    assert_int_equal(found.asid, 0xEEEEEEEE); /* it was not entered */
}

/* --- Translations: APM 2 "TLB Control" ---------------------------------------------------------------------------- */

static u32 next_asid(void)
{
    trip(VMEXIT_INTR, 0, 0);
    assert_in_range(found.asid, 1, ASIDS - 1); /* 0 is the host's */
    return found.asid;
}

/* A flush is a new ASID; when they are used up, all are flushed, and no other vcpu then goes on under an old one. */
static void test_asids(void **state)
{
    u32 first = next_asid(), before;
    unsigned flushes = 0;

    (void)state;
    assert_int_equal(next_asid(), first);
    for (unsigned i = 0; i < 100; i++) {
        rig.vm.npt.generation++; /* nested translations were taken away */
        before = found.asid;
        assert_true(next_asid() != before || found.tlb_control == TLB_CONTROL_FLUSH_ALL);
        flushes += found.tlb_control == TLB_CONTROL_FLUSH_ALL;
        assert_int_equal(rig.vcpu->npt_generation, rig.vm.npt.generation);
    }
    assert_in_range(flushes, 100 / ASIDS, 100 / (ASIDS - 1) + 1);
    before = next_asid();
    svm_cpu[0].asid_generation++; /* by other vcpus here: the ASID may be another's by now */
    svm_cpu[0].next_asid = 1;
    trip(VMEXIT_INTR, 0, 0);
    assert_int_equal(svm_cpu[0].next_asid, 2);
    this_cpu()->index = 1; /* on another CPU, whose ASIDs are given out apart */
    this_cpu()->backend_data = &svm_cpu[1];
    svm_cpu[1].asid_generation = svm_cpu[0].asid_generation;
    svm_cpu[1].next_asid = 5;
    assert_int_equal(next_asid(), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_next_instruction_is_missing),
        TEST(test_a_shadow_that_nobody_can_judge_stays),
        TEST(test_msr_map),
        TEST(test_port_map),
        TEST(test_every_code),
        TEST(test_not_offered),
        TEST(test_lengths),
        TEST(test_changed_code),
        TEST(test_xsetbv_of_a_program),
        TEST(test_ports),
        TEST(test_cr_moves),
        TEST(test_clts_and_lmsw),
        TEST(test_nested_faults),
        TEST(test_refused_state),
        TEST(test_interrupted_delivery),
        TEST(test_nmi_blocking),
        TEST(test_window),
        TEST(test_kicked),
        TEST(test_asids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
