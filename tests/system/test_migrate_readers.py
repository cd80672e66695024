# SPDX-License-Identifier: BSD-2-Clause
"""A throttle that costs writers only: of a guest with two processors one writes more than the link carries, and waits;
the other reads, and runs on."""

import time

from machine import vm
from migration import Site, says

PAGE = 4112  # bytes on the wire
LINK = 1000  # pages/s, of 2048 that the guest writes to
BEAT = r"(\d+) rounds, (\d+) writes in (\d+) us"


def processors(host):
    """(s, for how many of them each has run, exits of each): a pause ends the turns that they have."""
    host.post("/v1/vms/smp/pause")
    now, rows = time.monotonic(), host.get("/v1/vms/smp")["processors"]
    host.post("/v1/vms/smp/resume")
    return now, [row["ran_ms"] / 1000 for row in rows], [row["exits"] for row in rows]


def test_who_reads_runs_on(tmp_path):
    with Site(tmp_path / "readers") as site:
        site.boot(vm("smp", "smp.elf", memory="16M", vcpus=2, cmdline="pair=4000"), b="", mem=256, cpus=3)
        says(site.a, "smp", BEAT)
        site.a.set(max_bandwidth=LINK * PAGE, on_stall="throttle-writers", max_rounds=60)
        site.a.begin("smp", site.b)
        site.a.wait_for("writers are held up", lambda: site.a.query("smp")["write-limit"], 120)
        began, before, exits = processors(site.a)
        site.a.wait_for("a second passes", lambda: time.monotonic() > began + 1)
        ended, after, more = processors(site.a)
        assert site.a.query("smp")["status"] == "active"
        writer, reader = ((b - a) / (ended - began) for a, b in zip(before, after))
        assert reader > 0.95 and more[1] - exits[1] < 100, (writer, reader, exits, more)
        assert writer < 0.8, (writer, reader)
        done = site.a.wait_status("smp", "completed", seconds=120)
        assert done["dirty-log"] == "write-protect" and done["cpu-throttle-percentage"] == 0
        rounds, _, us = map(int, says(site.b, "smp", BEAT).groups())
        later = says(site.b, "smp", BEAT)
        assert int(later[1]) > rounds and int(later[3]) > us
        site.b.type("smp", "q")
        site.b.machine.wait(" vm: smp: passed", 60)
