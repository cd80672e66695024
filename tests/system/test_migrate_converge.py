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
FEWER = 512   # that the other guest does: its first rounds are long, for the link carries a sixth of what it writes
OF_FEWER = 6  # rho of that guest: also above 1 while an emulator is let run for a third of the time
# One makes up for ticks that it took late, so that it writes as much in a second on a busy machine; the other does not,
# so that it writes less when it is throttled.
GUESTS = {"mover": (PAGES, "12M", "tick=10000 timer=8254"), "lossy": (FEWER, "8M", "tick=4000 timer=periodic")}
BEAT = r"beat \d+ at (\d+) ms, (\d+) writes, 0 wrong, 0 backwards, 0 strayed\n"
LIMIT = 150   # ms of downtime: some 200 pages at rho 0.5, and a thirtieth of what is left at rho 2
# An emulator that waits for a processor may spoil a short round or two of a move that converges: each such stall costs
# the guest a percent of its time. Of a move that does not converge every round is one, up to max-rounds.
LENIENT = {"on_stall": "throttle", "cpu_throttle_initial": 1, "cpu_throttle_increment": 1}
FEW_STALLS = 5
SLOW = 180  # s, for several rounds of 8 s: where the guest writes less, the link is made for less
BURST = 128 * (PAGE + 16)  # bytes that a source sends at once (migrate/source.c)


@pytest.fixture(scope="module")
def writing(tmp_path_factory):
    """The guests on one of two hypervisors; they have written most of their pages."""
    with Site(tmp_path_factory.mktemp("writing")) as site:
        site.boot("".join(vm(name, "mover.elf", memory=memory, cmdline=f"pages={pages} rate=8 {timer}")
                          for name, (pages, memory, timer) in GUESTS.items()), mem=256)
        for name, (pages, *_) in GUESTS.items():
            site.a.wait_for("its pages are written", lambda name=name, pages=pages: seen(site.a, name)[1] > 3 * pages)
        for host in (site.a, site.b):
            host.set(downtime_limit=LIMIT, hot_pages="each")  # rounds as the arithmetic has them
        yield site


def seen(host, name):
    """(ms, writes) of the guest's next beat."""
    host.printed(name)
    return tuple(map(int, says(host, name, BEAT).groups()))


def writes_a_second(host, name="mover"):
    """Over a second or more of the guest's own time, as soon as two such times agree: neighbours may have the
    emulator's processor for a while."""
    rates = []

    def steady():
        began, before = seen(host, name)
        now, after = host.wait_for("a second passes", lambda: (beat := seen(host, name))[0] > began + 1000 and beat)
        rates.append((after - before) / (now - began) * 1000)
        return len(rates) > 1 and abs(rates[-1] - rates[-2]) < rates[-2] / 10
    host.wait_for("it writes steadily", steady)
    return rates[-1]


def writes_as_before(host, free):
    """lossy does: not a tenth, as when it is throttled; how much exactly is up to who else uses the machine."""
    host.wait_for("it writes as before", lambda: writes_a_second(host, "lossy") > 0.4 * free)


def make_link(source, rho):
    """Returns its bytes a second."""
    bandwidth = round(writes_a_second(source) * PAGE / rho)
    source.set(max_bandwidth=bandwidth)
    return bandwidth


def is_within(bandwidth, answer):
    """Did the first round take its time? It takes longer where an emulator waits for a processor."""
    first = answer["rounds"][0]
    return first["bytes"] <= bandwidth * first["ms"] / 1000 + BURST


def rho(answer):
    """What it was in the first round, of whose writes some fell on the same pages: near saturation a rough guess."""
    first = answer["rounds"][0]
    writes = -PAGES * math.log(1 - min(first["dirtied"] / PAGES, 0.99))
    return writes * PAGE / first["bytes"]


def rho_said(answer):
    """What the move took it for in its last round."""
    return answer["prediction"]["dirty-pages-rate"] * PAGE / answer["prediction"]["bytes-per-second"]


def dirtied(answer):
    return [row["dirtied"] for row in answer["rounds"]]


@pytest.mark.alone
def test_it_converges_at_half_and_stalls_at_twice(writing):
    """Several rounds, each leaving less, and a short stop; or few, and a stop as long as a round."""
    source, dest = writing.ends("mover")
    bandwidth = make_link(source, 0.5)
    source.set(**LENIENT)
    half = move(source, dest, "mover", "verify")
    assert is_within(bandwidth, half) and 0.25 < rho(half) < 1
    left = dirtied(half)
    assert len(left) >= 2 and left[-1] < left[0] / 2 and left[-1] < PAGES / 4, left
    assert not half["prediction"]["gave-up"] and half["cpu-throttle-percentage"] <= FEW_STALLS, left
    beats(dest)
    source, dest = dest, source
    bandwidth = make_link(source, 2)
    source.set(on_stall="stop")
    twice = move(source, dest, "mover", "verify")
    assert is_within(bandwidth, twice) and rho(twice) > 1.4 and rho_said(twice) > 1
    left = dirtied(twice)
    assert 2 <= len(left) <= 8 and twice["prediction"]["stalled"], left
    assert left[-1] > PAGES / 2
    assert twice["warnings"] and re.fullmatch(
        rf"more rounds bring nothing: stopped with \d+ ms of downtime expected, above the limit of {LIMIT}; "
        "on-stall = abort lets it stay, throttle slows it first", twice["warnings"][-1])
    assert not [words for words in half["warnings"] if "downtime expected" in words]
    assert half["downtime"] < twice["downtime"] / 2  # the limit, and five seconds
    beats(dest)


@pytest.mark.alone
def test_it_may_give_up(writing):
    """At rho 2 by on-stall = abort: the guest goes on where it is, and writes on."""
    source, dest = writing.ends("mover")
    make_link(source, 2)
    source.set(on_stall="abort")
    source.begin("mover", dest, "verify")
    failed = source.wait_status("mover", "failed")
    source.set(on_stall="stop")
    assert failed["error"] == "converge" and failed["reason"] == "the guest writes faster than the link carries"
    assert failed["prediction"]["stalled"] and rho(failed) > 1.4 and rho_said(failed) > 1
    assert 2 <= len(failed["rounds"]) <= 8 and failed["downtime"] == 0
    assert writing.where("mover") == [source]
    beats(source)
    dest.wait_for("the copy is freed", lambda: "mover" not in dest.guests())


def test_it_is_throttled(writing):
    """Far above 1 by on-stall = throttle: it is let run less until the rest is short. It writes as before at the
    destination, and where it is after a move that was cancelled."""
    source, dest = writing.ends("lossy")
    free = writes_a_second(source, "lossy")
    source.set(max_bandwidth=round(free * PAGE / OF_FEWER), on_stall="throttle",
               cpu_throttle_initial=90, cpu_throttle_increment=9)
    source.begin("lossy", dest)
    source.wait_for("it is throttled", lambda: source.query("lossy")["cpu-throttle-percentage"] > 0, SLOW)
    source.post("/v1/vms/lossy/migrate_cancel")
    source.wait_status("lossy", "cancelled")
    assert source.get("/v1/vms/lossy")["cpu_throttle_percentage"] == 0
    writes_as_before(source, free)
    done = move(source, dest, "lossy", "verify", seconds=SLOW)
    source.set(on_stall="stop")
    left = dirtied(done)
    assert 90 <= done["cpu-throttle-percentage"] <= 99
    assert max(left) > FEWER / 2 and left[-1] < FEWER / 4, left
    assert dest.get("/v1/vms/lossy")["cpu_throttle_percentage"] == 0
    writes_as_before(dest, free)
    beats(dest, "lossy")


def test_writers_are_throttled(writing):
    """The same by on-stall = throttle-writers: it is held to fewer new pages a second, by faults whatever the log was
    before, and runs all the time. The rounds say so; afterwards it writes as before."""
    source, dest = writing.ends("lossy")
    free = writes_a_second(source, "lossy")
    source.set(max_bandwidth=round(free * PAGE / OF_FEWER), on_stall="throttle-writers")
    done = move(source, dest, "lossy", "verify", seconds=SLOW)
    source.set(on_stall="stop")
    left, limits = dirtied(done), [row["write-limit"] for row in done["rounds"]]
    assert done["dirty-log"] == "write-protect" and done["cpu-throttle-percentage"] == 0, done
    assert limits[0] == 0 and limits[-1] == done["write-limit"] > 0 and limits == sorted(limits, key=bool), limits
    assert max(left) > FEWER / 2 and left[-1] < FEWER / 4, left
    for row in done["rounds"]:
        if row["write-limit"]:
            assert row["dirtied"] <= row["write-limit"] * row["ms"] / 1000 * 1.2 + 64, row
    assert dest.get("/v1/vms/lossy")["write_limit"] == 0
    writes_as_before(dest, free)
    beats(dest, "lossy")
