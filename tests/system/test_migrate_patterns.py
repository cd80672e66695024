# SPDX-License-Identifier: BSD-2-Clause
"""Moves under every pattern of writes, on both emulators."""

import pytest
from machine import vm
from migration import Site, move, says

PATTERNS = ["sequential", "uniform", "hot", "few"]
WRITES = {"qemu": "rate=4 tick=2000", "bochs": "rate=1 tick=5000"}  # in Bochs time goes with instructions


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_patterns(tmp_path, emu):
    """Nothing that a guest writes is missed, whatever its way: each finds all of it where it ends."""
    guests = "".join(vm(name, "writer.elf", memory="6M", cmdline=f"pages=200 {WRITES[emu]} ticks=0 pattern={name}")
                     for name in PATTERNS)
    with Site(tmp_path, secure=emu == "qemu") as site:
        site.a.boot(guests, emu=emu, mem=256)
        site.b.boot(emu=emu, mem=256)
        site.a.ready()
        site.b.ready()
        for name in PATTERNS:
            move(site.a, site.b, name, "verify")
        move(site.b, site.a, PATTERNS[0], "verify")
        for host, name in zip((site.a, site.b, site.b, site.b), PATTERNS):
            host.type(name, "q")
            says(host, name, "writer: PASS every page holds what was written to it")
