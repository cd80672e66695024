# SPDX-License-Identifier: BSD-2-Clause
"""What a move would be in each mode is said before it is made, from what guest and link were seen to do; mode auto
takes the one that suits them. The guest writes 4000 pages a second of its 2048; max-bandwidth makes the link."""

import pytest
from machine import vm
from migration import Site, beats, says

PAGE = 4112   # bytes on the wire
PAGES = 2048
FAST, SLOW = 0, 600 * PAGE  # bytes/s: any, or a small part of what the guest writes
LIMIT = 1000  # downtime-limit, ms: less than half of what the slow link takes; a link of a busy machine keeps it, too
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


def test_check_says_what_each_mode_would_be(pair):
    """The guest's pages and writes, the link's rate, and that a guest which writes faster than the link carries stands
    for long by live, and not by post-copy. The guest is where it was, and the tool shows the same."""
    source, dest = pair.ends("mover")
    source.set(max_bandwidth=SLOW)
    done = source.godwit("migrate", "mover", dest.address, "--check")
    assert done.returncode == 0 and done.stdout.startswith("it would be taken\n"), done
    assert "The link carries " in done.stdout and "\nstop-copy " in done.stdout, done.stdout
    answer = source.query("mover")
    measured, rows = answer["measured"], forecast(answer)
    assert measured["watched"] and SLOW / 2 < measured["bytes-per-second"] <= SLOW
    assert PAGES <= measured["used-pages"] <= PAGES + 200, measured
    assert 500 < measured["working-set"] <= 3072 and 800 < measured["dirty-pages-rate"] < 8000, measured
    assert 0 < measured["busy"] <= 100 and rows["post-copy"]["waits"] > 0 == rows["live"]["waits"], answer
    assert "Its processors run for " in done.stdout, done.stdout
    assert not rows["live"]["within-limit"] and not rows["stop-copy"]["within-limit"]
    assert rows["post-copy"]["within-limit"] and rows["hybrid"]["within-limit"]
    assert rows["stop-copy"]["downtime"] > rows["live"]["downtime"] > 10 * rows["post-copy"]["downtime"], rows
    assert rows["live"]["bytes"] > rows["stop-copy"]["bytes"] == rows["post-copy"]["bytes"]
    assert "\ndemand       until pull " in done.stdout, done.stdout
    assert pair.where("mover") == [source]
    beats(source)


@pytest.mark.parametrize("bandwidth, modes", [(SLOW, ("post-copy", "hybrid")), (FAST, ("live",))])
def test_auto(pair, bandwidth, modes):
    """A slow link: it is handed over before its memory; a fast one: it moves live. What was chosen and why is shown and
    logged, and the bytes are those that were said before."""
    source, dest = pair.ends("mover")
    for host in pair.hosts:
        host.set(max_bandwidth=bandwidth, downtime_limit=LIMIT)
    source.begin("mover", dest, "auto")
    done = source.wait_status("mover", "completed", seconds=120)
    there = dest.query("mover")
    assert done["mode"] == there["mode"] == "auto" and done["chosen-mode"] in modes, done
    assert there["chosen-mode"] == done["chosen-mode"], there
    assert done["choice"].startswith(done["chosen-mode"] + ": ") and f" the limit of {LIMIT}" in done["choice"]
    assert f"epoch {done['epoch']}: {done['choice']}" in source.machine.log
    said = forecast(done)[done["chosen-mode"]]
    if bandwidth == SLOW:
        assert done["ram"]["transferred"] == pytest.approx(said["bytes"], rel=0.15), (said, done)
        assert done["ram"]["postcopy-bytes"] > 0 and done["downtime"] < 200
    else:
        assert done["ram"]["postcopy-bytes"] == 0 and done["rounds"]
    beats(dest)
