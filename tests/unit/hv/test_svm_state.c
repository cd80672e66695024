/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/svm/state.c */
/* What the processor left in the VMCB is what another one is given: every field, whatever is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/svm/svm.h"
#include "hv/vm.h"
#include "mm/guest_walk.h"

#define TYPE_TSS_AVAILABLE 9
#define TYPE_TSS_BUSY 11

struct machine {
    struct vmcb vmcb;
    struct svm_vcpu svm;
    struct vm vm;
    struct vcpu vcpu;
};

struct svm_shared svm_shared;
static struct machine from, to;

/* The four PAE entries are reread by the processor; no other memory is here. */
static u64 entries[4];

int guest_pdptes_read(struct guest_mem *mem, u64 cr3, u64 pdpte[4])
{
    (void)mem, (void)cr3;
    memcpy(pdpte, entries, sizeof(entries));
    return 0;
}

static int setup(void **unused)
{
    struct machine *machines[] = { &from, &to };

    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        memset(machines[i], 0, sizeof(*machines[i]));
        machines[i]->svm.vmcb = &machines[i]->vmcb;
        machines[i]->vcpu.backend = &machines[i]->svm;
        machines[i]->vcpu.vm = &machines[i]->vm;
    }
    return 0;
}

static void fill(void *area, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((u8 *)area)[i] = (u8)rand();
}

/* What only hardware writes so: a descriptor's attributes in 12 bits, CPL beside SS, a guest in long mode. */
static void save_area_make(struct vmcb_save *save)
{
    struct vmcb_segment *segment[] = { &save->seg[SEG_ES], &save->seg[SEG_CS], &save->seg[SEG_SS], &save->seg[SEG_DS],
                                       &save->seg[SEG_FS], &save->seg[SEG_GS], &save->ldtr,        &save->tr };

    fill(save, sizeof(*save));
    for (unsigned i = 0; i < ARRAY_SIZE(segment); i++)
        segment[i]->attr &= VMCB_ATTR_LOW | VMCB_ATTR_HIGH;
    save->cpl = field_get(SEG_DPL, save->seg[SEG_SS].attr);
    save->efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_SCE;
}

/* Those that svm_run moves, and those that no guest has. */
static void forget_the_rest(struct vmcb_save *save)
{
    save->rip = save->rflags = save->rsp = save->rax = save->cr2 = 0;
    save->gdtr.selector = save->gdtr.attr = save->idtr.selector = save->idtr.attr = 0;
    save->gdtr.limit &= 0xFFFF;
    save->idtr.limit &= 0xFFFF;
    memset(save->reserved_0a0, 0, sizeof(save->reserved_0a0));
    save->reserved_0cc = 0;
    memset(save->reserved_0d8, 0, sizeof(save->reserved_0d8));
    memset(save->reserved_180, 0, sizeof(save->reserved_180));
    memset(save->reserved_1e0, 0, sizeof(save->reserved_1e0));
    memset(save->reserved_248, 0, sizeof(save->reserved_248));
}

static void test_all_is_kept(void **unused)
{
    (void)unused;
    for (unsigned round = 0; round < 10000; round++) {
        struct vcpu_state state;

        save_area_make(&from.vmcb.save);
        from.svm.cr4 = from.vmcb.save.cr4;
        from.svm.efer = from.vmcb.save.efer & ~EFER_SVME;
        forget_the_rest(&from.vmcb.save);
        svm_get(&from.vcpu, &state, STATE_ALL);
        svm_set(&to.vcpu, &state, STATE_ALL);
        assert_memory_equal(&to.vmcb.save, &from.vmcb.save, sizeof(from.vmcb.save));
        assert_int_equal(to.svm.cr4, from.svm.cr4);
        assert_int_equal(to.svm.efer, from.svm.efer);
    }
}

/* A guest that takes no machine checks, on a host that does: the guest sees what it wrote, the processor takes them. */
static void test_machine_checks_are_the_hosts(void **unused)
{
    const u64 values[] = { 0, CR4_PAE, CR4_PAE | CR4_MCE };

    (void)unused;
    svm_shared.cr4_always = CR4_MCE;
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        struct vcpu_state state = { .cr4 = values[i] };

        svm_set(&to.vcpu, &state, STATE_CR);
        assert_int_equal(to.vmcb.save.cr4, values[i] | CR4_MCE);
        svm_get(&to.vcpu, &state, STATE_CR);
        assert_int_equal(state.cr4, values[i]);
    }
    svm_shared.cr4_always = 0;
}

/* What is in memory now need not be what the guest once loaded: what no processor takes is as if not present. */
static void test_pae_entries_can_be_loaded(void **unused)
{
    const u64 good = 0x5000 | PTE_P, bad[] = { good | BIT(1), good | BIT(7), good | BIT(40), good | BIT(63) };
    struct vcpu_state state;

    (void)unused;
    from.vmcb.save.cr0 = CR0_PE | CR0_PG;
    from.svm.cr4 = CR4_PAE;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        entries[0] = good;
        entries[1] = bad[i];
        svm_get(&from.vcpu, &state, STATE_CR);
        assert_int_equal(state.pdpte[0], good);
        assert_int_equal(state.pdpte[1], 0);
    }
}

/* LTR leaves one type in the register and another in memory, and processors check for what they left. */
static void test_type_of_tr(void **unused)
{
    const u16 types[] = { TYPE_TSS_AVAILABLE, TYPE_TSS_BUSY, 1, 3 };

    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        struct vcpu_state state;

        from.vmcb.save.tr.attr = SEG_P | types[i];
        svm_get(&from.vcpu, &state, STATE_SEGMENTS);
        assert_int_equal(state.seg[SEG_TR].attr & SEG_TYPE, types[i]);
        svm_set(&to.vcpu, &state, STATE_SEGMENTS);
        assert_int_equal(to.vmcb.save.tr.attr, from.vmcb.save.tr.attr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_all_is_kept, setup),
        cmocka_unit_test_setup(test_machine_checks_are_the_hosts, setup),
        cmocka_unit_test_setup(test_pae_entries_can_be_loaded, setup),
        cmocka_unit_test_setup(test_type_of_tr, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
