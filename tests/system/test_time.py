# SPDX-License-Identifier: BSD-2-Clause
"""Time in which a guest could not run is told it: its watchdogs find nothing, and it counts as stolen."""

import re
import time

from kernel_log import suspicious
from machine import TIMEOUT, vm
from migration import Site, move, shell

# Who makes no progress for twice watchdog_thresh is locked up.
LINUX = vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M", vcpus=2,
           cmdline="console=ttyS0 quiet ip=none watchdog_thresh=1 softlockup_panic=1")
PAUSE = 5  # s
HZ = 100   # of /proc/stat


def stolen(host):
    """Seconds in which each of its processors could have run and did not, as Linux knows."""
    lines = re.findall(r"^cpu\d+ (.*)$", shell(host, "cat /proc/stat"), re.M)
    return [int(line.split()[7]) / HZ for line in lines]


def pause(host):
    """A pause, and how much each processor had stolen by it."""
    before = stolen(host)
    began = time.monotonic()
    host.post("/v1/vms/linux/pause")
    time.sleep(PAUSE)
    host.post("/v1/vms/linux/resume")
    longest = time.monotonic() - began
    gained = [after - then for then, after in zip(before, stolen(host))]
    return gained, longest


def test_a_pause_is_no_lockup(tmp_path):
    """With both processors busy: paused where it was started, and where it has moved to."""
    with Site(tmp_path / "site") as site:
        site.boot(LINUX, cpus=2)
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        shell(site.a, "for i in 1 2; do while :; do :; done & done")
        for host, other in ((site.a, site.b), (site.b, None)):
            gained, longest = pause(host)
            for seconds in gained:
                assert PAUSE * 0.9 < seconds, (gained, longest)
            if other:
                move(host, other, "linux")
        assert not suspicious(shell(site.b, "dmesg -r | grep '^<[0-4]>'").splitlines())
