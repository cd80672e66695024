# SPDX-License-Identifier: BSD-2-Clause
"""Guests that run at the destination before their memory is there. The guest mover writes pages all the time and checks
each that it reads: it says "0 wrong". Linux: test_migrate.py."""

import functools
import random
import re

import pytest
from cuts import Cuts
from machine import vm
from migration import Site, beats, connected_standing, says
from relay import DEST, SOURCE, Relay

SEED = 3
MOVER = vm("mover", "mover.elf", memory="12M", cmdline="pages=2048 rate=8")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """mover on one of two hypervisors, all of its pages written."""
    with Site(tmp_path_factory.mktemp("postcopy")) as site:
        site.boot(MOVER, b="", mem=256)
        says(site.a, "mover", r"beat \d+ at \d+ ms, \d{5} writes")
        yield site


def arrived(source, dest):
    """It has arrived whole; returns what the source says of the move."""
    done = source.wait_status("mover", "completed")
    there = dest.query("mover")
    assert there["handoff"] == "running" and there["postcopy-missing"] == 0, there
    assert "mover" not in source.guests()
    beats(dest)
    return done


def listed(host):
    """What vms says of it there."""
    row, = [row for row in host.get("/v1/vms")["vms"] if row["name"] == "mover"]
    return row


def nothing_comes(host):
    """It says of its half that it is alone, how much is missing, and for how long it has been so."""
    row = listed(host)
    said = re.fullmatch(r"postcopy-paused: \S+ MiB missing, at .*, not heard for (\d+) s: if .*", row["reason"])
    return (said and row["postcopy"]["status"] == "postcopy-paused"
            and row["postcopy"]["silent_ms"] // 1000 == int(said[1])
            and host.metric('godwit_vm_postcopy_paused{vm="mover"}') == 1)


@pytest.mark.parametrize("mode", ["post-copy", "hybrid"])
def test_modes(pair, mode):
    """All of its memory follows, each page once; and it was handed over with most of it behind. Both connections were
    there, their handshakes over, before the guest stopped."""
    source, dest = pair.ends("mover")
    source.begin("mover", dest, mode)
    done = arrived(source, dest)
    assert done["mode"] == dest.query("mover")["mode"] == mode and len(done["rounds"]) == (1 if mode == "hybrid" else 0)
    assert done["ram"]["postcopy-recoveries"] == 0, done
    assert done["ram"]["postcopy-bytes"] > 0
    assert len(done["connections"]) == 2 and connected_standing(done) == [], done
    if mode == "post-copy":
        assert done["ram"]["transferred"] < 1.02 * 4112 * done["ram"]["normal"] + 16 * done["ram"]["duplicate"] + 65536
        assert done["ram"]["normal"] + done["ram"]["duplicate"] == done["ram"]["total"] // 4096, done


def test_demand(pair):
    """Only what it touches comes; until the operator, who may stand at the destination, wants all of it. Both ends say
    that the guest is in two halves, and how much of it is missing."""
    source, dest = pair.ends("mover")
    source.begin("mover", dest, "demand")
    source.wait_status("mover", "postcopy-active")
    assert source.guests()["mover"] == "serving"
    beats(dest)
    row = listed(dest)
    assert row["status"] == "running" and re.match(r"postcopy-active: \S+ MiB missing, at ", row["reason"]), row
    assert row["reason"].endswith(", the rest when pulled"), row
    row = listed(source)
    assert row["status"] == "serving" and f" MiB missing, at this end for {dest.address}:4900" in row["reason"], row
    assert source.get("/v1/vms/mover")["postcopy"]["missing"] == source.query("mover")["postcopy-missing"]
    told = dict(line.rsplit(" ", 1) for line in dest.get("/metrics").decode().splitlines() if line[0] != "#")
    assert 0 < int(told['godwit_vm_postcopy_missing_bytes{vm="mover"}']) < 12 << 20
    waits = int(told['godwit_vm_postcopy_latency_seconds_count{vm="mover"}'])
    assert waits == int(told['godwit_vm_postcopy_latency_seconds_bucket{vm="mover",le="+Inf"}']) > 0
    assert source.refused("/v1/vms/mover/poweroff")[0] == 409
    assert "pages of it are missing" in dest.refused("/v1/vms/mover/migrate", dest=source.address)[1]
    now = source.query("mover")["ram"]
    assert now["postcopy-requests"] > 0
    assert now["normal"] + now["duplicate"] <= now["postcopy-requests"] + now["total"] // 4096 - 2048
    dest.post("/v1/vms/mover/pull")
    done = arrived(source, dest)
    samples = done["postcopy-progress"]
    assert samples[0]["requests"] < samples[-1]["requests"], samples
    for name in ("ms", "pages", "requests"):
        assert sorted(sample[name] for sample in samples) == [sample[name] for sample in samples]


def test_link_is_cut(pair):
    """Before each kind of record that a serving source or an incomplete destination says; then the link is there again,
    and all of the memory comes. Meanwhile both ends say so."""
    for who, record, nth in ((SOURCE, "COMMIT", 1), (DEST, "RUNNING", 1), (SOURCE, "PAGES", 20), (DEST, "WANT", 2),
                             (DEST, "COMPLETE", 1)):
        source, dest = pair.ends("mover")
        relay = Relay(pair.net, dest.address)
        relay.stop_at(who, record, relay.cut, nth=nth)
        source.begin("mover", relay, "post-copy")
        relay.reached()
        for host in (source, dest) if record in ("PAGES", "WANT") else ():
            host.wait_for("it says that nothing comes", functools.partial(nothing_comes, host))
        relay.reopen()
        done = arrived(source, dest)
        assert done["ram"]["postcopy-recoveries"] >= (record in ("PAGES", "WANT", "COMPLETE")), (record, done)
        relay.close()


def test_link_is_cut_at_random(pair):
    """At records that the seed chooses, those of connections that are made anew, too (tools/soak-postcopy)."""
    cuts = Cuts(pair, random.Random(SEED))
    while cuts.total["mover"] < 5:
        cuts.turn("mover", *pair.ends("mover"), "post-copy", 5 - cuts.total["mover"])
