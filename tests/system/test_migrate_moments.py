# SPDX-License-Identifier: BSD-2-Clause
"""Moves in odd moments of a guest, under every pattern of writes, and over IPv6, on both emulators.

All of memory and state is compared in each move, and in the end the guest gives its own verdict, elsewhere.
"""

import re
from types import SimpleNamespace

import pytest
from machine import vm
from migration import Site, move

MOMENTS = ["real", "string", "pending", "halt"]
PATTERNS = ["sequential", "uniform", "hot", "few"]
# Of the writers: so that all moves are over before they are. In Bochs time goes with instructions.
WRITES = {"qemu": "rate=4 tick=2000 ticks=3000", "bochs": "rate=1 tick=5000 ticks=4000"}


def guest(name, kernel, cmdline):
    return vm(name, kernel, memory="8M", cmdline=cmdline)


def says(host, name, pattern):
    """Wait until a guest has printed it since we were last told; returns the match."""
    text = []

    def found():
        text.append(host.printed(name))
        return re.search(pattern, "".join(text))
    return host.wait_for(f"{name} says {pattern}", found)


@pytest.fixture(scope="module", params=["qemu", "bochs"])
def site(request, tmp_path_factory):
    """All guests on one of two hypervisors."""
    guests = "".join(guest(name, "moments.elf", f"moment={name}") for name in MOMENTS)
    guests += guest("six", "moments.elf", "moment=halt")
    with Site(tmp_path_factory.mktemp("moments")) as site:
        site.a.boot(guests, emu=request.param, mem=256)
        site.b.boot(emu=request.param, mem=256)
        site.a.ready()
        site.b.ready()
        yield site


@pytest.mark.parametrize("moment", MOMENTS)
def test_moment(site, moment):
    says(site.a, moment, "moments: pending" if moment == "pending" else f"in the moment: {moment}")
    for mode in ("live", "stop-copy"):
        move(site.a, site.b, moment, "verify", mode)
        move(site.b, site.a, moment, "verify", mode)
    move(site.a, site.b, moment, "verify")
    site.b.type(moment, "q")
    verdict = says(site.b, moment, r"moments: (PASS|FAIL \(.*\))\n")
    assert verdict.group(1) == "PASS", verdict.string


def test_over_ipv6(site):
    """To the other's link-local address, which it makes of its MAC."""
    address = SimpleNamespace(address="[fe80::5454:ff:fe00:b]:4900")
    assert move(site.a, site.b, "six", "verify", to=address)["peer"].lower() == address.address


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_patterns(tmp_path, emu):
    """Nothing that a guest writes is missed, whatever its way: each finds all of it where it ends."""
    words = f"pages=200 {WRITES[emu]} pattern="
    with Site(tmp_path) as site:
        site.b.boot(emu=emu, mem=256)
        site.b.ready()
        site.a.boot("".join(guest(name, "writer.elf", words + name) for name in PATTERNS), emu=emu, mem=256)
        site.a.ready()
        for name in PATTERNS:
            move(site.a, site.b, name, "verify")
        move(site.b, site.a, PATTERNS[0], "verify")
        for host, name in zip((site.a, site.b, site.b, site.b), PATTERNS):
            says(host, name, "writer: PASS every page holds what was written to it")
