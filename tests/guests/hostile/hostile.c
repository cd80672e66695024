/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile: does what no guest should, and expects what the manuals say about it, or nothing at all. attack=NAME on the
 * command line picks one attack; attack=list, the default, runs all that a guest can survive.
 */
#include "tests/guests/hostile/hostile.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

const char guest_name[] = "hostile";

/* Whether the guest is there afterwards. Only SURVIVED ones are part of the list. */
enum outcome { SURVIVED, FATAL };

static const struct attack {
    const char *name;
    void (*fn)(void);
    enum outcome outcome;
} attacks[] = {
    { "features", attack_features, SURVIVED },
    { "virtualization", attack_virtualization, SURVIVED },
    { "instructions", attack_instructions, SURVIVED },
    { "user", attack_user, SURVIVED },
    { "single-step", attack_single_step, SURVIVED },
    { "fast-call", attack_fast_call, SURVIVED },
    { "ports", attack_ports, SURVIVED },
    { "chips", attack_chips, SURVIVED },
    { "strings", attack_strings, SURVIVED },
    { "msrs", attack_msrs, SURVIVED },
    { "mmio", attack_mmio, SURVIVED },
    { "lapic", attack_lapic, SURVIVED },
    { "registers", attack_registers, SURVIVED },
    { "debug-registers", attack_debug_registers, SURVIVED },
    { "modes", attack_modes, SURVIVED },
    { "segments", attack_segments, SURVIVED },
    { "gates", attack_gates, SURVIVED },
    { "addresses", attack_addresses, SURVIVED },
    { "int-storm", attack_int_storm, SURVIVED },
    { "self-modifying", attack_self_modifying, SURVIVED },
    { "fault-recursion", attack_fault_recursion, SURVIVED },
    { "triple", attack_triple, FATAL },
    { "hltoff", attack_hltoff, FATAL },
    { "mmioexec", attack_mmioexec, FATAL },
    { "pagetables", attack_pagetables, FATAL },
    { "stack", attack_stack, FATAL },
    { "loop", attack_loop, FATAL },
    { "descriptor", attack_descriptor, FATAL },
    { "realmode-garbage", attack_realmode_garbage, FATAL },
    { "lme", attack_lme, FATAL },
    { "mmio-vector", attack_mmio_vector, FATAL },
};

bool on_godwit(const char *what)
{
    if (!boot.godwit)
        report_skip(what, "this machine is more forgiving");
    return boot.godwit;
}

u32 random32(void)
{
    static u32 state = 2463534242;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void attack_run(const struct attack *a)
{
    if (a->outcome == FATAL)
        kprintf("attack %s: this is to end the guest\n", a->name);
    report_prefix(a->name);
    a->fn();
    report("survived", a->outcome != FATAL);
    report_prefix(NULL);
}

void guest_main(void)
{
    char name[32] = "list";
    bool all, found = false;

    boot_option("attack", name, sizeof(name));
    all = strcmp(name, "list") == 0;
    for (unsigned i = 0; i < ARRAY_SIZE(attacks); i++) {
        if (all ? attacks[i].outcome == FATAL : strcmp(name, attacks[i].name) != 0)
            continue;
        found = true;
        attack_run(&attacks[i]);
    }
    report("the attack is known", found);
}
