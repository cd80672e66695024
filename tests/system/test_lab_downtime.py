# SPDX-License-Identifier: BSD-2-Clause
"""The course's experiment (tests/bench/lab-downtime): what it makes of moves that were measured."""

import json
import re
import subprocess
import sys

import pytest
from machine import ROOT, run_to_end
from migration import Break, Seen

sys.path.append(str(ROOT / "tests/bench"))

import moves  # noqa: E402

HEADER = {"guest": "Linux", "probe": "every 10 ms", "commit": "abc", "emulated": "all"}


def move(mode, stood, blackout):
    return {"mode": mode, "compute-downtime": stood, "longest-break": None, "network-downtime": blackout,
            "longest-gap": 15, "downtime": 12.5, "total-time": 800}


def drawn(directory, made):
    """Lines of the table by mode and what they are about; the picture."""
    path = directory / "downtime.json"
    path.write_text(json.dumps({"header": HEADER, "threshold": 10, "moves": made}))
    done = run_to_end([ROOT / "tests/bench/lab-downtime", "--from", path], stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    lines = [re.split("  +", line) for line in done.stdout.splitlines()]
    return {tuple(words[:2]): words[2:] for words in lines}, (directory / "downtime.png").read_bytes()


def test_breaks_below_the_threshold_are_not_averaged(tmp_path):
    lines, picture = drawn(tmp_path, [move("live", 40, 100), move("live", None, 30), move("live", 60, 110),
                                      move("stop-copy", None, 500)])
    assert lines["mode", "ms"][:3] == ["moves", "< 10 ms", "mean"]
    assert lines["live", "compute downtime"] == ["3", "1", "50.0", "50.0", "14.1", "40.0", "60.0", "752"]
    assert lines["live", "network downtime"][:3] == ["3", "80.0", "100.0"]
    assert lines["stop-copy", "compute downtime"][:3] == ["1", "1", "-"]
    assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("within, expected", [(0.001, (50, 80)), (0.3, (80, None))])
def test_break_of_the_switch_over(monkeypatch, within, expected):
    """A break is the switch-over's if it ends when that may have been, by a clock that is known so well."""
    seen = [Break(1100.75, 0.05, 0), Break(1100.5, 0.08, 0)]
    answers = iter([Seen(1000, within, []), *[Seen(900, 5, seen)] * 4])
    monkeypatch.setattr(moves, "breaks", lambda net: next(answers))
    made = {"probe": {"migrate-start": 100}, "total-time": 800,
            "phases": {"setup": 10, "precopy": 740, "resume": 5}}
    assert moves.compute_downtime(None, made) == pytest.approx(expected)


def test_gap_of_the_switch_over():
    """Silence at another time is not taken for the network downtime, however long."""
    sent = [*range(0, 100, 10), *range(400, 700, 10), *range(780, 1000, 10)]  # ms
    made = {"probe": {"migrate-start": 100, "interval": 10, "samples": [[100 + ms / 1000, 0.0] for ms in sent]},
            "total-time": 770, "phases": {"setup": 10, "precopy": 700, "resume": 5}}
    assert moves.network_downtime(made) == pytest.approx((80, 300))
