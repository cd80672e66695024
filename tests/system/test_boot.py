# SPDX-License-Identifier: BSD-2-Clause
"""The disk that mkimage makes, and what the firmware's console says if something is wrong with it."""


import hashlib

import pytest
from disks import make_disk, replace
from machine import IMAGES, ROOT, boot, vm

CONFIG = vm("hello", "guests/hello.elf")
OVMF = "/usr/share/ovmf/OVMF.fd"
HELLO = ROOT / "build/guest/hello.elf"
HYPERVISOR = (IMAGES / "godwit.elf").read_bytes()


def test_disk_boots(tmp_path):
    """By the distribution's firmware as it is; all others boot by one without some modules (tools/firmware)."""
    done = boot(tmp_path, None, "qemu", options=["--firmware", OVMF], image=make_disk(tmp_path, CONFIG, HELLO))
    assert done.end_of("hello") == ("passed", "verdict 0")
    assert done.status == 0, done.errors


CLOCKS = [([], "by HPET, confirmed by ACPI PM timer"),
          (["-machine", "hpet=off"], "by ACPI PM timer, confirmed by 8254")]


@pytest.mark.parametrize("extra, source", CLOCKS)
def test_clock_is_set_by_what_counts(tmp_path, extra, source):
    """In Bochs: test_machine.py::test_cpuid_exit_costs_at_most_250_instructions."""
    done = boot(tmp_path, vm("hello", "hello.elf"), "qemu", extra=extra)
    assert f"kHz {source}, error " in done.log, done.log[-4000:]
    assert done.end_of("hello") == ("passed", "verdict 0")


# (file, what is in it instead, what the console says)
BROKEN = [
    ("EFI/BOOT/BOOTX64.EFI", None, "BdsDxe: failed to load Boot"),
    ("godwit.cfg", None, "configuration: godwit.cfg: cannot open"),
    ("godwit.cfg", CONFIG.encode() + b"memroy = 1M\n", "godwit.cfg:4: memroy: unknown key, expected kernel, "),
    ("godwit.cfg", b"log = info\n", "godwit.cfg: vm: no virtual machine, expected a section [vm NAME]"),
    ("godwit.cfg", CONFIG.encode() + b"[net]\n[migration]\n",
     "godwit.cfg: migration: anybody could bring guests here, and read those that leave, expected a section [keys], "
     "for which tools/mkkeys new makes a keyring (docs/keys.md), or insecure = yes in [migration]"),
    ("godwit.cfg", CONFIG.encode() + b"[net]\n[api]\ntokens = tokens\n",
     "godwit.cfg: api: tokens and answers could be read on the way, expected certificate = FILE, which tools/mkkeys "
     "certificate makes (docs/api.md), or insecure = yes in [api]"),
    ("godwit.elf", None, "godwit.cfg: hypervisor: godwit.elf: cannot open"),
    ("godwit.elf", b"#!/bin/sh\n" * 100, "godwit.elf: not a 64-bit little-endian ELF file"),
    ("godwit.elf", HYPERVISOR[:100_000], "godwit.elf: an ELF segment lies outside of the file, is it cut off?"),
    ("guests/hello.elf", None, "godwit.cfg:1: [vm hello] kernel: guests/hello.elf: cannot open, "
                               "expected the file on the boot volume [Not Found]"),
    ("guests/hello.elf", b"", "[vm hello] kernel: guests/hello.elf: the file is empty"),
]


@pytest.mark.parametrize("name, content, says", BROKEN, ids=range(len(BROKEN)))
def test_broken_disk_is_explained(tmp_path, name, content, says):
    """One readable line, and the firmware has it back: nothing else to boot, so the runner gives up with status 2."""
    disk = make_disk(tmp_path, CONFIG, HELLO)
    replace(disk, name, content)
    done = boot(tmp_path, None, "qemu", image=disk)
    assert says in done.log, done.log[-2000:]
    assert done.status == 2, done.errors


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_files_have_the_sha256_that_is_named(tmp_path, emu):
    """A guest whose kernel is another is not started, and says why; the others are."""
    (tmp_path / "other.elf").write_bytes(HELLO.read_bytes())
    digest = hashlib.sha256(HELLO.read_bytes()).hexdigest()
    config = vm("good", "hello.elf", kernel_sha256=digest) + vm("bad", "other.elf", kernel_sha256=digest.upper())
    disk = make_disk(tmp_path, config, HELLO, tmp_path / "other.elf")
    changed = HELLO.read_bytes() + b"x"
    replace(disk, "other.elf", changed)
    found = hashlib.sha256(changed).hexdigest()
    done = boot(tmp_path, None, emu, image=disk)
    assert done.end_of("good") == ("passed", "verdict 0")
    assert done.end_of("bad") == (
        "crashed", f"its kernel has the SHA-256 {found[:16]}..., expected {digest[:16]}... (kernel-sha256)")
    assert f"bad: the SHA-256 of its kernel is {found}, expected {digest}" in done.log
    assert not done.guest_lines("bad")
    assert done.status == 1, done.errors


def test_file_too_large_for_the_machine(tmp_path):
    kernel = tmp_path / "large.elf"
    kernel.write_bytes(bytes(160 << 20))
    done = boot(tmp_path, None, "qemu", mem=128, image=make_disk(tmp_path, vm("large", "large.elf"), kernel))
    assert "large.elf: not enough memory, 163840 KiB needed" in done.log, done.log[-2000:]
    assert done.status == 2, done.errors
