# SPDX-License-Identifier: BSD-2-Clause
"""A protected guest on VT-x, whose dirty log is kept by the processor (PML): what fails there, one thing at a time."""

import pytest
from failover import QUIET, SHORT, Pair
from machine import vm
from migration import beats

MOVER = vm("linux", "mover.elf", memory="6M", cmdline="rate=2 pages=128")  # by the name that a Pair has for its guest


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Pair(tmp_path_factory.mktemp("pair"), guest=MOVER, emu="bochs", mem=192, images="mover.elf",
              secure=False) as the_pair:
        yield the_pair


def test_planned(pair):
    """An operator sends it to the other machine, where it is protected in the other direction."""
    owner, other = pair.protect()
    done = owner.godwit("failover", "linux")
    assert done.returncode == 0, done.stderr
    pair.runs_at(other)
    beats(other, "linux")
    assert pair.failover(other)["cause"] == "planned"
    assert pair.protected() == [other, owner]


def test_primary_dies(pair):
    """It goes on at the other machine, and is protected anew when the first one is back."""
    pair.protect(limit=SHORT)
    with pair.struck() as (dead, other):
        dead.machine.kill()
    pair.runs_at(other)
    beats(other, "linux")
    row = pair.failover(other)
    assert row["cause"] == "silence" and row["outcome"] == "it went on here"
    assert pair.deed() == (other.address, "none", row["epoch"])
    pair.set_limit(QUIET)
    pair.boot_again(dead)
    assert pair.protected() == [other, dead]


def test_secondary_dies(pair):
    """The primary goes on alone."""
    pair.protect(limit=SHORT)
    with pair.struck() as (owner, dead):
        dead.machine.kill()
    assert pair.wait(owner, "degraded")["role"] == "primary"
    pair.runs_at(owner)
    beats(owner, "linux")
    assert pair.deed()[:2] == (owner.address, "none")
