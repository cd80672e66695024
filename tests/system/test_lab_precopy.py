# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of pre-copy (docs/lab-precopy.md): predictions are those of the formula, what it computes of a move is
right, and a run has every row."""

import csv
import json
import subprocess
import sys

import pytest
from machine import DEBUG, ROOT, tool

LAB = ROOT / "tests/bench/lab-precopy"
sys.path.append(str(ROOT / "tests/bench"))

import precopylab as lab  # noqa: E402

SCALE = lab.Scale()
ANSWER = {"status": "completed", "downtime": 60.0, "expected-downtime": 66.0, "round-trip": 2.0, "total-time": 2560.0,
          "cpu-throttle-percentage": 0,
          "rounds": [{"pages": 4000, "dirtied": 400, "bytes": 4000 * 4112, "ms": 2000.0},
                     {"pages": 400, "dirtied": 100, "bytes": 400 * 4112, "ms": 200.0}],
          "stopped-round": {"pages": 110},
          "phases": {"setup": 300, "precopy": 2200, "stop": 1, "final-ram": 50, "device-state": 7, "commit": 2}}
PREDICTED = {"rounds": 3, "pages": 4059, "last": 100, "downtime": 57.0, "total": 2300.0, "throttle": 0, "each": []}


def run(*words):
    return subprocess.run([LAB, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=1000)


def row(ticks=500, **values):
    """The move above, of a guest that made so many of its 500 ticks."""
    made = lab.row_of(SCALE, 0.5, PREDICTED, ANSWER, (1000, 5_000_000), (1000 + ticks, 7_500_000))
    return {"part": "sweep", "first": True, "on_stall": "stop", **made, **values}


@pytest.mark.skipif(DEBUG, reason="users measure the release image")
@pytest.mark.alone
def test_a_run_has_every_row(tmp_path):
    """At rho 2 the guest is stopped, or stays where it is, as on-stall says; its writes are all there in the end."""
    done = run("--gate", "--no-plots", "-o", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "precopy.json").read_text())
    rows = record["rows"]
    assert [(row["on_stall"], row["status"]) for row in rows] == [("stop", "completed"), ("abort", "failed")]
    for made in rows:
        assert made["pages"] == sum(one["pages"] for one in made["each"]) + made["last"]
        assert made["rounds"] == len(made["each"]) and len(made["each_predicted"]) == made["rounds_predicted"]
        assert abs(made["each"][0]["pages"] / made["each_predicted"][0]["pages"] - 1) < 0.02  # its contents
    assert rows[0]["last"] > 300 and rows[0]["downtime"] >= 1000 * (rows[0]["last"] - 128) / rows[0]["R"]
    assert rows[1]["last"] == 0 and rows[1]["downtime"] is None
    with open(tmp_path / "precopy.csv") as file:
        lines = list(file)
    assert {"commit", "command", "emulators", "guest", "settings", "assumed"} <= {
        line[2:].split(":")[0] for line in lines if line.startswith("# ")}
    written = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [line["pages"] for line in written] == [str(made["pages"]) for made in rows]


@pytest.mark.parametrize("rho, left", [(1.2, 0.314), (2, 0.797)])
def test_prediction_ends_at_the_root(tmp_path, rho, left):
    """Of x = 1 - exp(-rho x), in parts of the pages that are written: rounds that stall come near it from above."""
    predicted = lab.predict(tmp_path, SCALE, rho, "stop")
    assert left - 0.01 < predicted["last"] / SCALE.pages < left + 0.1
    assert predicted["downtime"] == pytest.approx(SCALE.fixed + predicted["last"] / SCALE.link * 1000, rel=0.01)
    assert predicted["pages"] == sum(one["pages"] for one in predicted["each"]) + predicted["last"]
    first = lab.of_first(SCALE, predicted)
    assert first["downtime"] == predicted["downtime"] + SCALE.cold and first["pages"] == predicted["pages"]
    aborted = lab.predict(tmp_path, SCALE, rho, "abort")
    assert aborted["downtime"] is None and lab.of_first(SCALE, aborted) == aborted


def test_prediction_converges(tmp_path):
    """Below 1 each round leaves rho times as much; without writes there is one round."""
    still = lab.predict(tmp_path, SCALE, 0, "stop")
    assert (still["rounds"], still["pages"], still["last"]) == (1, SCALE.used() + lab.OWN, lab.OWN)
    half = lab.predict(tmp_path, SCALE, 0.5, "stop")
    left = [one["dirtied"] for one in half["each"]]
    assert left[0] == pytest.approx(SCALE.pages * 0.396, rel=0.05)  # 1 - exp(-0.5)
    assert all(after == pytest.approx(before / 2, rel=0.2) for before, after in zip(left[1:], left[2:]))
    assert half["downtime"] <= SCALE.limit


def test_trace_has_the_writes(tmp_path):
    reader = tool("dirty-trace")
    lab.write_trace(tmp_path / "trace", SCALE, 0.5)
    trace = reader.read(tmp_path / "trace")
    assert trace.end == "whole" and trace.pages == SCALE.memory() * 256
    assert trace.us == SCALE.seconds * lab.US_PER_S and len(trace.intervals) == SCALE.seconds * 200
    assert SCALE.rate(0.5) == 5 and SCALE.possible(0.5) and not SCALE.possible(0.55) and not SCALE.possible(5)
    assert all(lab.OWN + 1 <= interval.pages <= lab.OWN + 2 * 5 for interval in trace.intervals)


def test_a_move_is_measured():
    made = row()
    assert (made["pages"], made["rounds"], made["last"]) == (4510, 2, 110)
    assert made["D"] == 1000 and made["D_seen"] == pytest.approx(1000) and made["R_seen"] == pytest.approx(2000)
    assert made["rho_seen"] == pytest.approx(0.5) and made["fixed"] == 10
    assert lab.errors(made) == {"pages": pytest.approx(-0.1), "rounds": 1, "downtime": pytest.approx(-0.05),
                                "expected": pytest.approx(0.1)}


def test_a_run_that_was_disturbed_is_rejected():
    assert row()["rejected"] == ""
    assert row(ticks=400)["rejected"] == "the guest made 80% of its ticks"
    slow = {**ANSWER, "rounds": [{"pages": 4000, "dirtied": 0, "bytes": 4000 * 4112, "ms": 2500.0}]}
    made = lab.row_of(SCALE, 0.5, PREDICTED, slow, (0, 0), (500, 2_500_000))
    assert made["rejected"] == "the link carried 80% of its rate"
    assert lab.goals([{**row(), "rejected": "x"}]) == []


@pytest.mark.parametrize("rounds", [[], [{"pages": 1, "dirtied": 0, "bytes": 4112, "ms": 0.0}],
                                    [{"pages": 0, "dirtied": 0, "bytes": 0, "ms": 2.0}]])
def test_a_move_without_a_round_that_tells_the_rate_is_rejected(rounds):
    """On a machine that others keep busy a move may fail before its first round, or that takes no time."""
    made = lab.row_of(SCALE, 0.5, PREDICTED, {**ANSWER, "rounds": rounds}, (0, 0), (500, 2_500_000))
    assert made["rejected"] == "no round tells what the link carries" and made["rho_seen"] is None


def test_goals_take_the_worst_rho_of_medians():
    rows = [row(pages=pages) for pages in (4059, 4059, 8118)] + [row(rho=2, pages=4510), row(first=False, pages=4059)]
    judged = {(goal["moves"], goal["what"]): goal for goal in lab.goals(rows)}
    assert judged["first", "pages"]["measured"] == pytest.approx(0.1) and judged["first", "pages"]["rho"] == 2
    assert judged["later", "pages"]["measured"] == 0 and judged["later", "pages"]["met"]
    assert judged["first", "rounds"]["met"] and judged["first", "downtime"]["met"]
    assert not lab.goals([row(expected_downtime=73)])[3]["met"]


def test_usage(tmp_path):
    wrong = run("--rho", "0.33")
    assert wrong.returncode == 2 and "expected a multiple of 0.1 from 0 to 4" in wrong.stderr
    (tmp_path / "x.json").write_text("{}")
    wrong = run("--from", tmp_path / "x.json")
    assert wrong.returncode == 1 and "it has no 'rows'" in wrong.stderr
