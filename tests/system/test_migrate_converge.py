# SPDX-License-Identifier: BSD-2-Clause
"""What comes of a move depends on rho: what the guest writes over what the link carries. Below 1 rounds get shorter
until the guest hardly stands; above 1 they do not, and on-stall says what then: stop, abort or throttle.

The link is made by max-bandwidth of what the guest was seen to write, so that rho is the same on any machine."""

import math
import re

import pytest
from machine import vm
from migration import Site, beats, move, says

PAGE = 4096
PAGES = 2048  # that the guest writes at random, of 3072
BEAT = r"beat \d+ at (\d+) ms, (\d+) writes, 0 wrong, 0 backwards, 0 strayed\n"
LIMIT = 150   # ms of downtime: some 200 pages at rho 0.5, and a thirtieth of what is left at rho 2

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def writing(tmp_path_factory):
    """mover on one of two hypervisors; it has written most of its pages."""
    with Site(tmp_path_factory.mktemp("writing")) as site:
        site.boot(vm("mover", "mover.elf", memory="12M", cmdline=f"pages={PAGES} rate=8 tick=10000"), mem=256)
        site.a.wait_for("its pages are written", lambda: seen(site.a)[1] > 3 * PAGES)
        for host in (site.a, site.b):
            host.set(downtime_limit=LIMIT)
        yield site


def seen(host):
    """(ms, writes) of the guest's next beat."""
    host.printed("mover")
    return tuple(map(int, says(host, "mover", BEAT).groups()))


def writes_a_second(host):
    """Over a second or more of the guest's own time, as soon as two such times agree: neighbours may have the
    emulator's processor for a while."""
    rates = []

    def steady():
        began, before = seen(host)
        now, after = host.wait_for("a second passes", lambda: (beat := seen(host))[0] > began + 1000 and beat)
        rates.append((after - before) / (now - began) * 1000)
        return len(rates) > 1 and abs(rates[-1] - rates[-2]) < rates[-2] / 10
    host.wait_for("it writes steadily", steady)
    return rates[-1]


def make_link(source, rho):
    source.set(max_bandwidth=round(writes_a_second(source) * PAGE / rho))


def rho(answer):
    """What it was in the first round, of whose writes some fell on the same pages."""
    first = answer["rounds"][0]
    writes = -PAGES * math.log(1 - min(first["dirtied"] / PAGES, 0.99))
    return writes * PAGE / first["bytes"]


def rho_said(answer):
    """What the move took it for in its last round."""
    return answer["prediction"]["dirty-pages-rate"] * PAGE / answer["prediction"]["bytes-per-second"]


def dirtied(answer):
    return [row["dirtied"] for row in answer["rounds"]]


def test_it_converges_at_half_and_stalls_at_twice(writing):
    """Several rounds, each leaving less, and a short stop; or few, and a stop as long as a round."""
    source, dest = writing.ends("mover")
    make_link(source, 0.5)
    half = move(source, dest, "mover", "verify")
    assert 0.35 < rho(half) < 0.7
    left = dirtied(half)
    assert len(left) >= 3 and left[-1] < PAGES / 8
    assert all(after < 0.8 * before for before, after in zip(left, left[1:]) if before > PAGES / 16), left
    beats(dest)
    source, dest = dest, source
    make_link(source, 2)
    source.set(on_stall="stop")
    twice = move(source, dest, "mover", "verify")
    assert 1.4 < rho(twice) < 2.8 and 1 < rho_said(twice) < 2.8
    left = dirtied(twice)
    assert 2 <= len(left) <= 5 and twice["prediction"]["stalled"]
    assert left[-1] > PAGES / 2
    assert twice["warnings"] and re.fullmatch(
        rf"more rounds bring nothing: stopped with \d+ ms of downtime expected, above the limit of {LIMIT}; "
        "on-stall = abort lets it stay, throttle slows it first", twice["warnings"][-1])
    assert not [words for words in half["warnings"] if "downtime expected" in words]
    assert half["downtime"] < twice["downtime"] / 4
    beats(dest)


def test_it_may_give_up(writing):
    """At rho 2 by on-stall = abort: the guest goes on where it is, and writes on."""
    source, dest = writing.ends("mover")
    make_link(source, 2)
    source.set(on_stall="abort")
    source.begin("mover", dest, "verify")
    failed = source.wait_status("mover", "failed")
    source.set(on_stall="stop")
    assert failed["error"] == "converge" and failed["reason"] == "the guest writes faster than the link carries"
    assert failed["prediction"]["stalled"] and 1.4 < rho(failed) < 2.8 and 1 < rho_said(failed) < 2.8
    assert 2 <= len(failed["rounds"]) <= 5 and failed["downtime"] == 0
    assert writing.where("mover") == [source]
    beats(source)
    dest.wait_for("the copy is freed", lambda: "mover" not in dest.guests())


def test_it_is_throttled(writing):
    """At rho 2 by on-stall = throttle: it is let run less, and less again, until the rest is short. It writes as
    much as before at the destination, and where it is after a move that was cancelled."""
    source, dest = writing.ends("mover")
    free = writes_a_second(source)
    source.set(max_bandwidth=round(free * PAGE / 2), on_stall="throttle",
               cpu_throttle_initial=50, cpu_throttle_increment=40)
    source.begin("mover", dest)
    source.wait_for("it is throttled", lambda: source.query("mover")["cpu-throttle-percentage"] > 0)
    source.post("/v1/vms/mover/migrate_cancel")
    source.wait_status("mover", "cancelled")
    assert source.get("/v1/vms/mover")["cpu_throttle_percentage"] == 0
    assert writes_a_second(source) > 0.8 * free
    done = move(source, dest, "mover", "verify")
    source.set(on_stall="stop")
    left = dirtied(done)
    assert 90 <= done["cpu-throttle-percentage"] <= 99
    assert max(left) > PAGES / 2 and left[-1] < PAGES / 4, left
    assert writes_a_second(dest) > 0.8 * free
    beats(dest)
