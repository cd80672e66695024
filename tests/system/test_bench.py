# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks measure what users run, not the debug image."""

import os
import subprocess
import sys

import pytest
from machine import ROOT

sys.path.append(str(ROOT / "tests/bench"))

import failovers  # noqa: E402

BENCHMARKS = ["boot", "downtime-ram", "failover", "goodput", "handshakes", "lab-dirty", "lab-downtime", "lab-modes",
              "lab-precopy", "linux", "peer", "verify"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_debug_image_is_not_measured(name):
    done = subprocess.run([ROOT / "tests/bench" / name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, env=dict(os.environ, DEBUG="1"))
    assert done.returncode == 2, done.stdout
    assert done.stdout == f"{name}: DEBUG=1 asks for the debug image, which is not what users run\n"


# Of query-protect at the machine that has the guest then, 0.5 s after the other one was killed at 100 s.
KEPT = {"outcome": "the primary kept it", "silent-ms": 300.0, "asked-ms": 310.0, "age-ms": 1000.0}
WON = {"outcome": "it went on here", "silent-ms": 300.0, "asked-ms": 301.0, "won-ms": 310.0, "running-ms": 320.0}


def test_a_failover_is_that_of_the_kill():
    """Not a try that came to nothing."""
    row, ends = failovers.timeline([KEPT, {**WON, "age-ms": 520.0}], kill=100, now=100.5)
    assert row["won-ms"] == 310 and ends == {"silence": 280, "witness": 290, "go-on": 300}
    with pytest.raises(AssertionError, match="was it started anew"):
        failovers.timeline([KEPT], kill=100, now=100.5)


class Busy:
    """Two machines, of which each that is killed had lost the guest before."""

    name, booted = "a", 0

    def boot_again(self, _):
        self.booted += 1


def test_a_guest_that_went_over_by_itself(monkeypatch, capsys):
    """It is killed once more, and not for ever."""
    pair, answers = Busy(), [failovers.WentOver(Busy(), 12.3), ("b", {"outage-ms": 400})]

    def observed_kill(*_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
    monkeypatch.setattr(failovers, "observed_kill", observed_kill)
    assert list(failovers.kills(pair, None, 1)) == [("b", {"outage-ms": 400})] and pair.booted == 1
    assert "by itself, 12 ms before machine a was killed" in capsys.readouterr().out
    answers += [failovers.WentOver(Busy(), 1)] * failovers.TRIES
    with pytest.raises(AssertionError, match="too busy for that limit"):
        list(failovers.kills(pair, None, 1))
