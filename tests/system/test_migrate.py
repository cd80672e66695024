# SPDX-License-Identifier: BSD-2-Clause
"""Moves that succeed: the guest goes on where it was, its memory is what it was, its connections and clocks live."""

import contextlib
import datetime
import json
import re
import time

import pytest
from migration import GUEST, LINUX, Download, Ping, Site, Typist, Upload, alive, move


@pytest.fixture(scope="module")
def linux(tmp_path_factory):
    """Linux on one of two hypervisors in QEMU, which one is unknown: the tests move it."""
    with Site(tmp_path_factory.mktemp("linux")) as site:
        site.boot(LINUX, cpus=2)
        yield site


def ends(site, name="linux"):
    """(source, destination) of the next move."""
    [source] = site.where(name)
    return source, site.b if source is site.a else site.a


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
    """Seconds that the network may have stood still for a move: what the machine says, and a busy host's delays."""
    return done["downtime"] / 1000 + 2


def test_linux_moves_and_its_connections_live(linux):
    """There and back under ping, a checked stream each way and somebody who types."""
    net = linux.net
    upload, typist = Upload(net), Typist(net)
    with pinged(linux) as ping:
        upload.start()
        typist.start()
        for _ in range(2):
            source, dest = ends(linux)
            download = Download(net, 8 << 20)
            download.start()
            lines = typist.lines
            done = move(source, dest, "linux", "verify")
            assert done["ram"]["normal"] > 0 and done["ram"]["duplicate"] > 0
            assert done["ram"]["dirty-sync-count"] >= 1 and len(done["rounds"]) >= 1
            assert 0 < done["downtime"] < done["total-time"]
            arrived = time.monotonic()
            download.check()
            dest.wait_for("somebody types on", lambda: typist.lines > lines + 10)
            dest.wait_for("it answers", lambda: ping.answers_after(arrived) > 10)
        assert typist.check() > 20
        assert upload.check() > 1 << 20
    assert ping.blackout() < lasting(done)


def test_godwit_migrate(linux):
    """The tool follows a move to its end; by --json all that query-migrate knows."""
    for options in (["--json", "migrate", "linux"], ["migrate", "--mode", "stop-copy", "--verify", "linux"]):
        source, dest = ends(linux)
        done = source.godwit(*options, dest.address)
        assert done.returncode == 0, done.stderr
        assert linux.where("linux") == [dest]
        if "--json" in options:
            answer = json.loads(done.stdout)
            assert (answer["status"], answer["mode"], answer["vm"]) == ("completed", "live", "linux")
            assert answer["ram"]["total"] == 128 << 20
            assert {"setup", "precopy", "stop", "final-ram", "device-state", "commit"} <= set(answer["phases"])
            assert re.search("^active, round", done.stderr, re.M)
        else:
            assert re.search(r"^status +completed$", done.stdout, re.M)
            assert re.search(r"^mode +stop-copy", done.stdout, re.M)
    assert alive(linux.net)


def shell(host, command):
    """What a command prints on the guest's console."""
    mark = f"m{time.monotonic_ns()}"
    host.console("linux", f"echo m''{mark[1:]}; {command}; echo end''{mark}")

    def printed():
        text = host.get("/v1/vms/linux/console").decode("latin-1").replace("\r", "")
        found = re.search(rf"\n{mark}\n(.*?)end{mark}", text, re.S)
        return found and found.groups()
    return host.wait_for(f"console: {command}", printed)[0]


def test_console(linux):
    """What was typed before the move is known after it; what runs in the foreground reads on."""
    source, dest = ends(linux)
    assert shell(source, "word=godwit; echo $word") == "godwit\n"
    source.console("linux", "read line")
    move(source, dest, "linux", "verify")
    dest.console("linux", "a line")
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


def breaks(net):
    """What downtime has seen: [(when it began, how long, wall clock at its end)] in seconds of CLOCK_MONOTONIC."""
    with net.connect(GUEST, 4001) as sock:
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    return [(float(at), int(us) / 1e6, float(wall))
            for at, wall, us in re.findall(r"^break \d+ at ([\d.]+) wall ([\d.]+) us (-?\d+)$", text, re.M)]


def test_clocks(linux):
    """Neither clock jumps: they go on, and the time of the pause has passed for the guest too."""
    source, dest = ends(linux)
    shell(source, "downtime 5 >/dev/null & sleep 1")
    first = clocks(linux.net)
    done = move(source, dest, "linux")
    last = clocks(linux.net)
    seen = breaks(linux.net)
    shell(dest, "kill %1")
    # What has passed for us lies between these; the guest's readings are rounded to 10 ms and 1 s.
    least, most = last[0] - first[3], last[3] - first[0]
    assert least - 0.05 <= last[1] - first[1] <= most + 0.05
    assert least - 1.05 <= last[2] - first[2] <= most + 1.05
    # In the guest the pause is a break of about the length that the source measured; both clocks agree about each.
    assert all(length > 0 for _, length, _ in seen)
    longest = max(length for at, length, _ in seen if at + length > first[1])
    assert longest > done["downtime"] / 1000 * 0.5, (seen, done)
    offsets = [wall - at - length for at, length, wall in seen]
    assert max(offsets) - min(offsets) < 0.05, seen
