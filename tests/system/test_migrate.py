# SPDX-License-Identifier: BSD-2-Clause
"""Moves that succeed: the guest goes on where it was, its memory is what it was, its connections and clocks live."""

import contextlib
import datetime
import json
import re
import subprocess
import time

import pytest
from api import GODWIT
from machine import SOON, TIMEOUT, started, vm
from migration import (GUEST, LINUX, Download, Ping, Site, Sniffer, Typist, Upload, alive, beats, breaks, check,
                       move, shell)
from relay import FORWARD, SOURCE, Relay
from serving import GUEST6, NO_TENTATIVE

PAGE_ENTRY = 16  # bytes on the wire beside a page's contents
# A guest of hardly anything but zeros.
EMPTY = vm("empty", "mover.elf", memory="384M", cmdline="pages=1 rate=1 tick=1000000")


@pytest.fixture(scope="module")
def linux(tmp_path_factory):
    """Linux and an empty guest on one of two hypervisors in QEMU, which one is unknown: the tests move them. Guests of
    b may send from their card's MAC only."""
    with Site(tmp_path_factory.mktemp("linux")) as site:
        site.a.boot(LINUX + EMPTY, cpus=2, mem=768)
        site.b.boot(cpus=2, mem=768, net="anti-spoof = yes\n")
        site.a.ready()
        site.b.ready()
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        yield site


@contextlib.contextmanager
def pinged(site):
    """All the while the guest answers, but in the blackout; nobody answers twice."""
    ping = Ping(site.net)
    ping.start()
    try:
        yield ping
    finally:
        ping.stop()
    assert not ping.doubles


def lasting(done):
    """Seconds that the network may have stood still for a move: what the machine says, and delays of a busy host."""
    return done["downtime"] / 1000 + 20


def test_linux_moves_and_its_connections_live(linux):
    """There and back under ping, somebody who types, and a stream each way as fast as it goes: both are under way when
    the guest stops, and flow on."""
    net = linux.net
    upload, download, typist = Upload(net, pause=0), Download(net), Typist(net)

    def flowed():
        return upload.arrived(), download.got

    def flow_on(since):
        return all(now > before + (1 << 20) for before, now in zip(since, flowed()))

    def stop():
        """Nothing is acknowledged any more: what is sent from now on stays under way."""
        source.wait_for("something is under way", upload.waiting)
        stopped.append(flowed())
        return FORWARD
    with pinged(linux) as ping:
        for client in (upload, download, typist):
            client.start()
        longest = 0
        for _ in range(2):
            source, dest = linux.ends("linux")
            relay = Relay(net, dest.address)
            stopped = []
            relay.stop_at(SOURCE, "STATE", stop)
            source.wait_for("the streams flow", lambda: flow_on((0, 0)))
            lines, before = typist.lines, flowed()
            done = move(source, dest, "linux", "verify", to=relay)
            arrived, after, longest = time.monotonic(), flowed(), max(longest, lasting(done))
            relay.close()
            assert done["ram"]["normal"] > 0 and done["ram"]["duplicate"] > 0
            assert done["ram"]["dirty-sync-count"] >= 1 and len(done["rounds"]) >= 1
            assert 0 < done["downtime"] < done["total-time"]
            assert stopped[0][0] > before[0] and stopped[0][1] > before[1]
            dest.wait_for("the streams flow on", lambda: flow_on(after))
            dest.wait_for("somebody types on", lambda: typist.lines > lines + 10)
            dest.wait_for("it answers", lambda: ping.answers_after(arrived) > 10)
    assert ping.blackout() < longest
    assert typist.check() > 20
    assert upload.check() > 3 << 20  # what has been waited for
    assert download.check() > 3 << 20


def test_godwit_migrate(linux):
    """The tool follows a move to its end; by --json all that query-migrate knows. It lasts long enough to be seen."""
    for options in (["--json", "migrate", "linux"], ["migrate", "--mode", "stop-copy", "--verify", "linux"]):
        source, dest = linux.ends("linux")
        source.set(max_bandwidth=16 << 20)
        done = source.godwit(*options, dest.address)
        source.set(max_bandwidth=0)
        assert done.returncode == 0, done.stderr
        assert linux.where("linux") == [dest]
        if "--json" in options:
            answer = json.loads(done.stdout)
            assert (answer["status"], answer["mode"], answer["vm"]) == ("completed", "live", "linux")
            assert answer["ram"]["total"] == 128 << 20
            assert {"setup", "precopy", "stop", "final-ram", "device-state", "commit"} <= set(answer["phases"])
            assert answer["wire-bytes"] <= 1.06 * answer["ram"]["normal-bytes"]
            assert re.search("^active, round", done.stderr, re.M)
        else:
            assert re.search(r"^status +completed$", done.stdout, re.M)
            assert re.search(r"^mode +stop-copy", done.stdout, re.M)
    assert alive(linux.net)


def test_zero_pages_cost_nothing(linux):
    """In long runs less than a tenth of a byte each, with all else that is said besides pages with contents."""
    source, dest = linux.ends("empty")
    done = move(source, dest, "empty")
    ram = done["ram"]
    assert ram["duplicate"] > 90000
    assert done["wire-bytes"] - ram["normal"] * (4096 + PAGE_ENTRY) <= 0.1 * ram["duplicate"]
    beats(dest, "empty")


def test_console(linux, tmp_path):
    """What was typed before the move is known after it; what runs in the foreground reads on. Who is connected by the
    tool is taken along."""
    source, dest = linux.ends("linux")
    assert shell(source, "word=godwit; echo $word") == "godwit\n"
    source.type("linux", "read line")
    shown = tmp_path / "shown"
    command = [*linux.net.enter, GODWIT, "console", "linux"]
    with shown.open("wb") as out, started(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, text=True,
                                          env=source.environment()) as tool:
        source.wait_for("the tool is connected", lambda: shown.stat().st_size)
        move(source, dest, "linux", "verify")
        assert tool.stderr.readline() == f"godwit: linux has moved to {dest.address}\n"
        tool.stdin.write("a line\necho =$line=\n")
        tool.stdin.flush()
        dest.wait_for("the guest answers through the tool", lambda: b"=a line=" in shown.read_bytes())
        _, errors = tool.communicate(timeout=120)
    assert tool.returncode == 0, errors
    assert shell(dest, "echo $word: $line") == "godwit: a line\n"


def clocks(net):
    """(before, up, wall, after): the guest's two clocks in seconds, and ours around the reading."""
    before = time.monotonic()
    with net.connect(GUEST, 80) as sock:
        sock.sendall(b"GET /cgi-bin/status HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    found = re.search(r"^up ([\d.]+) s, wall clock (.*)$", text, re.M)
    wall = datetime.datetime.fromisoformat(found.group(2) + "+00:00").timestamp()
    return before, float(found.group(1)), wall, time.monotonic()


def test_clocks(linux):
    """Neither clock jumps: they go on, and the time of the pause has passed for the guest too. What both machines have
    measured of one TSC, by themselves, a guest takes for equal."""
    source, dest = linux.ends("linux")
    ours, theirs = (host.get("/v1/version")["tsc_khz"] for host in (source, dest))
    assert abs(ours - theirs) <= 250e-6 * ours
    shell(source, "downtime 5 2000 >/dev/null & :")  # asleep between its looks, it leaves room for the shell

    def watched():
        with contextlib.suppress(ConnectionRefusedError):
            return breaks(linux.net)
    source.wait_for("it looks", watched)
    first = clocks(linux.net)
    done = move(source, dest, "linux")
    last = clocks(linux.net)
    seen = breaks(linux.net).breaks
    shell(dest, "kill %1")
    # What has passed for us lies between these; the guest's readings are rounded to 10 ms and 1 s. The source takes
    # half of the round trip for the way of COMMIT, which took part of the phase commit (docs/time.md "In a move").
    least = last[0] - first[3] - done["phases"]["commit"] / 1000
    most = last[3] - first[0] + done["round-trip"] / 2000
    assert least - 0.05 <= last[1] - first[1] <= most + 0.05
    assert least - 1.05 <= last[2] - first[2] <= most + 1.05
    # In the guest the pause is a break, as long as the source kept it before it told the destination to let it go; both
    # clocks agree about it. They are read one after the other, so that a busy machine makes their difference larger.
    assert all(length > 0 for _, length, _ in seen)
    longest = max((one for one in seen if one.at + one.length > first[1]), key=lambda one: one.length)
    stood = sum(done["phases"][phase] for phase in ("stop", "final-ram", "device-state")) / 1000
    assert longest.length > stood * 0.5, (seen, done)
    offsets = [[one.wall - one.at - one.length for one in seen if (one.at < longest.at) == earlier]
               for earlier in (True, False)]
    assert not offsets[0] or abs(min(offsets[0]) - min(offsets[1])) < 0.05, seen


def guest_mac(site):
    return site.net.run("ip", "neighbour", "show", GUEST).stdout.split("lladdr ")[1].split()[0]


def test_policy_of_the_destination(linux):
    """Under anti-spoof a guest that sends from another MAC than its card's would be deaf and dumb: it is not taken."""
    source, dest = linux.a, linux.b
    if linux.where("linux") == [dest]:
        move(dest, source, "linux")
    assert alive(linux.net)
    mac, other = guest_mac(linux), "02:00:00:00:00:99"
    shell(source, f"ip link set eth0 address {other}")
    refused = source.godwit("migrate", "--check", "linux", dest.address)
    shell(source, f"ip link set eth0 address {mac}")
    assert refused.returncode == 1 and f"it sends from {other} instead of its card's {mac}" in refused.stderr
    check(source, dest, "linux")  # with its own it would be taken
    assert alive(linux.net)


def fdb(site):
    """The bridge's port behind which it believes the guest to be."""
    mac = guest_mac(site)
    rows = site.net.run("bridge", "fdb", "show", "br", "br0").stdout
    return re.search(rf"^{mac} dev (\w+)", rows, re.M).group(1)


def test_announcement(linux):
    """Without it the bridge sends the guest's traffic where the guest was; with it the bridge knows at once: the
    destination, and it alone, says of the guest's MAC and of each of its addresses that they are there."""
    source, dest = linux.ends("linux")
    linux.net.ip("neighbour flush dev br0")
    assert alive(linux.net) and fdb(linux) == source.tap  # it has answered ARP just now, and asks who has this address:
    shell(source, f"ip addr add {GUEST6}/64 dev eth0; {NO_TENTATIVE}")
    # Of its own accord it asks for no router, which it would do again and again.
    shell(source, "echo 0 >/proc/sys/net/ipv6/conf/eth0/router_solicitations")
    sniffers = {host: Sniffer(linux.net, host.tap) for host in (source, dest)}
    dest.set(announce_rounds=0)
    # Neither end will ask the other for its address of its own accord.
    linux.net.ip(f"neighbour replace {GUEST} lladdr {guest_mac(linux)} dev br0 nud permanent")
    ours = linux.net.run("ip", "link", "show", "br0").stdout.split("link/ether ")[1].split()[0]
    shell(source, f"arp -s 10.9.0.1 {ours}")
    move(source, dest, "linux")
    assert fdb(linux) == source.tap
    assert not sniffers[source].announced() and not sniffers[dest].announced()
    dest.type("linux", "ping -c 1 10.9.0.1")  # as soon as it speaks it is found
    dest.wait_for("the bridge has learnt", lambda: fdb(linux) == dest.tap)
    assert alive(linux.net)
    dest.set(announce_rounds=5)
    source, dest = dest, source
    with pinged(linux) as ping:
        done = move(source, dest, "linux")
        arrived = time.monotonic()
        dest.wait_for("the bridge knows", lambda: fdb(linux) == dest.tap)
        dest.wait_for("it answers", lambda: ping.answers_after(arrived) > 5)
    assert ping.blackout() < lasting(done)
    mac = guest_mac(linux)
    all_of_it = {("RARP", mac, ""), ("ARP", mac, GUEST), ("IPv6", mac, GUEST6)}
    dest.wait_for("all is announced", lambda: sniffers[dest].announced() >= all_of_it)
    assert {said_of for _, said_of, _ in sniffers[dest].announced()} == {mac}
    assert not sniffers[source].announced()
    for sniffer in sniffers.values():
        sniffer.close()
    shell(dest, f"ip addr del {GUEST6}/64 dev eth0")


def test_postcopy(linux):
    """With its network card, its clocks and its interrupts it goes on before its memory is there."""
    for mode in ("post-copy", "hybrid"):
        source, dest = linux.ends("linux")
        source.begin("linux", dest, mode)
        source.wait_status("linux", "completed")
        there = dest.query("linux")
        assert there["postcopy-missing"] == 0 and sum(there["postcopy-latency"]) > 0, there
        assert alive(linux.net)
        assert shell(dest, "dmesg | grep -c -e BUG -e lockup -e stall").strip() == "0"


# --- Small guests ---------------------------------------------------------------------------------------------------

WRITER = "rate=8 tick=1000 pages=512"  # 8000 pages/s


@pytest.fixture(scope="module", params=[(1, 1), (2, 1)], ids=["1 and 1 cpus", "2 and 1 cpus"])
def movers(tmp_path_factory, request):
    """mover, which writes fast, on one of two hypervisors with so many processors."""
    with Site(tmp_path_factory.mktemp("movers")) as site:
        site.a.boot(vm("mover", "mover.elf", memory="8M", cmdline=WRITER), cpus=request.param[0], mem=256)
        site.b.boot(cpus=request.param[1], mem=256)
        site.a.ready()
        site.b.ready()
        yield site


def test_twenty_moves(movers):
    """Back and forth, each with all of memory and state compared, and the guest finds all that it wrote."""
    for _ in range(20):
        source, dest = movers.ends("mover")
        move(source, dest, "mover", "verify")
    beats(dest)


HARVESTED = "godwit_migration_dirty_harvested_pages_total"  # of the moves that have ended


def logged(done, producer):
    """What each round says of the dirty log agrees with its pages, and the sum of all rounds with itself: each page
    that a producer noticed was harvested, once. (The guest has no device whose pages would be noticed twice.)"""
    assert all(row["dirty-log"]["harvested"] == row["dirtied"] for row in done["rounds"])
    rows = [row["dirty-log"] for row in (*done["rounds"], done["stopped-round"])]
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    assert total["harvested"] == sum(total[f"by-{name}"] for name in ("fault", "dbit", "pml", "hypervisor"))
    assert total[producer] > 0 and total["harvest-us"] > 0
    assert (total["scanned-entries"] > 0) == (producer == "by-dbit")


@pytest.mark.parametrize("log, split", [("write-protect", "lazy"), ("write-protect", "eager"), ("dbit", "lazy"),
                                        ("dbit", "eager")])
def test_each_log(movers, log, split):
    for _ in range(2):
        source, dest = movers.ends("mover")
        source.set(dirty_log=log, dirty_split=split)
        source.wait_for("its last move is counted", lambda: source.metric("godwit_migrations_active") == 0)
        before = source.metric(HARVESTED)
        done = move(source, dest, "mover", "verify")
        source.set(dirty_log="auto", dirty_split="lazy")
        assert done["dirty-log"] == log and sum(row["dirtied"] for row in done["rounds"]) > 0
        logged(done, "by-fault" if log == "write-protect" else "by-dbit")
        harvested = sum(row["dirty-log"]["harvested"] for row in (*done["rounds"], done["stopped-round"]))
        source.wait_for("its counters stay", lambda: source.metric(HARVESTED) - before == harvested)
        beats(dest)


def test_log_that_is_not_there(movers):
    """No PML on AMD-V: the move is refused, and the guest goes on."""
    source, dest = movers.ends("mover")
    source.set(dirty_log="pml")
    source.begin("mover", dest)
    failed = source.wait_status("mover", "failed")
    source.set(dirty_log="auto")
    assert failed["reason"] == "the dirty log does not start"
    beats(source)
    dest.wait_for("the copy is freed", lambda: "mover" not in dest.guests())


def test_it_ends_well_somewhere_else(movers):
    """Its own verdict, where it is in the end: all that it ever wrote is there. The last of these tests."""
    source, dest = movers.ends("mover")
    move(source, dest, "mover")
    dest.type("mover", "q")
    dest.machine.wait("mover: PASS every page holds what was written to it", TIMEOUT["qemu"])
    dest.machine.wait("mover: PASS registers stay", TIMEOUT["qemu"])
    dest.machine.wait(r"mover: PASS\s", TIMEOUT["qemu"])


def test_linux_with_two_processors_writes(tmp_path):
    """Two vcpus, both busy: one writes memory and checks it, 4000 pages a second, then as many as it can. What is more
    than a link carries is another test's."""
    guest = vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M", vcpus=2,
               cmdline=f"{SOON} quiet ip={GUEST}/24 gw=10.9.0.1 run=writer")
    with Site(tmp_path) as site:
        site.a.boot(guest, cpus=2)
        site.b.boot(cpus=1)
        site.a.ready()
        site.b.ready()
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])

        def ask(line):
            with site.net.connect(GUEST, 4002) as sock:
                sock.sendall(line.encode() + b"\n")
                return sock.makefile().readline()

        def serves():
            with contextlib.suppress(ConnectionRefusedError):
                return ask("stats")
        site.a.wait_for("it serves", serves)
        for pages, source, dest in ((40, site.a, site.b), (400, site.b, site.a)):
            assert ask(f"set {pages} 10 uniform") == "ok\n"
            source.set(max_rounds=8)
            move(source, dest, "linux", "verify", seconds=TIMEOUT["qemu"])
            assert re.search("errors 0$", ask("verify"))
        assert shell(site.a, "grep -c ^processor /proc/cpuinfo") == "2\n"
