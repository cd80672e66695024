# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of the dirty log (docs/lab-dirty.md): its counts are those that the tree has written down, and what it
computes from them is right."""

import csv
import io
import json
import subprocess
import sys

import pytest
from machine import DEBUG, ROOT

LAB = ROOT / "tests/bench/lab-dirty"
sys.path.append(str(ROOT / "tests/bench"))

import dirtylab as lab  # noqa: E402
import labfiles  # noqa: E402

COSTS = {"exit": 1000, "cpi": 2, "walk": 10, "dirty": 100, "flush": 500}


def row(**values):
    """A round under a log, in which nothing happened unless it is said."""
    zero = dict.fromkeys(lab.EVENTS, 0) | {"burst": 0, "harvest": 0}
    return zero | {"boot": "m", "emulator": "bochs", "ram_mib": 20, "producer": "pml", "split": "lazy", "step": 0,
                   "pattern": "uniform", "set_mib": 16, "writes": 1, "work": 0, "round": 1} | values


def run(*words):
    return subprocess.run([LAB, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=900)


@pytest.mark.skipif(DEBUG, reason="the counts are those of the release image")
@pytest.mark.parametrize("emu", ["bochs", "qemu"])
def test_counts_are_those_expected(emu):
    """Exits, flushes, scans and pages exactly; instructions within two percent, which compilers may differ by."""
    done = run("--gate", "--only", emu)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gate_notices():
    good = {"m pml lazy": {"pages": 10, "lost": 10000, "exit_npf": 3}}
    assert lab.gate(good, good, 0.02) == []
    nearly = {"m pml lazy": {"pages": 10, "lost": 10250, "exit_npf": 3}}
    assert lab.gate(good, nearly, 0.02) == []
    assert lab.gate(good, {"m pml lazy": {"pages": 10, "lost": 10350, "exit_npf": 3}}, 0.02) == [
        "m pml lazy: lost is 10350, expected 10000"]
    assert lab.gate(good, {"m pml lazy": {"pages": 11, "lost": 10000, "exit_npf": 3}}, 0.02) == [
        "m pml lazy: pages is 11, expected 10"]
    assert lab.gate(good, {"m pml lazy": {"pages": 10, "lost": 10000, "exit_npf": 3, "exit_cpuid": 1}}, 0.02) == [
        "m pml lazy: exit_cpuid is 1, expected 0"]
    assert lab.gate(good, {}, 0.02) == ["m pml lazy: expected, and not there"]


def test_loss_is_against_the_same_round_without_a_log():
    rows = lab.compute([row(producer="off", burst=1000), row(producer="off", burst=3000, round=2),
                        row(burst=1500, harvest=200, pages=10), row(burst=3100, harvest=300, pages=20, round=2)])
    first, second = rows[2:]
    assert (first["lost"], first["instructions"], first["per_page"]) == (500, 700, 70)
    assert (first["slowdown"], first["rate"], first["density"]) == (0.5, 10000, 10 / (20 * 256))
    assert (second["lost"], second["instructions"]) == (100, 400)
    assert lab.steady(rows)[1] is second


def test_real_time_is_not_kept():
    """Under QEMU a tick is no instruction, and how often the timer comes is chance."""
    off, logged = lab.compute([row(producer="off", emulator="qemu", burst=7), row(emulator="qemu", burst=9, pages=1,
                                                                                  exit_preempt=3, exit_npf=1)])
    assert not {"burst", "harvest", "lost", "per_page", "exit_preempt"} & {*off, *logged}
    assert logged["exit_npf"] == 1


def test_projection():
    protect = row(producer="write-protect", pages=10, flushes=1, exit_npf=12, instructions=5000)
    assert lab.modelled(protect, COSTS) == 12 * 1000 + 5000 * 2 + (10 + 12) * 10 + 500
    pml = row(pages=600, flushes=1, instructions=900, **{"exit_log-full": 1})
    assert lab.modelled(pml, COSTS) == 1000 + 900 * 2 + 600 * 10 + 600 * 100 + 500
    idle = row(producer="dbit", instructions=900)
    assert lab.modelled(idle, COSTS) == 1800
    assert lab.modelled_page(COSTS)(pml) == lab.modelled(pml, COSTS) / 600


def test_crossings():
    """y = 100 and y = 1000 / x meet at 10, which lies between two points or on one."""
    flat = [(1, 100), (4, 100), (40, 100)]
    assert lab.crossings(flat, [(x, 1000 / x) for x, _ in flat]) == [pytest.approx(10)]
    assert lab.crossings(flat, [(x, 400 / x) for x, _ in flat]) == [pytest.approx(4)]
    assert lab.crossings(flat, [(x, 5) for x, _ in flat]) == []


def test_sensitivity_varies_one_cost_at_a_time():
    cases = lab.sensitivity([], lab.COSTS)
    assert [case["case"] for case in cases][:3] == ["as given", "exit 800", "exit 1700"]
    assert len(cases) == 1 + 2 * len(lab.COSTS)


def test_csv_can_be_read():
    file = io.StringIO()
    rows = lab.compute([row(producer="off", burst=1000), row(burst=1500, pages=3, missed=0, exit_npf=4)])
    labfiles.write_csv(file, {"commit": "abc", "configurations": "one\ntwo"}, lab.columns(rows), rows)
    lines = file.getvalue().splitlines()
    assert lines[:3] == ["# commit: abc", "# configurations: one", "# configurations: two"]
    off, logged = csv.DictReader(line for line in lines if not line.startswith("#"))
    assert (off["lost"], off["exit_npf"], off["burst"]) == ("", "", "1000")
    assert (logged["lost"], logged["exit_npf"], logged["per_page"], logged["missed"]) == ("500", "4", "166.667", "0")


def test_runs_that_differ_are_shown():
    first, second = [row(pages=1), row(pages=2, step=1)], [row(pages=1), row(pages=3, step=1, exit_npf=1)]
    assert lab.differences(first, first) == []
    shown = lab.differences(first, second)
    assert len(shown) == 2 and "step 1" in shown[0]
    assert shown[0].endswith("pages is 2, then 3") and shown[1].endswith("exit_npf is None, then 1")
    assert lab.differences(first, first[:1]) == ["2 rows, then 1"]


def test_log_that_ends_early():
    boot = lab.Boot("m", "bochs", 8, ("seq:4:1",))
    with pytest.raises(lab.Strange, match="has not done all logs"):
        lab.read(boot, "nothing")
    with pytest.raises(lab.Strange, match="0 rounds where 30"):
        lab.read(boot, "lab: | lab: PASS all logs are done")


def test_goals_are_judged():
    rows = lab.compute([row(producer="off", burst=1000),
                        row(producer="write-protect", burst=11000, pages=200, flushes=1, missed=0, exit_npf=300),
                        row(burst=1500, pages=200, flushes=1, missed=1)])
    judged = {goal["what"].split(" of ")[0]: goal for goal in lab.goals([*rows, row(round=2, step=1, flushes=2)])}
    assert not judged["pages missed"]["met"] and judged["pages missed"]["measured"] == 1
    assert not judged["write-protect exits"]["met"] and judged["pml exits"]["met"]
    assert judged["instructions"]["measured"] == 0.05 and judged["instructions"]["met"]
    assert not judged["flushes"]["met"]


def test_usage(tmp_path):
    """Errors say what is wrong; the list measures nothing."""
    listed = run("--list")
    assert listed.returncode == 0 and "bochs-256: 256 MiB" in listed.stdout
    wrong = run("--list", "--only", "nowhere")
    assert wrong.returncode == 2 and "no such machine; there are bochs-16" in wrong.stderr
    record = tmp_path / "dirty.json"
    record.write_text(json.dumps({"header": {}}))
    assert run("--from", record).returncode == 1
    assert "it has no 'rows'" in run("--from", record).stderr
