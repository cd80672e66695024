# SPDX-License-Identifier: BSD-2-Clause
"""Every test guest, on each backend, with one processor (shared with the host loop) and more. Under Bochs, whose
firmware takes longer than a guest, all are in one machine."""

import pytest
from machine import boot, vm

GUESTS = ["hello", "modes", "irq", "fpu", "memory", "hostile", "chips", "fuzz"]
BACKENDS = {"qemu": "AMD-V", "bochs": "VT-x"}


def check(done, guest):
    lines = done.guest_lines(guest)
    assert not [line for line in lines if "FAIL" in line], done.log[-4000:]
    assert done.end_of(guest) == ("passed", "verdict 0")
    assert f"{guest}: PASS" in lines, done.log[-4000:]


def check_machine(done, emu, cpus):
    assert done.status == 0, done.errors
    assert BACKENDS[emu] in done.log
    assert f" {cpus} processor" in done.log


@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("cpus", [1, 2])
def test_guest(tmp_path, cpus, guest):
    done = boot(tmp_path, vm(guest, f"{guest}.elf"), "qemu", cpus)
    check(done, guest)
    check_machine(done, "qemu", cpus)


@pytest.mark.parametrize("emu, cpus", [("qemu", 1), ("bochs", 1), ("bochs", 2)])
def test_all_together(tmp_path, emu, cpus):
    """None sees another."""
    done = boot(tmp_path, "".join(vm(guest, f"{guest}.elf", memory="64M") for guest in GUESTS), emu, cpus, 768)
    for guest in GUESTS:
        check(done, guest)
    check_machine(done, emu, cpus)


# (vcpus, cpus): all share the only processor, or one beside the host loop; each has its own; two to each.
SHAPES = [(1, 1), (2, 1), (2, 2), (2, 3), (4, 1), (4, 3)]


@pytest.mark.parametrize("vcpus, cpus", SHAPES)
@pytest.mark.parametrize("emu", BACKENDS)
def test_smp(tmp_path, emu, vcpus, cpus):
    if emu == "bochs" and vcpus > 2:
        pytest.skip("takes minutes")
    done = boot(tmp_path, vm("smp", "smp.elf", vcpus=vcpus), emu, cpus)
    lines = done.guest_lines("smp")
    assert not [line for line in lines if "FAIL" in line], done.log[-4000:]
    assert f"smp: {vcpus} processors" in lines
    assert done.end_of("smp") == ("passed", "verdict 0"), done.log[-4000:]
    assert done.status == 0, done.errors
