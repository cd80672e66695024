# SPDX-License-Identifier: BSD-2-Clause
"""Linux's own tests of x86, in a guest (tests/linux/selftests), and what must come of them.

    with Site(directory) as site:
        boot(site, "qemu")
        assert run(site, "quick", moves=1) ...
"""

import re
import subprocess
import time

from machine import ROOT, TIMEOUT, vm
from migration import move, shell

GUESTS = ROOT / "build/guest"
# QEMU reads the stack of a far return in ring 3 as if the kernel did, which SMAP forbids: a guest with SMAP would have
# two more failures, which are QEMU's.
CMDLINE = "console=ttyS0 quiet ip=none clearcpuid=smap tsc=nowatchdog"
LINUX = vm("linux", "vmlinuz", initrd="selftests.cpio", memory="96M", cmdline=CMDLINE)
# What fails in plain QEMU, with its exit status. `make selftests` sees to it that it is so.
FAILS_IN_QEMU = {"sigreturn_32": 1, "amx_64": 1, "mov_ss_trap_64": 139}
EXPECTED = {"plain": FAILS_IN_QEMU, "AMD-V": FAILS_IN_QEMU, "VT-x": {"amx_64": 1}}
LONGEST = {"qemu": 600, "bochs": 3000}  # s, for all of them
DONE = "selftests done"


def missing():
    """Why they can't be run here, or None."""
    reason = GUESTS / "selftests.missing"
    return reason.read_text().strip() if reason.exists() else None


def results(text):
    """Exit status by name."""
    return {name: int(status) for name, status in re.findall(r"^selftest (\S+) (\d+)\r?$", text, re.M)}


def plain():
    """What comes of all of them in QEMU without Godwit."""
    command = ["qemu-system-x86_64", "-cpu", "max", "-m", "256", "-kernel", GUESTS / "vmlinuz", "-initrd",
               GUESTS / "selftests.cpio", "-append", CMDLINE + " run=selftests:all", "-nodefaults", "-display", "none",
               "-serial", "stdio", "-no-reboot"]
    run_ = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace")
    deadline, text = time.monotonic() + LONGEST["qemu"], []
    for line in run_.stdout:
        text.append(line)
        if DONE in line or time.monotonic() > deadline:
            break
    run_.terminate()
    run_.wait()
    return results("".join(text))


def boot(site, emu):
    """The guest is on a, and at its prompt."""
    for host, guests in ((site.a, LINUX), (site.b, "")):
        host.boot(guests, emu=emu, mem=192)
    site.a.ready()
    site.b.ready()
    site.a.machine.wait("godwit-guest: ready", TIMEOUT[emu])


def run(site, which, moves=0):
    """Run them where the guest is, and move it up to so many times meanwhile, from when some have run. Returns their
    results and how many moves there were."""
    source, dest = site.ends("linux")
    source.printed("linux")
    source.type("linux", f"selftests {which}")
    text, moved = "", 0

    def read():
        nonlocal text
        text += source.printed("linux")
        return results(text)
    if moves:
        source.wait_for("some have run", lambda: len(read()) >= 12, LONGEST[source.emu])
    while moved < moves and DONE not in text:
        move(source, dest, "linux", "verify", seconds=LONGEST[source.emu])
        source, dest, moved = dest, source, moved + 1
        read()
    source.wait_for("all have run", lambda: read() is not None and DONE in text, LONGEST[source.emu])
    return results(shell(source, "cat /tmp/selftests")), moved
