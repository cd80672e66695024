# SPDX-License-Identifier: BSD-2-Clause
"""The test guests pass while their RAM goes missing again and again, and comes back page by page: whatever makes the
hypervisor touch guest memory waits for it, and does what it does once (docs/exits.md, docs/debug.md `hide`).
"""

import pytest
from machine import vm
from test_control import Terminal

GUESTS = {
    "modes": {},  # string I/O in real mode, PAE, faults in delivery
    "irq": {},  # each form of an access to a device, events among page faults
    "memory": {"memory": "16M"},
    "chips": {},  # the MSRs with memory behind them, EOI by a word in memory
}
EVERY = {"chips": 2000}  # ms between two times; chips waits 5 s for ticks, on a busy machine, too


def config(names):
    return "".join(vm(name, f"{name}.elf", **{"memory": "8M", "autostart": "no", **GUESTS[name]})
                   for name in names) + vm("two", "echo.elf", memory="8M")


@pytest.mark.parametrize("emu, names", [("qemu", list(GUESTS)), ("bochs", ["modes", "irq"])])
def test_guests_pass_with_missing_pages(tmp_path, monkeypatch, emu, names):
    monkeypatch.setenv("DEBUG", "1")
    cpus = 2 if emu == "qemu" else 1
    with Terminal(tmp_path, emu, cpus, config=config(names), options=("--mem", "512")) as terminal:
        for name in names:
            terminal.command(f"hide {name} {EVERY.get(name, 300)} 50", r"pages +\d+\n")
            terminal.command(f"start {name}", r"^status +running\n")
            counted = terminal.wait(rf"vm: {name}: hidden (\d+) times, (\d+) pages asked for, "
                                    r"vcpus waited (\d+) times\n")
            assert all(int(number) > 0 for number in counted.groups())
            assert f"{name}: | {name}: PASS\n" in terminal.text
