# SPDX-License-Identifier: BSD-2-Clause
"""Time in which a guest could not run is told it: its watchdogs find nothing, and it counts as stolen. Who sleeps by
his own will is woken."""

import re
import time

from kernel_log import suspicious
from machine import SOON, TIMEOUT, vm
from migration import GUEST, Site, alive, move, says, shell

# Who makes no progress for twice watchdog_thresh is locked up; an emulator may wait for a processor nearly as long.
LINUX = vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M", vcpus=2,
           cmdline=f"{SOON} quiet ip=none watchdog_thresh=3 softlockup_panic=1")
NETWORKED = vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M", vcpus=2,
               cmdline=f"{SOON} quiet run=buttons ip={GUEST}/24 gw=10.9.0.1")
# It counts ticks of the 8254, 50 in a second.
TICKS = vm("mover", "mover.elf", memory="8M", cmdline="pages=16 rate=1 tick=20000 timer=8254")
PAUSE = 7  # s
HZ = 100   # of /proc/stat


def clocks(host):
    """Seconds since boot, without sleep perhaps, and since 1970, as Linux knows."""
    up, wall = re.findall(r"^[\d.]+", shell(host, "cat /proc/uptime; date +%s"), re.M)
    return float(up), float(wall)


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


def test_the_power_button_wakes(tmp_path):
    """Linux sleeps (s2idle), so that nothing but its button brings it back: keys typed at its console don't."""
    asleep = r"PM: suspend entry \(s2idle\)"
    with Site(tmp_path / "site") as site:
        host = site.a
        host.boot(vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M",
                     cmdline=f"{SOON} no_console_suspend ip=none"), cpus=2)
        host.ready()
        host.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        host.type("linux", "echo freeze >/sys/power/state; echo a''wake")
        host.machine.wait(asleep, TIMEOUT["qemu"])

        def port_accesses():
            return host.get("/v1/vms/linux")["exits_by_reason"]["io"]

        def still():
            """It prints nothing and reads no key. Other exits it has: broadcasts knock at the card of one asleep."""
            before = port_accesses()
            time.sleep(0.5)
            return port_accesses() == before
        host.wait_for("it sleeps", still)
        host.type("linux", "echo typed")
        host.wait_for("it sleeps on", still)
        printed = host.printed("linux")
        assert "suspend exit" not in printed and "awake" not in printed
        host.post("/v1/vms/linux/power-button")
        says(host, "linux", "(?s)suspend exit.*awake")


def test_suspend_to_ram(tmp_path):
    """Linux sleeps in S3 and is woken; it is asked to by its sleep button, and moves asleep. Its processors, clock,
    console and network go on."""
    with Site(tmp_path / "site") as site:
        site.boot(NETWORKED, cpus=2)
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        host, other = site.a, site.b
        assert "s2idle [deep]" in shell(host, "cat /sys/power/mem_sleep")
        for _ in range(2):
            uptime, wall = clocks(host)
            asleep = host.godwit("suspend", "linux")
            assert (asleep.returncode, asleep.stdout) == (0, "linux sleeps; godwit resume linux wakes it\n"), asleep
            assert host.refused("/v1/vms/linux/shutdown") == (
                409, "linux: cannot shutdown, it is suspended, expected running")
            time.sleep(1)
            if other:
                move(host, other, "linux", "verify", status="suspended")
                host, other = other, None
                host.printed("linux")
            host.post("/v1/vms/linux/resume")
            says(host, "linux", "buttons: awake")
            assert host.guests()["linux"] == "running"
            assert "cpu1" in shell(host, "grep cpu1 /proc/stat")
            later, wall_later = clocks(host)
            assert wall_later - wall >= 1 and later >= uptime
            assert alive(site.net)
        assert not suspicious(shell(host, "dmesg -r | grep '^<[0-3]>'").splitlines())
        shell(host, "killall buttons")
        late = host.godwit("suspend", "linux", "--timeout", "1")
        assert late.returncode == 1 and "linux has not gone to sleep within 1 s" in late.stderr, late


def test_a_pause_is_no_lockup(tmp_path):
    """With both processors busy: paused where it was started, and where it has moved to."""
    with Site(tmp_path / "site") as site:
        site.boot(LINUX, cpus=2)
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        shell(site.a, "for i in 1 2 3 4; do while :; do :; done & done")  # two each: none is idle for a moment
        for host, other in ((site.a, site.b), (site.b, None)):
            gained, longest = pause(host)
            for seconds in gained:
                assert PAUSE * 0.9 < seconds, (gained, longest)
            if other:
                move(host, other, "linux")
        assert not suspicious(shell(site.b, "dmesg -r | grep '^<[0-4]>'").splitlines())


def has_its_ticks(host):
    """Wait until the guest has had all ticks of its time, but for those on their way; never more."""
    host.printed("mover")
    says(host, "mover", r"ticks \d+ of \d+\n")  # it may have counted them before a pause

    def all_there():
        host.printed("mover")
        came, should = map(int, says(host, "mover", r"ticks (\d+) of (\d+)\n").groups())
        assert came <= should + 1
        return came + 2 >= should
    host.wait_for("it has caught up", all_there)


def test_a_guest_that_counts_ticks_keeps_time(tmp_path):
    """Ticks that it could not take, for it was paused, follow: where it was started, and where it has moved to."""
    with Site(tmp_path / "site") as site:
        site.boot(TICKS)
        for host, other in ((site.a, site.b), (site.b, None)):
            says(host, "mover", r"ticks \d+ of \d+\n")  # so its counter has been started
            host.post("/v1/vms/mover/pause")
            time.sleep(2)
            host.post("/v1/vms/mover/resume")
            has_its_ticks(host)
            if other:
                move(host, other, "mover", "verify")
