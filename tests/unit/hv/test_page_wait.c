/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/*
 * Exits that meet missing pages: the vcpu waits, and nothing has happened that the guest or a device could notice. When
 * the page is here, the same exit does once what it does in a guest whose memory is whole.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/fixup.h"
#include "mm/guest_missing.h"
#include "tests/unit/guest_rig.h"

#define BUFFER 0x200000ULL
#define MS_TICKS 2000000ULL /* of the rig's TSC */

static u8 page[PAGE_SIZE];

/* The page at gpa is missing from now on; `page` has what it will hold. */
static void hide(gpa_t gpa)
{
    assert_int_equal(guest_read(&rig.vm.mem, align_down(gpa, PAGE_SIZE), page, PAGE_SIZE), 0);
    assert_int_equal(guest_mem_expect(&rig.vm.mem, align_down(gpa, PAGE_SIZE), 1), 0);
}

/* The vcpu waits for the page at gpa and has asked for it. The page comes, and the vcpu goes on. */
static void comes(gpa_t gpa)
{
    u64 wanted;

    assert_int_equal(rig.vcpu->status, VCPU_WAIT_PAGE);
    assert_true(guest_mem_missing(&rig.vm.mem, rig.vcpu->page_wait.page));
    assert_true(guest_mem_wanted(&rig.vm.mem, &wanted));
    assert_int_equal(wanted, gpa / PAGE_SIZE);
    assert_false(guest_mem_wanted(&rig.vm.mem, &wanted));
    assert_int_equal(vm_page_supply(&rig.vm, wanted, page), 0);
    assert_int_equal(rig.vcpu->page_wait.since, 0);
    rig.vcpu->status = VCPU_RUNNABLE; /* the run loop has seen that */
}

/* Nothing has changed but what `waits` says. */
static void assert_waits_at(const struct exit *exit)
{
    u64 regs[NR_GPRS], rflags = rig.vcpu->rflags;
    unsigned accesses = rig.accesses;

    memcpy(regs, rig.vcpu->regs, sizeof(regs));
    assert_int_equal(guest_exits(exit, false), NO_FAULT);
    assert_int_equal(rig.vcpu->status, VCPU_WAIT_PAGE);
    assert_memory_equal(rig.vcpu->regs, regs, sizeof(regs));
    assert_int_equal(rig.vcpu->rflags, rflags);
    assert_int_equal(rig.accesses, accesses);
    assert_string_equal(rig.end, "");
}

static struct exit fault(gpa_t gpa)
{
    return (struct exit){ .kind = EXIT_NPF, .u.npf = { .gpa = gpa, .write = true } };
}

static struct exit string(bool is_in, bool rep)
{
    return (struct exit){
        .kind = EXIT_IO,
        .len = 2,
        .u.io = { .port = RIG_PORT, .size = 4, .in = is_in, .string = true, .rep = rep, .addr_size = 8, .seg = SEG_DS },
    };
}

static void test_the_guest_touches_a_page(void **state)
{
    const struct exit exit = fault(BUFFER + 100);

    (void)state;
    guest_poke(BUFFER + 100, "here", 4);
    hide(BUFFER);
    assert_waits_at(&exit);
    rig.tsc += 3 * MS_TICKS;
    comes(BUFFER);
    assert_int_equal(guest_peek(BUFFER + 100, 4), 0x65726568);
    /* 3 ms: [2048, 4096) us. It was the only vcpu, so the whole VM has waited. */
    assert_int_equal(rig.vcpu->page_wait.count, 1);
    assert_int_equal(rig.vcpu->page_wait.ns, 3000000);
    assert_int_equal(rig.vm.page_waits.latency[12], 1);
    assert_int_equal(rig.vm.page_waits.ns, 3000000);
    assert_int_equal(rig.vm.page_waits.waiting, 0);
    assert_int_equal(rig.vm.mem.requests, 1);
}

/* What was to be delivered when the page was missing is delivered later. */
static void test_an_event_waits_with_the_vcpu(void **state)
{
    const struct exit exit = fault(BUFFER);

    (void)state;
    hide(BUFFER);
    rig.vcpu->exit = exit;
    rig.vcpu->event = (struct event){ .valid = true, .type = EVENT_INTERRUPT, .vector = 0x31 };
    exit_handlers[rig.vcpu->exit.kind].handle(rig.vcpu);
    assert_true(rig.vcpu->event.valid && rig.vcpu->event.vector == 0x31);
    comes(BUFFER);
}

static void test_ins_reads_the_port_once(void **state)
{
    const struct exit rep = string(true, true);

    (void)state;
    hide(BUFFER);
    rig.answer = 0x64636261;
    rig.vcpu->regs[RDI] = BUFFER - 8;
    rig.vcpu->regs[RCX] = 5;
    assert_int_equal(guest_exits(&rep, false), NO_FAULT); /* two fit before the missing page */
    assert_int_equal(rig.accesses, 2);
    assert_int_equal(rig.vcpu->regs[RCX], 3);
    comes(BUFFER);
    assert_int_equal(guest_exits(&rep, true), NO_FAULT);
    assert_int_equal(rig.accesses, 5);
    assert_int_equal(rig.vcpu->regs[RDI], BUFFER + 12);
    assert_int_equal(guest_peek(BUFFER - 4, 8), 0x6463626164636261);
}

static void test_outs_over_two_missing_pages(void **state)
{
    const struct exit once = string(false, false);
    u64 wanted;

    (void)state;
    guest_poke(BUFFER - 2, "abcd", 4);
    hide(BUFFER);
    hide(BUFFER - PAGE_SIZE);
    rig.vcpu->regs[RSI] = BUFFER - 2;
    assert_waits_at(&once);
    assert_true(guest_mem_wanted(&rig.vm.mem, &wanted)); /* both are asked for at once */
    assert_int_equal(vm_page_supply(&rig.vm, wanted, page), 0);
    assert_int_equal(vm_page_supply(&rig.vm, BUFFER / PAGE_SIZE, (const u8[PAGE_SIZE]){ 'c', 'd' }), 0);
    assert_int_equal(rig.vcpu->page_wait.since, 0);
    rig.vcpu->status = VCPU_RUNNABLE;
    assert_int_equal(guest_exits(&once, true), NO_FAULT);
    assert_int_equal(rig.accesses, 1);
    assert_int_equal(rig.access[0].val, 0x64636261);
}

/* movsl from a device to a missing page, and the other way. */
static void test_a_device_is_read_once(void **state)
{
    const struct exit exit = fault(RIG_MMIO);

    (void)state;
    guest_poke(RIG_CODE, (const u8[]){ 0xA5 }, 1);
    hide(BUFFER);
    rig.answer = 0x11223344;
    rig.vcpu->regs[RSI] = RIG_MMIO;
    rig.vcpu->regs[RDI] = BUFFER;
    assert_waits_at(&exit);
    comes(BUFFER);
    assert_int_equal(guest_exits(&exit, true), NO_FAULT);
    assert_int_equal(rig.accesses, 1);
    assert_int_equal(guest_peek(BUFFER, 4), 0x11223344);

    hide(BUFFER);
    rig.vcpu->regs[RSI] = BUFFER;
    rig.vcpu->regs[RDI] = RIG_MMIO + 4;
    assert_waits_at(&exit);
    comes(BUFFER);
    assert_int_equal(guest_exits(&exit, true), NO_FAULT);
    assert_int_equal(rig.access[1].val, 0x11223344);
    assert_int_equal(rig.accesses, 2);
}

/* addl $1, -2(device): an operand half in RAM and half in the device, which is not touched before the RAM is here. */
static void test_half_an_operand(void **state)
{
    const struct exit exit = fault(RIG_MMIO);
    struct device *device = rig.vm.mmio.region[0].device;

    (void)state;
    assert_int_equal(bus_add(&rig.vm.mmio, RIG_RAM, PAGE_SIZE, device, 1), 0);
    guest_poke(RIG_CODE, (const u8[]){ 0x83, 0x07, 0x01 }, 3);
    hide(RIG_RAM - 1);
    rig.vcpu->regs[RDI] = RIG_RAM - 2;
    assert_waits_at(&exit);
    comes(RIG_RAM - PAGE_SIZE);
    assert_int_equal(guest_exits(&exit, true), NO_FAULT);
    assert_int_equal(rig.accesses, 2); /* read and written, once each */
}

/* The code of an access to a device, and the tables on the way to it. */
static void test_code_and_tables(void **state)
{
    const struct exit exit = fault(RIG_MMIO);
    const gpa_t needed[] = { RIG_CODE, rig.state->cr3, rig.state->cr3 + PAGE_SIZE };

    (void)state;
    guest_poke(RIG_CODE, (const u8[]){ 0x8B, 0x07 }, 2); /* mov (%rdi), %eax */
    rig.vcpu->regs[RDI] = RIG_MMIO;
    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
        hide(needed[i]);
        assert_waits_at(&exit);
        comes(needed[i]);
        assert_int_equal(guest_exits(&exit, true), NO_FAULT);
        assert_int_equal(rig.accesses, i + 1);
    }
}

static void test_control_registers_of_pae(void **state)
{
    const struct exit exit = { .kind = EXIT_CR, .len = 3, .u.cr = { .cr = 3, .write = true, .value = BUFFER } };

    (void)state;
    guest_poke(BUFFER, (const u64[4]){ 0x5001 }, 32);
    hide(BUFFER);
    rig.state->efer = 0;
    rig.state->cr4 = CR4_PAE;
    assert_waits_at(&exit);
    assert_int_not_equal(rig.state->cr3, BUFFER);
    comes(BUFFER);
    assert_int_equal(guest_exits(&exit, true), NO_FAULT);
    assert_int_equal(rig.state->cr3, BUFFER);
    assert_int_equal(rig.state->pdpte[0], 0x5001);
}

static int write_to_buffer(struct vcpu *vcpu, u32 msr, u64 value)
{
    (void)msr;
    return guest_write(&vcpu->vm->mem, BUFFER, &value, sizeof(value));
}

/* An MSR of dev that names a structure in the guest's memory. */
static void test_msr_with_memory_behind(void **state)
{
    static const struct vm_platform_ops platform = { .write_msr = write_to_buffer };
    const struct exit exit = { .kind = EXIT_WRMSR, .len = 2 };

    (void)state;
    vm_platform = &platform;
    hide(BUFFER);
    rig.vcpu->regs[RCX] = 0x4B564D01;
    rig.vcpu->regs[RAX] = 77;
    assert_waits_at(&exit);
    comes(BUFFER);
    assert_int_equal(guest_exits(&exit, true), NO_FAULT);
    assert_int_equal(guest_peek(BUFFER, 4), 77);
}

/* A machine reset ends the wait, and a page that comes afterwards is nobody's. */
static void test_a_reset_ends_the_wait(void **state)
{
    const struct exit exit = fault(BUFFER);

    (void)state;
    hide(BUFFER);
    assert_waits_at(&exit);
    rig.tsc += MS_TICKS;
    guest_mem_untouch(&rig.vm.mem);
    vcpu_restart(rig.vcpu);
    assert_int_equal(rig.vcpu->status, VCPU_RUNNABLE);
    assert_int_equal(rig.vm.page_waits.waiting, 0);
    assert_int_equal(rig.vcpu->page_wait.ns, 1000000);
    assert_int_equal(vm_page_supply(&rig.vm, BUFFER / PAGE_SIZE, page), -EEXIST);
}

/* INIT ends the wait, too, and whatever comes next finds no vcpu that waits. */
static void test_init_ends_the_wait(void **state)
{
    const struct exit exit = fault(BUFFER);

    (void)state;
    hide(BUFFER);
    assert_waits_at(&exit);
    vcpu_reset(rig.vcpu);
    assert_int_equal(rig.vm.page_waits.waiting, 0);
    assert_int_equal(vm_page_supply(&rig.vm, BUFFER / PAGE_SIZE, page), 0);
    assert_int_equal(rig.vcpu->page_wait.count, 1);
}

/* A vcpu has waited until its page came, not until its CPU looked: its VM may be paused meanwhile. */
static void test_a_wait_is_as_long_as_the_page_takes(void **state)
{
    const struct exit exit = fault(BUFFER);

    (void)state;
    hide(BUFFER);
    assert_waits_at(&exit);
    rig.tsc += MS_TICKS;
    assert_int_equal(vm_page_supply(&rig.vm, BUFFER / PAGE_SIZE, page), 0);
    assert_int_equal(rig.vcpu->status, VCPU_WAIT_PAGE);
    rig.tsc += 5 * MS_TICKS;
    vcpu_restart(rig.vcpu);
    assert_int_equal(rig.vcpu->page_wait.ns, 1000000);
    assert_int_equal(rig.vm.page_waits.ns, 1000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_guest_touches_a_page), TEST(test_an_event_waits_with_the_vcpu),
        TEST(test_ins_reads_the_port_once),  TEST(test_outs_over_two_missing_pages),
        TEST(test_a_device_is_read_once),    TEST(test_half_an_operand),
        TEST(test_code_and_tables),          TEST(test_control_registers_of_pae),
        TEST(test_msr_with_memory_behind),   TEST(test_a_reset_ends_the_wait),
        TEST(test_init_ends_the_wait),       TEST(test_a_wait_is_as_long_as_the_page_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
