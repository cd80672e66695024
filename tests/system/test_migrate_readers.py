# SPDX-License-Identifier: BSD-2-Clause
"""A throttle that costs writers only: of a guest with two processors one writes more than the link carries, and waits;
the other reads, and runs on."""

import re

from machine import vm
from migration import Site, says

PAGE = 4112  # bytes on the wire
LINK = 1000  # pages/s, of 2048 that the guest writes to
BEAT = r"(\d+) rounds, (\d+) writes in (\d+) us"


def processors(host):
    """(s, for how many each has run, exits of each): a pause ends the turns that they have."""
    host.post("/v1/vms/smp/pause")
    rows = host.get("/v1/vms/smp")["processors"]
    host.post("/v1/vms/smp/resume")
    return [row["ran_ms"] / 1000 for row in rows], [row["exits"] for row in rows]


def uptime(host):
    """s, by the machine's own clock."""
    return host.get("/v1/version")["uptime_ms"] / 1000


def between_pauses(host):
    """s from when it was resumed until it was paused the last time, by the same clock."""
    def stamps(word):
        return [float(stamp) for stamp in re.findall(rf"^\[ *(\S+)\] .* vm: smp: {word}$", host.machine.log, re.M)]
    return stamps("paused")[-1] - stamps("resumed")[-2]


def test_who_reads_runs_on(tmp_path):
    with Site(tmp_path / "readers") as site:
        site.boot(vm("smp", "smp.elf", memory="16M", vcpus=2, cmdline="pair=4000"), b="", mem=256, cpus=3)
        says(site.a, "smp", BEAT)
        site.a.set(max_bandwidth=LINK * PAGE, on_stall="throttle-writers", max_rounds=60)
        site.a.begin("smp", site.b)
        site.a.wait_for("writers are held up", lambda: site.a.query("smp")["write-limit"], 120)
        before, exits = processors(site.a)
        began = uptime(site.a)
        site.a.wait_for("a second passes", lambda: uptime(site.a) > began + 1)
        after, more = processors(site.a)
        assert site.a.query("smp")["status"] == "active"
        site.a.machine.wait("(?s)vm: smp: resumed.*vm: smp: paused.*vm: smp: resumed", 60)
        seconds = between_pauses(site.a)
        writer, reader = ((b - a) / seconds for a, b in zip(before, after))
        # Who is held up exits. For how long an emulator waits for a processor after the pause, nobody knows.
        assert more[1] - exits[1] < 100 * max(1, seconds), (exits, more, seconds)
        assert reader > 0.7 and writer < 0.8 * reader, (writer, reader)
        done = site.a.wait_status("smp", "completed", seconds=120)
        assert done["dirty-log"] == "write-protect" and done["cpu-throttle-percentage"] == 0
        rounds, _, us = map(int, says(site.b, "smp", BEAT).groups())
        later = says(site.b, "smp", BEAT)
        assert int(later[1]) > rounds and int(later[3]) > us
        site.b.type("smp", "q")
        site.b.machine.wait(" vm: smp: passed", 60)
