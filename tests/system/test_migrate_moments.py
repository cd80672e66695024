# SPDX-License-Identifier: BSD-2-Clause
"""Moves in odd moments of a guest, and over IPv6, on both emulators.

All of memory and state is compared in each move, live and by stop-and-copy, and in the end the guest gives its own
verdict.
"""

from types import SimpleNamespace

import pytest
from machine import vm
from migration import Site, move, says

# The moments, and what a guest says when it is in one that takes preparation.
MOMENTS = ["real", "string", "pending", "halt", "ports", "shadow", "mxcsr"]
BEGUN = {"pending": "moments: pending", "ports": "moments: permitted", "mxcsr": "moments: fxrstor"}


@pytest.fixture(scope="module", params=["qemu", "bochs"])
def site(request, tmp_path_factory):
    """All guests on one of two hypervisors. Each is started by its test: some are never idle."""
    guests = "".join(vm(name, "moments.elf", memory="4M", cmdline=f"moment={name}", autostart="no")
                     for name in MOMENTS)
    guests += vm("six", "moments.elf", memory="4M", cmdline="moment=halt")
    with Site(tmp_path_factory.mktemp("moments")) as site:
        site.a.boot(guests, emu=request.param, mem=256)
        site.b.boot(emu=request.param, mem=256)
        site.a.answers()
        site.b.ready()
        yield site


@pytest.mark.parametrize("moment", MOMENTS)
def test_moment(site, moment):
    site.a.post(f"/v1/vms/{moment}/start")
    says(site.a, moment, BEGUN.get(moment, f"in the moment: {moment}"))
    move(site.a, site.b, moment, "verify")
    move(site.b, site.a, moment, "verify", "stop-copy")
    site.a.type(moment, "q")
    verdict = says(site.a, moment, r"moments: (PASS|FAIL \(.*\))\n")
    assert verdict.group(1) == "PASS", verdict.string


def test_over_ipv6(site):
    """To the other's link-local address, which it makes of its MAC."""
    address = SimpleNamespace(address="[fe80::5454:ff:fe00:b]:4900")
    # Both ends look for duplicates of their addresses first, for a second.
    site.a.wait_for("the addresses are valid",
                    lambda: site.a.godwit("migrate", "--check", "six", address.address).returncode == 0)
    assert move(site.a, site.b, "six", "verify", to=address)["peer"].lower() == address.address
