/* SPDX-License-Identifier: BSD-2-Clause */
/* A whole VM as sections: what one machine saves, another one becomes; a section out of its place, of another version
 * or cut short is refused in words that name it. */
/* sources: net/output.c */
/* sources: migrate/vm_state.c stream/vm_history.c stream/vcpu_image.c stream/vcpu_image_check.c hv/cpuid.c */
/* sources: hv/cpuid_policy.c */
/* sources: dev/acpi_pm.c dev/apic_bus.c dev/cmos.c dev/console.c dev/i8254.c dev/i8259.c */
/* sources: dev/ioapic.c dev/irq.c dev/lapic.c dev/lapic_timer.c dev/mc146818.c dev/pci.c */
/* sources: dev/pci_msix.c dev/pit.c dev/platform.c dev/pv_eoi.c dev/pvclock.c dev/timer.c */
/* sources: dev/steal_time.c dev/sha256.c dev/shutdown.c dev/acpi_sleep.c */
/* sources: dev/uart16550.c dev/verdict.c dev/virtio_net.c dev/virtio_net_ctrl.c dev/virtio_net_tx.c */
/* sources: dev/virtio_net_state.c net/mac.c net/snoop.c net/announce.c net/offload.c */
/* sources: dev/virtio_pci.c hv/guest_tsc.c */
/* sources: dev/virtio_rng.c dev/virtqueue.c hv/bus.c host/calendar.c dev/codec.c mm/guest_mem.c mm/guest_missing.c */
/* sources: mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c net/hold.c net/heard.c net/ethernet.c net/csum.c */
/* sources: tests/unit/fake_random.c */
/* sources: net/headers.c tests/unit/platform_rig.c tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/load/images.h"
#include "host/asm.h"
#include "hv/backend.h"
#include "hv/cpuid_features.h"
#include "stream/vm_history.h"
#include "migrate/vm_state.h"
#include "tests/unit/platform_rig.h"
#include "tests/unit/vcpu_images.h"

#define SECTIONS_MAX 32
#define SECTION_MAX 20000

/* --- What vm_state.c stands on: two stored MSRs, state in memory, and no files ----------------------------------- */

static u64 msr_value[VCPUS][ARRAY_SIZE(stored)]; /* of the new machine's vcpus */
static const struct guest_image *located;
static bool takes_msrs;

const u32 *msr_stored_list(unsigned *count)
{
    *count = ARRAY_SIZE(stored);
    return stored;
}

static unsigned msr_index(u32 msr)
{
    return msr == stored[0] ? 0 : 1;
}

u64 msr_stored_get(struct vcpu *vcpu, u32 msr)
{
    return msr_value[vcpu->id][msr_index(msr)];
}

int msr_stored_set(struct vcpu *vcpu, u32 msr, u64 value)
{
    if (!takes_msrs)
        return -EINVAL;
    msr_value[vcpu->id][msr_index(msr)] = value;
    return 0;
}

void image_locate(struct guest_image *image, const u8 *vm_id)
{
    (void)vm_id;
    located = image;
}

void vm_tsc_here(struct guest_tsc *tsc, u64 khz)
{
    guest_tsc_init(tsc, khz, PLATFORM_RIG_TSC_KHZ, true);
}

static void state_get(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups)
{
    assert_int_equal(groups, STATE_ALL);
    *state = *(struct vcpu_state *)vcpu->backend;
}

static void state_set(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups)
{
    assert_int_equal(groups, STATE_ALL);
    *(struct vcpu_state *)vcpu->backend = *state;
}

static const struct backend memory_backend = { .get = state_get, .set = state_set };
const struct backend *backend_in_use = &memory_backend;

/* --- Two machines ---------------------------------------------------------------------------------------------- */

static struct cpuid_regs all_features(u32 leaf, u32 subleaf)
{
    if (leaf == 0)
        return (struct cpuid_regs){ .eax = 0x20 };
    if (leaf == 0xD && subleaf == 2)
        return (struct cpuid_regs){ .eax = 256, .ebx = 576 };
    return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
}

static void vcpu_become(struct vcpu *vcpu, const struct vcpu_image *image)
{
    memcpy(vcpu->regs, image->regs, sizeof(vcpu->regs));
    vcpu->rip = image->rip;
    vcpu->rflags = image->rflags;
    vcpu->event = image->event;
    vcpu->nmi_blocked = image->nmi_blocked;
    vcpu->status = image->status;
    vcpu->xcr0 = image->xcr0;
    vcpu->dr[2] = 0x2222;
    vcpu->tsc_aux = 0x77;
    vcpu->cr2 = 0xC0DE;
    vcpu->osxsave = image->state.cr4 & CR4_OSXSAVE;
    memcpy(vcpu->fpu, image->xsave, VCPU_IMAGE_XSAVE);
    *(struct vcpu_state *)vcpu->backend = image->state;
}

static void vcpus_make(struct machine *machine)
{
    static struct vcpu_image image;

    cpuid_policy_make(&machine->vm.identity.cpuid, all_features);
    for (unsigned i = 0; i < VCPUS; i++) {
        machine->vcpu[i].fpu = aligned_alloc(64, VCPU_IMAGE_XSAVE);
        machine->vcpu[i].backend = malloc(sizeof(struct vcpu_state));
        real_mode(&image);
        image.status = i ? VCPU_WAIT_SIPI : VCPU_RUNNABLE;
        vcpu_become(&machine->vcpu[i], &image);
    }
}

/* The move by which the old one came where it is. */
static const struct history_move came = { .mode = HISTORY_COLD, .from = "10.9.0.9:4900", .epoch = 9 };

static int setup(void **state)
{
    static struct vcpu_image image;

    platform_rig_setup(state);
    machines_make();
    vcpus_make(&rig.old);
    vcpus_make(&rig.new);
    for (unsigned i = 0; i < VCPUS; i++) { /* nothing there is right by chance */
        struct vcpu *vcpu = &rig.new.vcpu[i];

        vcpu->dr[2] = vcpu->cr2 = vcpu->tsc_aux = 0x99;
        memset(vcpu->fpu, 0, VCPU_IMAGE_XSAVE);
    }
    long_mode(&image);
    vcpu_become(&rig.old.vcpu[0], &image);
    rig.old.vm.status = VM_RUNNING;
    rig.new.vm.status = VM_INCOMING;
    rig.old.vm.resets = 3;
    rig.old.vm.on_crash = CONFIG_CRASH_STOP;
    strcpy(rig.old.vm.image.cmdline, "quiet");
    vm_history_add(&rig.old.vm, &came);
    rig.old.vm.image.kernel = (struct guest_file){ .data = "here", .size = 4, .digest = 44 };
    located = NULL;
    takes_msrs = true;
    return 0;
}

static int teardown(void **state)
{
    struct machine *machines[] = { &rig.old, &rig.new };

    for (unsigned i = 0; i < 2; i++) {
        free(machines[i]->vm.history);
        for (unsigned v = 0; v < VCPUS; v++) {
            free(machines[i]->vcpu[v].fpu);
            free(machines[i]->vcpu[v].backend);
        }
    }
    return platform_rig_teardown(state);
}

/* A section as it is on the wire. */
struct saved {
    struct wire_section head;
    u8 bytes[SECTION_MAX];
    size_t len;
};

static struct saved sections[SECTIONS_MAX], again[SECTIONS_MAX];

static unsigned save_all(struct vm *vm, struct saved *to)
{
    unsigned count = vm_section_count(vm);

    assert_in_range(count, 1, SECTIONS_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct codec c = codec_saver(to[i].bytes, sizeof(to[i].bytes));

        vm_state_section(vm, i, &to[i].head, &c);
        assert_int_equal(c.err, 0);
        to[i].len = c.at;
    }
    return count;
}

/* Restore a section at place `index`. Returns 0, or the error with its words in `why`. */
static char why[CODEC_WHY];

static int restore(struct vm *vm, unsigned index, const struct saved *from, size_t len)
{
    struct wire_section head = from->head;
    u8 *exact = malloc(len ? len : 1);
    struct codec c;

    memcpy(exact, from->bytes, len);
    c = codec_restorer(exact, len);
    vm_state_section(vm, index, &head, &c);
    memcpy(why, c.why, sizeof(why));
    free(exact);
    return c.err ? c.err : c.at == len ? 0 : -EMSGSIZE;
}

static void restore_all(struct vm *vm, const struct saved *from, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (restore(vm, i, &from[i], from[i].len))
            fail_msg("%s %u: %s", from[i].head.name, from[i].head.instance, why);
}

/* --- What arrives ---------------------------------------------------------------------------------------------- */

static void test_the_whole_vm_arrives(void **state)
{
    const struct vcpu *from = &rig.old.vcpu[0], *to = &rig.new.vcpu[0];
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    rig.new.vcpu[0].tsc_offset = 999;
    restore_all(&rig.new.vm, sections, count);
    assert_int_equal(save_all(&rig.new.vm, again), count);
    for (unsigned i = 0; i < count; i++) {
        assert_memory_equal(&sections[i].head, &again[i].head, sizeof(again[i].head));
        assert_int_equal(sections[i].len, again[i].len);
        assert_memory_equal(sections[i].bytes, again[i].bytes, again[i].len);
    }
    assert_memory_equal(to->regs, from->regs, sizeof(to->regs));
    assert_memory_equal(to->backend, from->backend, sizeof(struct vcpu_state));
    assert_memory_equal(to->fpu, from->fpu, VCPU_IMAGE_XSAVE);
    assert_memory_equal(to->dr, from->dr, sizeof(to->dr));
    assert_int_equal(to->rip, from->rip);
    assert_int_equal(to->cr2, 0xC0DE);
    assert_int_equal(to->tsc_aux, 0x77);
    assert_int_equal(to->status, VCPU_HALTED);
    assert_true(to->osxsave && to->nmi_blocked && to->event.valid);
    assert_int_equal(rig.new.vcpu[1].status, VCPU_WAIT_SIPI);
    assert_int_equal(rig.new.vm.resets, 3);
    assert_int_equal(rig.new.vm.on_crash, CONFIG_CRASH_STOP);
    assert_string_equal(rig.new.vm.image.cmdline, "quiet");
    assert_int_equal(rig.new.vm.image.kernel.digest, 44);
    assert_null(rig.new.vm.image.kernel.data); /* this machine looks for its own */
    assert_ptr_equal(located, &rig.new.vm.image);
    assert_false(rig.new.vm.incoming.paused);
}

static void assert_saves(struct vm *vm, const struct saved *as, unsigned count)
{
    assert_int_equal(save_all(vm, again), count);
    for (unsigned i = 0; i < count; i++) {
        if (as[i].len != again[i].len || memcmp(as[i].bytes, again[i].bytes, as[i].len) != 0)
            fail_msg("%s %u is not as it was restored", as[i].head.name, as[i].head.instance);
    }
}

/* A copy becomes one state after the other, whatever it was before: each checkpoint of a protected guest, and once more
 * the one before if a checkpoint is refused in the middle. */
static void test_one_state_after_the_other(void **state)
{
    static struct saved fresh[SECTIONS_MAX];
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    assert_int_equal(save_all(&rig.new.vm, fresh), count);
    for (unsigned bad = 0; bad < count; bad++) {
        restore_all(&rig.new.vm, sections, count);
        assert_saves(&rig.new.vm, sections, count);
        rig.tsc += 1000000;
        restore_all(&rig.new.vm, fresh, bad);
        if (fresh[bad].len)
            assert_int_not_equal(restore(&rig.new.vm, bad, &fresh[bad], fresh[bad].len - 1), 0);
        restore_all(&rig.new.vm, sections, count);
        assert_saves(&rig.new.vm, sections, count);
        restore_all(&rig.new.vm, fresh, count);
        assert_saves(&rig.new.vm, fresh, count);
    }
}

/* A guest's counter goes on from where it stood, whatever the counter of the machine. */
static void test_the_counter_goes_on(void **state)
{
    u64 before = vcpu_tsc(&rig.old.vcpu[0], rig.tsc);
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    rig.tsc += 123456789;
    restore_all(&rig.new.vm, sections, count);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(vcpu_tsc(&rig.new.vcpu[i], rig.tsc), before);
}

/* A paused guest is not let run because it moved. */
static void test_paused(void **state)
{
    unsigned count;

    (void)state;
    rig.old.vm.status = VM_PAUSED;
    count = save_all(&rig.old.vm, sections);
    restore_all(&rig.new.vm, sections, count);
    assert_true(rig.new.vm.incoming.paused);
    /* The destination says so, too, when it saves for the digest. */
    save_all(&rig.new.vm, again);
    assert_memory_equal(sections[count - 1].bytes, again[count - 1].bytes, again[count - 1].len);
}

/* --- Places ---------------------------------------------------------------------------------------------------- */

/* docs/migration-stream.md "State": devices, then vcpus, then the VM; those of one name are numbered in their order;
 * the description lists the devices by the same ones. */
static void test_order(void **state)
{
    struct wire_device device[WIRE_DEVICES];
    unsigned devices = vm_devices(&rig.old.vm, device), count = save_all(&rig.old.vm, sections);

    (void)state;
    assert_int_equal(count, devices + VCPUS + 1);
    for (unsigned i = 0; i < count; i++) {
        const struct wire_section *head = &sections[i].head;
        u32 namesakes = 0;

        if (i < devices) {
            assert_string_equal(head->name, device[i].name);
            assert_int_equal(head->instance, device[i].instance);
        } else if (i < devices + VCPUS) {
            assert_string_equal(head->name, "vcpu");
            assert_int_equal(head->instance, i - devices);
        } else {
            assert_string_equal(head->name, "vm");
        }
        for (unsigned j = 0; j < i; j++)
            namesakes += !strcmp(head->name, sections[j].head.name);
        assert_int_equal(head->instance, namesakes);
    }
}

/* Any section in the place of any other: left out, sent twice, exchanged. */
static void test_out_of_place(void **state)
{
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    for (unsigned place = 0; place <= count; place++) {
        for (unsigned i = 0; i < count; i++) {
            char words[CODEC_WHY];

            if (i == place)
                continue;
            assert_int_equal(restore(&rig.new.vm, place, &sections[i], sections[i].len), -ENOENT);
            if (place < count)
                snprintf(words, sizeof(words), "expected %s %u", sections[place].head.name,
                         sections[place].head.instance);
            else
                snprintf(words, sizeof(words), "expected no more 0");
            assert_string_equal(why, words);
        }
    }
    assert_int_equal(restore(&rig.new.vm, count, &(struct saved){ .len = 0 }, 0), -ENOENT);
    restore_all(&rig.new.vm, sections, count); /* none of that stands in the way */
}

static void test_unknown_names(void **state)
{
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        struct saved other = sections[i];

        other.head.instance += 100;
        assert_int_equal(restore(&rig.new.vm, i, &other, other.len), -ENOENT);
        other = sections[i];
        other.head.name[0] ^= 1;
        assert_int_equal(restore(&rig.new.vm, i, &other, other.len), -ENOENT);
    }
}

/* --- Contents -------------------------------------------------------------------------------------------------- */

/* A section begins with its version, unless it is empty. */
static void test_versions(void **state)
{
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        u16 version = sections[i].bytes[0] | sections[i].bytes[1] << 8;
        const u16 others[] = { version - 1, version + 1, 0xFFFF };

        for (unsigned j = 0; sections[i].len && j < ARRAY_SIZE(others); j++) {
            struct saved other = sections[i];

            memcpy(other.bytes, &others[j], sizeof(others[j]));
            assert_int_equal(restore(&rig.new.vm, i, &other, other.len), -ENOTSUP);
        }
    }
}

static void test_cut_short(void **state)
{
    unsigned count = save_all(&rig.old.vm, sections);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        for (size_t len = 0; len < sections[i].len; len += len < 64 || len + 64 > sections[i].len ? 1 : 61)
            assert_int_equal(restore(&rig.new.vm, i, &sections[i], len), -EINVAL);
}

/* What no VM of ours says of itself. */
static void test_own_section(void **state)
{
    unsigned vm = save_all(&rig.old.vm, sections) - 1;
    struct saved other = sections[vm];

    (void)state;
    other.bytes[2] = 2; /* paused */
    assert_int_equal(restore(&rig.new.vm, vm, &other, other.len), -EINVAL);
    other = sections[vm];
    other.bytes[2 + 1 + 8] = NR_CONFIG_CRASH;
    assert_int_equal(restore(&rig.new.vm, vm, &other, other.len), -EINVAL);
    assert_string_equal(why, "on-crash has no such value");
    other = sections[vm];
    memset(other.bytes + 2 + 1 + 8 + 1 + 4 * 8, 'x', CONFIG_CMDLINE);
    assert_int_equal(restore(&rig.new.vm, vm, &other, other.len), -EINVAL);
    assert_string_equal(why, "the command line has no end");
    other = sections[vm];
    other.bytes[other.len - sizeof(((struct history_move *)0)->from) - 1] = NR_HISTORY_MODES;
    assert_int_equal(restore(&rig.new.vm, vm, &other, other.len), -EINVAL);
    assert_string_equal(why, "a move that is none in its history");
    assert_int_equal(restore(&rig.new.vm, vm, &sections[vm], sections[vm].len), 0);
    assert_int_equal(rig.new.vm.history->moves, 1);
    assert_memory_equal(&rig.new.vm.history->move[0], &rig.old.vm.history->move[0], sizeof(struct history_move));
    assert_string_equal(rig.new.vm.history->move[0].from, "10.9.0.9:4900");
}

/* A value of an MSR that could not have been written here; a state that no processor of this policy has. */
static void test_what_this_machine_refuses(void **state)
{
    unsigned vcpu = save_all(&rig.old.vm, sections) - VCPUS - 1;
    u64 rip = rig.new.vcpu[0].rip;

    (void)state;
    takes_msrs = false;
    assert_int_equal(restore(&rig.new.vm, vcpu, &sections[vcpu], sections[vcpu].len), -EINVAL);
    assert_string_equal(why, "a value that its MSR can't hold");
    assert_int_equal(rig.new.vcpu[0].rip, rip);
    takes_msrs = true;
    rig.new.vm.identity.cpuid.xcr0 = 3;
    assert_int_equal(restore(&rig.new.vm, vcpu, &sections[vcpu], sections[vcpu].len), -EINVAL);
    assert_int_equal(rig.new.vcpu[0].rip, rip);
}

/* --- The rehearsal --------------------------------------------------------------------------------------------- */

static void test_rehearsal(void **state)
{
    char reason[WIRE_REASON] = "";
    unsigned count = save_all(&rig.new.vm, sections);

    (void)state;
    assert_true(vm_state_rehearse(&rig.new.vm, reason));
    assert_int_equal(save_all(&rig.new.vm, again), count); /* and leaves nothing behind */
    for (unsigned i = 0; i < count; i++)
        assert_memory_equal(sections[i].bytes, again[i].bytes, sections[i].len);
    rig.new.vcpu[1].rflags = 0; /* bit 1 is always set */
    assert_false(vm_state_rehearse(&rig.new.vm, reason));
    assert_string_equal(reason, "state of vcpu 1: this machine does not take its own");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_whole_vm_arrives),
        TEST(test_one_state_after_the_other),
        TEST(test_the_counter_goes_on),
        TEST(test_paused),
        TEST(test_order),
        TEST(test_out_of_place),
        TEST(test_unknown_names),
        TEST(test_versions),
        TEST(test_cut_short),
        TEST(test_own_section),
        TEST(test_what_this_machine_refuses),
        TEST(test_rehearsal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
