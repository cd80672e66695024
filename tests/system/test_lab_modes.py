# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of all modes (docs/lab-modes.md): what it computes of moves is right, and a run has every row."""

import csv
import json
import subprocess
import sys

import pytest
from machine import DEBUG, ROOT

LAB = ROOT / "tests/bench/lab-modes"
sys.path.append(str(ROOT / "tests/bench"))

import modeslab as lab  # noqa: E402

RATES = {"writer": 2000}


def run(*words):
    return subprocess.run([LAB, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=1000)


def row(mode, rho=0, **values):
    """A move of 1000 pages with contents, one after the other, by way of 0.5 ms and a round trip of 1.5 ms."""
    made = {"guest": "writer", "rho": rho, "mode": mode, "number": 0, "status": "completed", "calm": 1.0, "total": 600,
            "downtime": 20, "blackout": None, "pages": 1000, "zero": 0, "transferred": 1000 * 4112, "wire_bytes": 5e6,
            "lost": 60, "slowdown": 0.1, "blocktime": 40, "round_trip": 1.5, "rounds": 0, "latency": [0] * 12 + [98, 2],
            **values}
    made |= {"faults": sum(made["latency"])}
    return {**made, "rejected": lab.rejected(made)}


@pytest.mark.skipif(DEBUG, reason="users measure the release image")
@pytest.mark.alone
def test_a_run_has_every_row(tmp_path):
    """At rho 2, by each mode: only split moves wait for pages, each page goes once in post-copy, and the writer finds
    all that it wrote in the end."""
    done = run("--gate", "-o", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "modes.json").read_text())
    rows = {made["mode"]: made for made in record["rows"]}
    assert list(rows) == list(lab.MODES)
    for mode, made in rows.items():
        assert made["status"] == "completed" and (made["faults"] > 0) == (mode in lab.SPLIT), made
        assert made["lost"] >= made["downtime"] / 2, made
        assert made["predicted_transferred"] > 0 and made["predicted_downtime"] > 0 and made["measured"]["watched"]
        assert made["measured"]["dirty-pages-rate"] > 0, made
        assert (made["predicted_faults"] > 0) == (mode in lab.SPLIT), made
    sent = {mode: made["pages"] + made["zero"] for mode, made in rows.items()}
    assert sent["post-copy"] == sent["stop-copy"] < sent["live"]
    assert rows["post-copy"]["downtime"] < rows["stop-copy"]["downtime"] < rows["stop-copy"]["total"]
    assert rows["demand"]["total"] >= 3000
    with open(tmp_path / "modes.csv") as file:
        lines = list(file)
    assert {"commit", "command", "emulators", "guests", "moves"} <= {
        line[2:].split(":")[0] for line in lines if line.startswith("# ")}
    written = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [line["mode"] for line in written] == list(lab.MODES)
    assert "post-copy" in (tmp_path / "modes.html").read_text()


def test_quantiles_of_a_histogram():
    """Numbers of waits below 1, 2, 4 ... us."""
    assert lab.quantile([], 0.5) is None and lab.quantile([0, 0, 0], 0.5) is None
    assert lab.quantile([4], 0.5) == pytest.approx(0.0005)
    histogram = [0] * 10 + [50, 0, 50]  # half of them from 512 to 1024 us, half from 2048 to 4096
    assert lab.quantile(histogram, 0.25) == pytest.approx(0.768) and lab.quantile(histogram, 0.5) == 1.024
    assert lab.quantile(histogram, 0.75) == pytest.approx(3.072) and lab.quantile(histogram, 1) == 4.096


def test_moves_of_a_cell_are_one():
    made = lab.cells([row("post-copy", downtime=20), row("post-copy", downtime=40), row("post-copy", downtime=30),
                      row("post-copy", downtime=900, calm=0.5), row("live", status="failed")])
    cell = made["writer", 0, "post-copy"]
    assert (cell["moves"], cell["rejected"], cell["downtime"], cell["faults"]) == (3, 1, 30, 300)
    assert cell["p50"] == pytest.approx(3.093, abs=0.001) and cell["p99"] == pytest.approx(6.144)
    assert made["writer", 0, "live"]["moves"] == 0 and made["writer", 0, "live"]["total"] is None


def test_what_was_said_stands_beside_it():
    """By the names and in the units of what is measured; not of a mode without a forecast, or of what is not said."""
    check = {"measured": {"busy": 20}, "forecast": [
        {"mode": "post-copy", "total-time": 590.0, "downtime": 16.0, "bytes": 4000000, "slowdown": 12, "waits": 90},
        {"mode": "demand", "total-time": 0, "downtime": 16.0, "bytes": 4000000, "slowdown": 12, "waits": 90}]}
    rows = [row(mode, **lab.predicted(check, mode)) for mode in ("post-copy", "demand", "cold")]
    made = lab.forecast(lab.cells(rows))
    assert [mode for _, _, mode in made] == ["post-copy", "demand"]
    assert lab.compared(made["writer", 0, "post-copy"]) == [
        "590 / 600", "16.0 / 20.0", "4.0 / 4.1", "12% / 10%", "90 / 100"]
    assert lab.compared(made["writer", 0, "demand"])[0] == "– / 600"
    assert not lab.forecast(lab.cells([row("post-copy")]))


def test_goals_take_the_worst_rho():
    rows = [row("live"), row("stop-copy"), row("post-copy"), row("live", 2, total=9000), row("stop-copy", 2),
            row("post-copy", 2, downtime=30, total=690, transferred=1050 * 4112)]
    judged = {goal["what"]: goal for goal in lab.goals(lab.cells(rows), RATES)}
    assert set(judged) == set(lab.GOALS) - {"blackout"}
    assert judged["downtime"]["measured"] == 1.5 and not judged["downtime"]["met"]
    assert judged["bytes"]["measured"] == pytest.approx(1.054, abs=0.001) and judged["bytes"]["rho"] == 2
    assert judged["fault p50"]["measured"] == pytest.approx(1.546, abs=0.001) and judged["fault p50"]["met"]
    assert judged["fault p99"]["measured"] == pytest.approx(3.072) and judged["fault p99"]["met"]
    assert judged["total time"]["measured"] == 1.15 and judged["total time"]["met"]


@pytest.mark.parametrize("total, met", [(700, True), (500, False)])
def test_order_of_the_notes(total, met):
    said = list(lab.order(lab.cells([row("live", total=total), row("stop-copy", downtime=500)])))
    assert [(one["what"], one["met"]) for one in said] == [("downtime", True), ("total", met)]
    assert lab.judged(said[0]) == "order of downtime, writer, rho 0: live (20 ms) < stop-copy (500 ms): met"


def test_usage(tmp_path):
    wrong = run("--rho", "0.33")
    assert wrong.returncode == 2 and "expected a multiple of 0.1 from 0 to 4" in wrong.stderr
    (tmp_path / "x.json").write_text("{}")
    wrong = run("--from", tmp_path / "x.json")
    assert wrong.returncode == 1 and "it has no 'rows'" in wrong.stderr
