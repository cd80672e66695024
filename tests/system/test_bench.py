# SPDX-License-Identifier: BSD-2-Clause
"""Benchmarks measure what users run, not the build for these tests."""

import subprocess

import pytest
from machine import ROOT

BENCHMARKS = ["boot", "downtime-ram", "goodput", "lab-downtime", "linux", "peer"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_debug_build_is_not_measured(name):
    if "-DGODWIT_DEBUG" not in (ROOT / "build/obj/flags").read_text():
        pytest.skip("this is not the debug build")
    done = subprocess.run([ROOT / "tests/bench" / name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2, done.stdout
    assert done.stdout == f"{name}: the hypervisor in build/ was built with DEBUG=1; run `make all` first\n"
