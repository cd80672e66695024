# SPDX-License-Identifier: BSD-2-Clause
"""What a move would be in each mode is said before it is made, from what guest and link were seen to do; mode auto
takes the one that suits them. The guest writes 4000 pages a second of its 2048, if it is let run; max-bandwidth makes
the link."""

import pytest
from machine import vm
from migration import Site, beats, says

PAGE = 4112   # bytes on the wire
PAGES = 2048
RATE = 300  # pages/s that the slow link carries
FAST, SLOW = 0, RATE * PAGE  # bytes/s: any, or a small part of what the guest writes
LIMIT = 3000  # downtime-limit, ms: less than half of what the slow link takes; a link of a busy machine keeps it, too
MODES = ["live", "stop-copy", "post-copy", "hybrid", "demand"]
MOVER = vm("mover", "mover.elf", memory="12M", cmdline=f"pages={PAGES} rate=8 tick=2000 timer=8254")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("auto")) as site:
        site.boot(MOVER, b="", mem=256)
        says(site.a, "mover", r"beat \d+ at \d+ ms, \d{5} writes")
        yield site


def forecast(answer):
    assert [row["mode"] for row in answer["forecast"]] == MODES
    return {row["mode"]: row for row in answer["forecast"]}


def seen(host):
    """(ms, writes) of the guest's next beat."""
    host.printed("mover")
    return tuple(map(int, says(host, "mover", r"beat \d+ at (\d+) ms, (\d+) writes, ").groups()))


def test_check_says_what_each_mode_would_be(pair):
    """The guest's pages and writes, the link's rate, and that a guest which writes faster than the link carries stands
    for long by live, and not by post-copy. The guest is where it was, and the tool shows the same."""
    source, dest = pair.ends("mover")
    source.set(max_bandwidth=SLOW, downtime_limit=LIMIT)

    def checked():
        """What is told of a fifth of a second in which the guest wrote as much as around it, by its own word: whoever
        else uses this machine may have had the processor in one of them."""
        began, before = seen(source)
        done = source.godwit("migrate", "mover", dest.address, "--check")
        now, after = seen(source)
        answer, rate = source.query("mover"), (after - before) / (now - began) * 1000
        told = answer["measured"]["dirty-pages-rate"]
        wrote = rate > 4 * RATE and rate / 2 < told < rate * 2
        return wrote and answer["measured"]["round-trip"] < 300 and (done, answer)
    done, answer = source.wait_for("what is told is what the guest says", checked)
    assert done.returncode == 0 and done.stdout.startswith("it would be taken\n"), done
    assert "The link carries " in done.stdout and "\nstop-copy " in done.stdout, done.stdout
    measured, rows = answer["measured"], forecast(answer)
    assert measured["watched"] and SLOW / 2 < measured["bytes-per-second"] <= SLOW
    assert PAGES <= measured["used-pages"] <= PAGES + 200, measured
    assert 500 < measured["working-set"] <= 3072
    assert 0 < measured["busy"] <= 100 and rows["post-copy"]["waits"] > 0 == rows["live"]["waits"], answer
    assert "Its processors run for " in done.stdout, done.stdout
    assert not rows["live"]["within-limit"] and not rows["stop-copy"]["within-limit"]
    assert rows["post-copy"]["within-limit"] and rows["hybrid"]["within-limit"]
    # By what a fifth of a second shows, it may write to all that it has: then live leaves as much as stop-copy.
    assert 1.01 * rows["stop-copy"]["downtime"] > rows["live"]["downtime"] > 2 * rows["post-copy"]["downtime"], rows
    assert rows["live"]["bytes"] > rows["stop-copy"]["bytes"] == rows["post-copy"]["bytes"]
    assert "\ndemand       until pull " in done.stdout, done.stdout
    assert pair.where("mover") == [source]
    beats(source)


@pytest.mark.parametrize("bandwidth, modes", [(SLOW, ("post-copy", "hybrid")), (FAST, ("live",))])
def test_auto(pair, bandwidth, modes):
    """A slow link: it is handed over before its memory; a fast one: it moves live. What was chosen and why is shown and
    logged, and the bytes are those that were said before. Whoever else uses this machine may have had the processor
    just then: so what was measured counts, if it shows that."""
    source, dest = pair.ends("mover")
    for host in pair.hosts:
        host.set(max_bandwidth=bandwidth, downtime_limit=LIMIT)
    source.begin("mover", dest, "auto")
    done = source.wait_status("mover", "completed", seconds=180)
    there = dest.query("mover")
    chosen, rows, measured = done["chosen-mode"], forecast(done), done["measured"]
    few, late = measured["dirty-pages-rate"] < 2 * RATE, measured["bytes-per-second"] < 4 * SLOW
    assert done["mode"] == there["mode"] == "auto" and there["chosen-mode"] == chosen, there
    assert chosen in modes or (late if bandwidth == FAST else few), done
    assert (chosen == "live") == rows["live"]["within-limit"], done
    assert done["choice"].startswith(f"{chosen}: ") and f" the limit of {LIMIT}" in done["choice"]
    assert f"epoch {done['epoch']}: {done['choice']}" in source.machine.log
    assert (done["ram"]["postcopy-bytes"] > 0) == (chosen != "live") and (chosen == "post-copy" or done["rounds"])
    if chosen == "post-copy":
        assert done["ram"]["transferred"] == pytest.approx(rows[chosen]["bytes"], rel=0.15), done
        assert done["downtime"] < rows["stop-copy"]["downtime"] / 2
    beats(dest)
