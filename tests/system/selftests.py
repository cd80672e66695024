# SPDX-License-Identifier: BSD-2-Clause
"""Linux's own tests of x86, in a guest (tests/linux/selftests), and what must come of them.

    with Site(directory) as site:
        boot(site, "qemu")
        assert run(site, "quick", moves=1) ...
"""

import os
import re
import subprocess

from machine import ROOT, TIMEOUT, run_to_end, started, vm
from migration import move, shell

GUESTS = ROOT / "build/guest"
# Two faults of QEMU. It reads the stack of a far return in ring 3 as if the kernel did, which SMAP forbids: two more
# programs would fail. And a DS prefix adds DS' base in 64-bit mode, too; Linux on one processor makes LOCK prefixes
# into such, so an interrupt would be its end while a 32-bit program has loaded DS with a base, as ldt_gdt_32 does.
CMDLINE = "console=ttyS0 quiet ip=none clearcpuid=smap noreplace-smp tsc=nowatchdog"
LINUX = vm("linux", "vmlinuz", initrd="selftests.cpio", memory="96M", cmdline=CMDLINE)
# What fails in the emulator without Godwit, with its exit status (139: SIGSEGV). `make selftests` sees to it that it is
# so. Neither has AMX. In Bochs, SYSRET leaves the hidden part of SS as it is, as AMD's does, where an Intel's loads it
# (SDM 2 "SYSRET"); Linux trusts the maker's name, and a program whose system call slept may have a 16-bit stack.
FAILS = {
    "qemu": {"amx_64": 1, "sigreturn_32": 1, "mov_ss_trap_64": 139},
    "bochs": {"amx_64": 1, "ptrace_syscall_32": 139, "test_mremap_vdso_32": 139, "test_syscall_vdso_32": 139,
              "sysret_ss_attrs_32": 139, "sysret_ss_attrs_64": 139},
}
# They take nine tenths of the time.
SLOW = re.search(r'^slow="(.*)"', (ROOT / "tests/linux/selftests").read_text(), re.M).group(1).split()
LONGEST = {"qemu": 1200, "bochs": 6000}  # s, for all of them, on a machine that is busy
DONE = "selftests done"


def missing():
    """Why they can't be run here, or None."""
    reason = GUESTS / "selftests.missing"
    return reason.read_text().strip() if reason.exists() else None


def results(text):
    """Exit status by name."""
    return {name: int(status) for name, status in re.findall(r"\bselftest (\S+) (\d+)\r?$", text, re.M)}


def disk(image, which):
    """Make a disk whose kernel the firmware's shell starts, to run them."""
    script = image.with_name("startup.nsh")
    script.write_text(f"fs0:\nvmlinuz initrd=\\selftests.cpio {CMDLINE} run=selftests:{which}\n")
    image.write_bytes(b"")
    os.truncate(image, 64 << 20)
    for command in (["mformat", "-i", image, "-t", "64", "-h", "64", "-s", "32", "::"],
                    ["mcopy", "-i", image, script, GUESTS / "vmlinuz", GUESTS / "selftests.cpio", "::"]):
        run_to_end(command, check=True, env=dict(os.environ, MTOOLSRC="/dev/null"))


def alone(emu, directory, which):
    """What comes of them in the emulator without Godwit, in the machine that tools/run makes for it."""
    disk(directory / "alone.img", which)
    command = [ROOT / "tools/run", "--emu", emu, "--mem", "256", "--timeout", str(LONGEST[emu]), "--shell",
               "--name", f"selftests-alone-{emu}", "--image", directory / "alone.img"]
    text = []
    with started(command, 2 * LONGEST[emu], stdout=subprocess.PIPE, text=True, errors="replace") as machine:
        for line in machine.stdout:
            text.append(line)
            if DONE in line:
                break
    return results("".join(text))


def boot(site, emu):
    """The guest is on a, and at its prompt."""
    for host, guests in ((site.a, LINUX), (site.b, "")):
        host.boot(guests, emu=emu, mem=192, lifetime=5 * LONGEST[emu])
    site.a.ready()
    site.b.ready()
    site.a.machine.wait("godwit-guest: ready", TIMEOUT[emu])


def run(site, which, moves=0):
    """Run them where the guest is, and move it up to so many times meanwhile, from when some have run. Returns their
    results and how many moves there were."""
    source, dest = site.ends("linux")
    begun = [(host.machine, len(host.machine.log)) for host in (source, dest)]

    def printed():
        """By the hosts' logs: what a guest prints while it moves is in the console of the host that it leaves."""
        for machine, _ in begun:
            assert not machine.ended, f"a machine ended:\n{machine.log[-3000:]}"
        return "".join(machine.log[start:] for machine, start in begun)
    source.type("linux", f"selftests {which}")
    if moves:
        source.wait_for("some have run", lambda: len(results(printed())) >= 12, LONGEST[source.emu])
    moved = 0
    while moved < moves and DONE not in printed():
        move(source, dest, "linux", "verify", seconds=LONGEST[source.emu])
        source, dest, moved = dest, source, moved + 1
    source.wait_for("all have run", lambda: DONE in printed(), LONGEST[source.emu])
    return results(shell(source, "cat /tmp/selftests")), moved
