# SPDX-License-Identifier: BSD-2-Clause
"""Where no network can be made for two hypervisors, tests are skipped, and tools say what is missing."""

import os
import subprocess
import sys

import pytest
import selftests
from machine import ROOT

WORDS = "no namespaces here"


@pytest.fixture
def lacking(tmp_path):
    """The environment of a machine whose kernel makes no namespaces."""
    unshare = tmp_path / "unshare"
    unshare.write_text(f"#!/bin/sh\necho {WORDS} >&2\nexit 1\n")
    unshare.chmod(0o755)
    return dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}")


def run(environment, *command):
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)


@pytest.mark.parametrize("tool", ["demo", "proof", "selftests", "soak-moves", "soak-postcopy"])
def test_tools(lacking, tool):
    if tool == "selftests" and selftests.missing():
        pytest.skip(selftests.missing())
    done = run(lacking, f"tools/{tool}")
    assert done.returncode and WORDS in done.stdout and "Traceback" not in done.stdout, done.stdout


@pytest.mark.parametrize("file", ["test_net_test.py", "test_net_loss.py"])
def test_tests(lacking, file):
    """By a site of two hypervisors, and by the fixture."""
    done = run(lacking, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", f"tests/system/{file}")
    assert done.returncode == 0 and WORDS in done.stdout and " passed" not in done.stdout, done.stdout
