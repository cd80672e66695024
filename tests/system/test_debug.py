# SPDX-License-Identifier: BSD-2-Clause
"""The nets of the debug image hold: each mistake made on command ends in a panic that names it (docs/debug.md)."""

import re
import subprocess

import pytest
from machine import PROGRAM, ROOT, run_to_end
from test_control import Terminal

ASSERTION = r".*assertion failed: "

# Mistake, what the panic says, the function in which the backtrace finds it.
PANICS = [
    ("stack", "stack smashed", "smash_stack"),
    ("overflow", r"undefined behaviour at control/mistake\.c:\d+:\d+: signed overflow of an addition",
     "command_mistake"),
    ("index", r"undefined behaviour at control/mistake\.c:\d+:\d+: an index beyond its array", "command_mistake"),
    ("frame", r"frame \w+ was written after it was freed", "command_mistake"),
    ("heap", r"heap piece \w+ was written after it was freed", "command_mistake"),
    ("free-twice", r"heap piece \w+ freed twice", "command_mistake"),
    ("lock", ASSERTION + r".*holder.* == this_cpu\(\)", "command_mistake"),
    ("lock-twice", ASSERTION + r".*holder.* != this_cpu\(\)", "command_mistake"),
    ("lock-order", ASSERTION + r"this_cpu\(\)->locks >> lock->rank == 0", "command_mistake"),
    ("lock-kept", ASSERTION + r"this_cpu\(\)->locks == 0", "sched_loop"),
    ("lock-interrupts", ASSERTION + r".*RFLAGS_IF", "command_mistake"),
    ("lock-handler", ASSERTION + r"!this_cpu\(\)->in_handler", "trap_handle"),
    ("host-loop", ASSERTION + r"this_cpu\(\)->index == 0", "trap_handle"),
    ("vcpu-state", ASSERTION + r".*resident != ", "command_mistake"),
    ("vcpu-resident", ASSERTION + r".*->cpu == this_cpu\(\)->index", "command_mistake"),
]


@pytest.mark.parametrize("kind, panic, where", PANICS, ids=[kind for kind, _, _ in PANICS])
def test_mistake_is_caught(tmp_path, monkeypatch, kind, panic, where):
    monkeypatch.setenv("DEBUG", "1")
    with Terminal(tmp_path, "qemu") as terminal:
        terminal.command(f"mistake {kind}", rf"panic: {panic}.*\n")
        terminal.wait(rf"called from:\n(.*\n)*.* {where}\+0x\w+\n")
        terminal.wait(r"end status=3\n")
        assert terminal.run.wait(PROGRAM) == 3


def test_release_image_has_none_of_it():
    names = run_to_end(["nm", ROOT / "build/godwit.debug"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert " command_log\n" in names
    assert not re.search("command_mistake|__ubsan|__stack_chk|[ .]caught_|__wrap_|__real_", names)
    strings = (ROOT / "build/godwit.debug").read_bytes()
    assert b"assertion failed" in strings and not re.search(rb"in_handler|->locks ", strings)
