# SPDX-License-Identifier: BSD-2-Clause
"""Moves between machines whose TSCs differ in frequency, as Bochs has them at will: where the processor scales, the
guest sees no difference; elsewhere its timers keep their length in time, and the destination tells what is wrong."""

import re

import pytest
from machine import TIMEOUT, guest_lines, vm
from migration import Site, move

BEAT = re.compile(r"mover: beat \d+ at (\d+) ms, (\d+) writes, 0 wrong, 0 backwards, 0 strayed")
BEATS = 10
FREQUENCY = {"a": 20_000_000, "b": 30_000_000}  # Hz: as many instructions are an emulated second


def writes_a_second(host):
    """By the mover's TSC; it writes at each tick of its timer. What it says is read in the log: to answer questions
    takes a machine so slow a part of its time, and the larger a part the slower it is."""
    begun = len(host.machine.log)

    def said():
        found = [BEAT.fullmatch(line) for line in guest_lines(host.machine.log[begun:], "mover")]
        return [tuple(map(int, beat.groups())) for beat in found if beat]
    host.wait_for("some beats", lambda: len(said()) > BEATS, TIMEOUT["bochs"])
    (begin, written), *_, (end, written_then) = said()
    return 1000 * (written_then - written) / (end - begin)


@pytest.mark.parametrize("model, warnings, said, rate", [
    ("corei7_skylake_x", 0, "its TSC of [0-9]+ kHz is scaled from [0-9]+", 1),
    ("broadwell_ult", 1, "it counts on a TSC of [0-9]+ kHz, which has [0-9]+ here", FREQUENCY["a"] / FREQUENCY["b"]),
], ids=["scaled", "unscaled"])
def test_other_frequency(tmp_path, model, warnings, said, rate):
    guest = vm("mover", "mover.elf", memory="8M", cmdline="pages=16 rate=1 tick=5000 timer=deadline")
    with Site(tmp_path / "site", secure=False) as site:
        for host, guests in ((site.a, guest), (site.b, "")):
            host.boot(guests, emu="bochs", mem=192, options=("--model", model, "--ips", FREQUENCY[host.name]))
        site.a.ready()
        site.b.ready()
        before = writes_a_second(site.a)
        clocks = [warning for warning in move(site.a, site.b, "mover", "verify")["warnings"] if "TSC" in warning]
        assert len(clocks) == warnings
        site.b.machine.wait(said, TIMEOUT["bochs"])
        assert writes_a_second(site.b) == pytest.approx(rate * before, rel=0.1)
        move(site.b, site.a, "mover", "verify")
        assert writes_a_second(site.a) == pytest.approx(before, rel=0.1)
