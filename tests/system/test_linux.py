# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel, unmodified: it boots, finds nothing wrong with its machine, keeps time and powers off.

KERNEL=trixie takes the kernel of another suite of Debian, after `make linux-guest-trixie`; of the tests that know how
much memory Debian 12's needs, some may fail with it.
"""

import os
import re

import pytest
from kernel_log import suspicious
from machine import ROOT, SOON, boot, vm


def linux(suite):
    """The keys that name the kernel of that suite; the tests' own, if it is empty."""
    name = f"-{suite}" if suite else ""
    return {"kernel": f"vmlinuz{name}", "initrd": f"initramfs{name}.cpio", "memory": "256M"}


LINUX = linux(os.environ.get("KERNEL"))


def boot_linux(tmp_path, emu, cpus=1, mem=768, cmdline="", extra=(), head="", **keys):
    settings = {**LINUX, "cmdline": f"console=ttyS0 ip=none then=poweroff {cmdline}".strip(), **keys}
    return boot(tmp_path, head + vm("linux", settings.pop("kernel"), **settings), emu, cpus, mem, extra=extra)


def is_healthy(done, vcpus):
    lines = done.guest_lines("linux")
    assert any("godwit-guest: ready" in line for line in lines), done.log[-4000:]
    assert done.end_of("linux") == ("passed", "powered off")
    assert any(re.search(rf"Brought up 1 node, {vcpus} CPU", line) for line in lines)
    assert not suspicious(lines)


# In Bochs: test_migrate_bochs.py; the model "max": test_memory_beyond_4g. EPYC is of family 17h, of which Linux reads
# other MSRs; of family 15h, it reads the size of a cache.
@pytest.mark.parametrize("model, cpus, vcpus", [("EPYC", 1, 2), ("max,family=21,model=2", 2, 2)])
def test_boots_without_a_warning(tmp_path, model, cpus, vcpus):
    is_healthy(boot_linux(tmp_path, "qemu", cpus, extra=["-cpu", model], vcpus=vcpus), vcpus)


def test_an_older_kernel_boots_without_a_warning(tmp_path):
    """Debian 11's, of another series. It tries the MSRs of docs/cpuid.md, each with a net, or it would say so."""
    missing = ROOT / "build/guest/bullseye.missing"
    if missing.exists():
        pytest.skip(missing.read_text().strip())
    done = boot_linux(tmp_path, "qemu", extra=["-cpu", "EPYC"], head="log = debug\n", **linux("bullseye"))
    is_healthy(done, 1)
    refused = re.findall(r" vm: linux: vcpu 0: (\w+) of MSR 0x(\w+): #GP", done.log)
    assert set(refused) == {("read", msr) for msr in ("c0010000", "c0010112", "c0011020", "c0011029")}


def test_ways_to_end(tmp_path):
    """What reboots by a triple fault boots again, as on a PC; what halts all of its processors is halted, which is no
    crash."""
    config = "".join(vm(name, LINUX["kernel"], initrd=LINUX["initrd"], memory="128M", vcpus=vcpus,
                        cmdline=f"{SOON} ip=none then={name} reboot=t {words}")
                     for name, vcpus, words in (("reboot", 1, "quiet"), ("halt", 2, "")))
    again = r"(?s)\A(?=.*vm: halt: halted: ).*vm: reboot: reset\n.* reboot: \| \S*godwit-guest: ready"
    done = boot(tmp_path, config, "qemu", 2, until=again)
    assert any("Brought up 1 node, 2 CPU" in line for line in done.guest_lines("halt")), done.log[-4000:]
    assert done.end_of("halt") == ("halted", "with interrupts off: nothing can wake it"), done.log[-4000:]
    assert re.search(again, done.log), done.log[-3000:]


def test_memory_beyond_4g(tmp_path):
    done = boot_linux(tmp_path, "qemu", mem=None, memory="3136M")
    is_healthy(done, 1)
    assert "[mem 0x0000000100000000-0x0000000103ffffff] usable" in done.log


@pytest.mark.parametrize("settings, says", [
    ({"memory": "32M"}, "it needs 68 MiB"),
    ({"memory": "68M"}, "the initrd does not fit beside the kernel"),
    ({"kernel": "initramfs.cpio", "initrd": "vmlinuz"}, "this is an initramfs (cpio), not a kernel"),
])
def test_refuses_with_a_reason(tmp_path, settings, says):
    done = boot_linux(tmp_path, "qemu", **settings)
    assert done.status == 1
    assert says in done.log, done.log[-2000:]
