# SPDX-License-Identifier: BSD-2-Clause
"""The comparison with Linux, KVM and QEMU (tests/bench/peer): the order of moves, and what it makes of those that were
measured. No machine runs here."""

import csv
import json
import random
import statistics
import subprocess
import sys

import pytest
from machine import ROOT

PEER = ROOT / "tests/bench/peer"
sys.path.append(str(ROOT / "tests/bench"))

import peerlab as lab  # noqa: E402

UNITS = {"idle": "", "client": "answers/s", "writer-500": "pages/s"}


def move(side, pair, total, who=None, load="idle", memory=256, mode="live", tls=False, **more):
    return {"who": who or ("godwit", "peer")[side], "vm": "linux", "status": "completed", "load": load,
            "memory": memory, "cpus": 2, "mode": mode, "tls": tls,
            "side": side, "pair": pair, "total-time": total, **more}


def pair(number, ours, theirs, who=None, **more):
    return [move(0, number, ours, **more), move(1, number, theirs, who, **more)]


def rows(*moves):
    return {(row["load"], row["memory"], row["what"]): row for row in lab.rows_of([*moves], UNITS)}


def test_cases_take_turns_and_sides_are_abba():
    assert lab.plan(["a", "b"], 3) == [("a", 0, (0, 1)), ("b", 0, (0, 1)), ("a", 1, (1, 0)), ("b", 1, (1, 0)),
                                       ("a", 2, (0, 1)), ("b", 2, (0, 1))]


def test_a_ratio_is_that_of_a_pair():
    """The machine was ten times as slow in one pair, and the second pair was made in the other order."""
    made = rows(*pair(0, 100, 1000), *reversed(pair(1, 1200, 10000)), *pair(2, 90, 500))
    row = made["idle", 256, "total-time"]
    assert (row["godwit"], row["peer"], row["pairs"], row["failed"]) == (100, 1000, 3, 0)
    assert row["ratio"] == pytest.approx(0.12) and (row["least"], row["most"]) == pytest.approx((0.1, 0.18))
    assert row["least"] <= row["low"] <= row["ratio"] <= row["high"] <= row["most"]
    assert row["met"]


def test_cases_are_apart():
    made = rows(*pair(0, 10, 100), *pair(0, 30, 100, memory=4096))
    assert made["idle", 256, "total-time"]["met"] and not made["idle", 4096, "total-time"]["met"]


def test_interval_holds_the_median_of_most_samples():
    """Samples of 15 ratios whose true median is 1."""
    draw = random.Random(7)
    samples = [[draw.lognormvariate(0, 0.3) for _ in range(15)] for _ in range(60)]
    intervals = [lab.interval(sample) for sample in samples]
    assert 54 <= sum(low <= 1 <= high for low, high in intervals) <= 60
    assert 0.2 < statistics.mean(high - low for low, high in intervals) < 0.6
    assert intervals[0] == lab.interval(samples[0])  # the same numbers, the same interval
    assert lab.interval([0.5] * 5) == (0.5, 0.5)


def test_a_failed_move_takes_its_pair_out():
    lost = move(1, 1, 0) | {"failed": "the move did not end"}
    made = rows(*pair(0, 10, 100), move(0, 1, 90), lost)
    assert (made["idle", 256, "total-time"]["pairs"], made["idle", 256, "total-time"]["failed"]) == (1, 1)
    assert made["idle", 256, "total-time"]["ratio"] == pytest.approx(0.1)
    none = rows(move(0, 1, 90), lost)
    assert none["idle", 256, "total-time"]["pairs"] == 0 and "1 failed" in "\n".join(lab.lines(none.values()))


def test_the_client_waits_beyond_the_blackout():
    made = rows(*pair(0, 10, 100, load="client", blackout=40, work=1000, **{"client-gap": 75}))
    row = made["client", 256, "gap-beyond"]
    assert (row["godwit"], row["goal"], row["met"]) == (35, "godwit <= 30", False)
    assert made["client", 256, "work"]["unit"] == "answers/s" and made["client", 256, "work"]["goal"] is None


@pytest.mark.parametrize("pace, met", [(0.95, True), (0.85, None)])
def test_a_guest_that_does_not_keep_its_pace_meets_no_goal(pace, met):
    made = rows(*pair(0, 10, 100, load="writer-500", work=500 * pace, pace=pace))
    assert made["writer-500", 256, "total-time"]["met"] is met


@pytest.mark.parametrize("mode", ["post-copy", "post-copy-preempt"])
def test_waits_for_pages_are_compared(mode):
    """By post-copy only the blackout is a goal; a wait is the mean of its move."""
    made = rows(*pair(0, 400, 2000, mode=mode, blackout=90, waits=50, blocktime=200),
                *pair(1, 500, 2000, mode=mode, blackout=210, waits=10, blocktime=100))
    wait, blackout = made["idle", 256, "wait"], made["idle", 256, "blackout"]
    assert (wait["godwit"], wait["unit"], wait["goal"]) == (7, "ms", None)
    assert (blackout["goal"], blackout["met"], made["idle", 256, "total-time"]["goal"]) == ("ratio <= 0.1", False, None)


def test_goals_by_tls_are_others():
    made = rows(*pair(0, 140, 1000, blackout=150, downtime=90))
    other = rows(*pair(0, 140, 1000, blackout=150, downtime=90, tls=True))
    assert [made["idle", 256, what]["met"] for what in ("total-time", "blackout", "downtime")] == [True, False, False]
    assert [other["idle", 256, what]["met"] for what in ("total-time", "blackout", "downtime")] == [False, False, None]
    assert other["idle", 256, "total-time"]["goal"] == "ratio <= 0.125"
    assert "live by TLS: 1 pairs" in "\n".join(lab.lines(other.values()))


def test_control_shows_the_noise_and_meets_no_goal():
    made = rows(*pair(0, 100, 110, "godwit"), *pair(1, 120, 100, "godwit"), *pair(2, 100, 100, "godwit"))
    assert made["idle", 256, "total-time"]["met"] is None
    assert list(lab.spread(made.values())) == ["total-time    the interval reaches 20% from 1, the worst pair 20%"]
    assert not list(lab.spread(rows(*pair(0, 1, 2)).values()))


def test_files_and_table_of_a_run(tmp_path):
    """From the moves to what a person reads: every row, under the head of the run."""
    figures = {"downtime": 12.0, "blackout": 40.0, "transferred": 87_000_000, "mbps": 900.0, "cpu-time": 3000}
    record = {"header": {"title": "Moves", "commit": "abc"}, "moves": [
        *pair(0, 400, 4000, **figures), *pair(1, 900, 4000, **figures)]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    done = subprocess.run([PEER, "--from", tmp_path / "run.json", "-o", tmp_path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "idle, 256 MiB, 2 processors, live: 2 pairs" in done.stdout
    [line] = [line.split() for line in done.stdout.splitlines() if line.startswith("total-time")]
    assert line == ["total-time,", "ms", "650.0", "4000.0", "0.163", "0.100", "to", "0.225", "0.100", "to", "0.225",
                    "ratio", "<=", "0.15:", "MISSED"]
    text = (tmp_path / "peer.csv").read_text().splitlines()
    assert text[:2] == ["# title: Moves", "# commit: abc"]
    table = {row["what"]: row for row in csv.DictReader(text[2:])}
    assert set(table) == {"total-time", *figures} and set(table["blackout"]) == set(lab.COLUMNS)
    assert (table["transferred"]["godwit"], table["transferred"]["unit"]) == ("87", "MB")
    assert (table["downtime"]["goal"], table["downtime"]["met"]) == ("godwit <= 25", "True")
    assert json.loads((tmp_path / "peer.json").read_text())["rows"][0]["what"] == "total-time"
