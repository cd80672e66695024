# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks measure what users run, not the debug image."""

import os
import subprocess

import pytest
from machine import ROOT

BENCHMARKS = ["boot", "downtime-ram", "failover", "goodput", "lab-dirty", "lab-downtime", "lab-modes", "lab-precopy",
              "linux", "peer", "verify"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_debug_image_is_not_measured(name):
    done = subprocess.run([ROOT / "tests/bench" / name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, env=dict(os.environ, DEBUG="1"))
    assert done.returncode == 2, done.stdout
    assert done.stdout == f"{name}: DEBUG=1 asks for the debug image, which is not what users run\n"
