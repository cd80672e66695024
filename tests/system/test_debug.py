# SPDX-License-Identifier: BSD-2-Clause
"""The nets of the debug image hold: each mistake made on command ends in a panic that names it (docs/debug.md)."""

import re
import subprocess

import pytest
from machine import ROOT
from test_control import Terminal

PANICS = {
    "stack": "stack smashed",
    "overflow": r"undefined behaviour at hv/control/mistake\.c:\d+:\d+: signed overflow of an addition",
    "index": r"undefined behaviour at hv/control/mistake\.c:\d+:\d+: an index beyond its array",
    "frame": r"frame \w+ was written after it was freed",
    "lock": r".*assertion failed: spin_is_held\(lock\)",
}


@pytest.mark.parametrize("kind", PANICS)
def test_mistake_is_caught(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("DEBUG", "1")
    with Terminal(tmp_path, "qemu") as terminal:
        terminal.command(f"mistake {kind}", rf"panic: {PANICS[kind]}.*\n")
        terminal.wait(r"called from:\n(.*\n)*.* command_mistake\+0x\w+\n")
        terminal.wait(r"end status=3\n")
        assert terminal.run.wait(30) == 3


def test_release_image_has_none_of_it():
    names = subprocess.run(["nm", ROOT / "build/godwit.debug"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert " command_log\n" in names
    assert not re.search("command_mistake|__ubsan|__stack_chk|caught_", names)
