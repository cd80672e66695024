/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/inject.c */
/* Events that meet: which become a double fault, which end the VM, which wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/inject.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static struct vm vm;
static struct vcpu vcpu;
static unsigned crashes, triple_faults;
static int offered; /* the vector that ack gives, -1 if its source has withdrawn it */
static int acknowledged;

void vm_crash(struct vcpu *who, const char *format, ...)
{
    (void)format;
    assert_ptr_equal(who, &vcpu);
    crashes++;
}

void vm_triple_fault(struct vcpu *who, const char *format, ...)
{
    (void)format;
    assert_ptr_equal(who, &vcpu);
    triple_faults++;
}

static int record_ack(struct vcpu *who)
{
    (void)who;
    acknowledged = offered;
    return offered;
}

static const struct interrupt_ops interrupts = { .ack = record_ack };

static int setup(void **state)
{
    (void)state;
    vcpu = (struct vcpu){ .vm = &vm, .rflags = RFLAGS_FIXED1 | RFLAGS_IF, .interrupts = &interrupts };
    crashes = 0;
    acknowledged = -1;
    return 0;
}

/* Raise `second` while `first` is being delivered; the vector that comes of it. */
static int meet(u8 first, u8 second)
{
    setup(NULL);
    vcpu.event = (struct event){ .valid = true, .type = EVENT_EXCEPTION, .vector = first };
    inject_exception(&vcpu, second, 0x1234);
    return vcpu.event.vector;
}

/* SDM 3A table "Conditions for Generating a Double Fault": for each pair. */
static void test_double_fault(void **state)
{
    static const u8 contributory[] = { VECTOR_DE, VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP };
    static const u8 benign[] = { VECTOR_DB, VECTOR_BP, VECTOR_UD, VECTOR_NM, VECTOR_AC };

    (void)state;
    for (unsigned i = 0; i < sizeof(contributory); i++) {
        for (unsigned j = 0; j < sizeof(contributory); j++)
            assert_int_equal(meet(contributory[i], contributory[j]), VECTOR_DF);
        for (unsigned j = 0; j < sizeof(benign); j++) {
            assert_int_equal(meet(contributory[i], benign[j]), benign[j]);
            assert_int_equal(meet(benign[j], contributory[i]), contributory[i]);
            assert_int_equal(meet(benign[j], VECTOR_PF), VECTOR_PF);
            assert_int_equal(meet(VECTOR_PF, benign[j]), benign[j]);
        }
        assert_int_equal(meet(contributory[i], VECTOR_PF), VECTOR_PF);
        assert_int_equal(meet(VECTOR_PF, contributory[i]), VECTOR_DF);
    }
    assert_int_equal(meet(VECTOR_PF, VECTOR_PF), VECTOR_DF);
    assert_true(vcpu.event.has_error);
    assert_int_equal(vcpu.event.error, 0);
    assert_int_equal(crashes, 0);
}

/*
 * INT n of a program in virtual-8086 mode pushes on the program's stack if CR4.VME is set, and raises #AC there if the
 * stack is odd: a fault of that instruction. So it is with all that an instruction raises.
 */
static void test_software_event(void **state)
{
    static const u8 types[] = { EVENT_SOFT_INTERRUPT, EVENT_PRIVILEGED_EXCEPTION, EVENT_SOFT_EXCEPTION };

    (void)state;
    for (unsigned i = 0; i < sizeof(types); i++) {
        setup(NULL);
        vcpu.event = (struct event){ .valid = true, .type = types[i], .vector = VECTOR_BP, .len = 2 };
        inject_exception(&vcpu, VECTOR_AC, 0);
        assert_true(vcpu.event.valid);
        assert_int_equal(vcpu.event.type, EVENT_EXCEPTION);
        assert_int_equal(vcpu.event.vector, VECTOR_AC);
        assert_int_equal(crashes, 0);
    }
}

static void test_triple_fault(void **state)
{
    (void)state;
    meet(VECTOR_DF, VECTOR_GP);
    assert_int_equal(triple_faults, 1);
    meet(VECTOR_DF, VECTOR_UD);
    assert_int_equal(triple_faults, 2);
    assert_int_equal(crashes, 0);
}

static void test_error_codes(void **state)
{
    (void)state;
    inject_exception(&vcpu, VECTOR_UD, 0);
    assert_true(vcpu.event.valid);
    assert_int_equal(vcpu.event.type, EVENT_EXCEPTION);
    assert_false(vcpu.event.has_error);
    setup(NULL);
    inject_gp(&vcpu);
    assert_int_equal(vcpu.event.vector, VECTOR_GP);
    assert_true(vcpu.event.has_error);
    assert_int_equal(vcpu.event.error, 0);
    setup(NULL);
    inject_exception(&vcpu, VECTOR_PF, 3);
    assert_int_equal(vcpu.event.vector, VECTOR_PF);
    assert_int_equal(vcpu.event.error, 3);
}

/* A fault restarts its instruction, a debug trap doesn't. */
static void test_resume_flag(void **state)
{
    (void)state;
    inject_gp(&vcpu);
    assert_true(vcpu.rflags & RFLAGS_RF);
    setup(NULL);
    inject_exception(&vcpu, VECTOR_DB, 0);
    assert_false(vcpu.rflags & RFLAGS_RF);
}

static void pend(int vector)
{
    setup(NULL);
    vcpu.interrupt_pending = true;
    offered = vector;
}

static void assert_waits(void)
{
    struct event before = vcpu.event;

    inject_interrupts(&vcpu);
    assert_int_equal(acknowledged, -1);
    assert_true(vcpu.want_window);
    assert_memory_equal(&vcpu.event, &before, sizeof(before));
}

static void test_interrupt(void **state)
{
    (void)state;
    pend(0x51);
    inject_interrupts(&vcpu);
    assert_int_equal(acknowledged, 0x51);
    assert_true(vcpu.event.valid);
    assert_int_equal(vcpu.event.type, EVENT_INTERRUPT);
    assert_int_equal(vcpu.event.vector, 0x51);
    assert_false(vcpu.want_window);
    assert_true(vcpu.ask_interrupts);
}

/* The 8259's output falls while nobody could take it: then there is nothing to inject. */
static void test_interrupt_withdrawn(void **state)
{
    (void)state;
    pend(-1);
    inject_interrupts(&vcpu);
    assert_false(vcpu.event.valid);
    assert_true(vcpu.ask_interrupts);
}

static void test_interrupt_waits(void **state)
{
    (void)state;
    pend(0x51);
    vcpu.rflags &= ~RFLAGS_IF;
    assert_waits();
    pend(0x51);
    vcpu.shadow = SHADOW_STI;
    assert_waits();
    pend(0x51);
    vcpu.shadow = SHADOW_MOV_SS;
    assert_waits();
    pend(0x51);
    vcpu.event = (struct event){ .valid = true, .type = EVENT_EXCEPTION, .vector = VECTOR_DB };
    assert_waits();
}

static void test_nmi(void **state)
{
    (void)state;
    pend(0x51);
    vcpu.nmi_pending = true;
    vcpu.rflags &= ~RFLAGS_IF;
    inject_interrupts(&vcpu);
    assert_int_equal(vcpu.event.type, EVENT_NMI);
    assert_int_equal(vcpu.event.vector, VECTOR_NMI);
    assert_false(vcpu.nmi_pending);
    assert_true(vcpu.want_window); /* the interrupt comes after it */
    assert_int_equal(acknowledged, -1);
}

static void test_nmi_waits(void **state)
{
    (void)state;
    vcpu.nmi_pending = vcpu.nmi_blocked = true;
    inject_interrupts(&vcpu);
    assert_true(vcpu.nmi_pending);
    assert_false(vcpu.event.valid);
    vcpu.nmi_blocked = false;
    vcpu.shadow = SHADOW_MOV_SS;
    inject_interrupts(&vcpu);
    assert_true(vcpu.nmi_pending);
    assert_false(vcpu.event.valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_double_fault, setup),        cmocka_unit_test_setup(test_triple_fault, setup),
        cmocka_unit_test_setup(test_error_codes, setup),         cmocka_unit_test_setup(test_resume_flag, setup),
        cmocka_unit_test_setup(test_interrupt, setup),           cmocka_unit_test_setup(test_interrupt_waits, setup),
        cmocka_unit_test_setup(test_interrupt_withdrawn, setup), cmocka_unit_test_setup(test_nmi, setup),
        cmocka_unit_test_setup(test_nmi_waits, setup),           cmocka_unit_test_setup(test_software_event, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
