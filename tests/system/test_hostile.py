# SPDX-License-Identifier: BSD-2-Clause
"""Guests that do what no machine survives: only they end, each with its reason; their neighbour goes on."""

import re

import pytest
from machine import boot, vm

# attack: what the status must say
FATAL = {
    "triple": "triple fault",
    "hltoff": "with interrupts off",
    "mmioexec": "instruction fetch from gpa",
    "pagetables": "page tables at gpa",
    "stack": "delivery of event",
    "descriptor": "triple fault",
    "realmode-garbage": "triple fault",
    "lme": "triple fault",
    "mmio-vector": "can't decode the instruction that accessed gpa 0xd0000000",
}

# A machine has eight guests at most.
HALVES = [list(FATAL)[::2], list(FATAL)[1::2]]


@pytest.mark.parametrize("attacks", HALVES, ids=["some", "others"])
@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_fatal_attacks(tmp_path, emu, attacks):
    config = vm("hello", "hello.elf") + "".join(
        vm(attack, "hostile.elf", cmdline=f"attack={attack}", memory="32M", on_crash="stop") for attack in attacks)
    done = boot(tmp_path, config, emu, 1, 768)
    assert done.end_of("hello") == ("passed", "verdict 0")
    for attack in attacks:
        reason = FATAL[attack]
        status, why = done.end_of(attack)
        assert (status, why[:len(reason)]) == ("halted" if attack == "hltoff" else "crashed", reason), why
    assert done.status == 1, done.errors
    # Each crash came with a decoded dump.
    assert done.log.count("rflags") >= len(attacks) - 1


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_endless_loop_and_triple_faults(tmp_path, emu):
    """A guest that never exits by itself, interrupts off or not, takes its share of the only processor and no more. A
    triple fault is a reset, as on a PC; but not for ever, where nothing but the next triple fault comes of it."""
    config = vm("spin", "hostile.elf", cmdline="attack=loop", memory="32M") + vm("irq", "irq.elf") + \
        vm("triple", "hostile.elf", cmdline="attack=triple", memory="32M", on_crash="stop") + \
        vm("resets", "hostile.elf", cmdline="attack=triple", memory="32M")
    done = boot(tmp_path, config, emu, 1, 768, stop_when=["irq", "triple", "resets"])
    assert done.end_of("irq") == ("passed", "verdict 0")
    assert done.end_of("triple")[0] == "crashed" and " triple: reset\n" not in done.log
    assert len(re.findall(r" resets: triple fault: a reset", done.log)) == 3
    assert len(re.findall(r" resets: reset\n", done.log)) == 3
    assert done.end_of("resets") == ("crashed", "triple fault")
    assert done.end_of("spin")[0] is None


def test_endless_loop_gets_no_more_than_a_slice(tmp_path):
    """A guest behind two loops in the queue waits for two slices of 1 ms until its first turn, not for ever.

    The clock counts instructions, one in two nanoseconds, so that a busy host makes no difference.
    """
    loops = "".join(vm(f"spin{i}", "hostile.elf", cmdline="attack=loop", memory="32M") for i in range(2))
    done = boot(tmp_path, loops + vm("hello", "hello.elf", memory="32M"), "qemu", 1, 768, stop_when=["hello"],
                extra=["-icount", "shift=1"])
    assert done.end_of("hello") == ("passed", "verdict 0")
    assert done.number(r"hello: first entry (\d+) us after creation") < 50_000
