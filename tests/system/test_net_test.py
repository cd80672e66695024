# SPDX-License-Identifier: BSD-2-Clause
"""net-test: bulk TCP from one hypervisor to another, and what it says when there is none."""

import re

import pytest
from machine import TIMEOUT
from migration import Site

MIB = 32


def boot(site, services, **options):
    site.boot("", "", services=services, **options)


def result(site):
    """The test's last words."""
    def over():
        answer = site.a.get("/v1/query-net-test")
        return None if answer["status"] == "active" else answer
    return site.a.wait_for("the end of net-test", over)


def test_net_test(tmp_path):
    """The peer has got what was sent, and the rate is the bytes by the time."""
    with Site(tmp_path / "site") as site:
        boot(site, True)
        assert site.a.get("/v1/query-net-test") == {"status": "unstarted"}
        begun = site.a.post("/v1/net-test", dest=site.b.address, mib=MIB)
        assert begun["status"] == "active" and begun["peer"] == f"{site.b.address}:9"
        done = result(site)
        assert done["status"] == "completed" and done["bytes"] == MIB << 20
        assert done["mbps"] == pytest.approx(done["bytes"] * 8 / done["total-time"] / 1000, rel=0.01)
        got = site.b.machine.wait(r"discard: (\d+) bytes in", TIMEOUT["qemu"])
        assert int(got.group(1)) == done["bytes"]


def test_net_test_fails_with_a_reason(tmp_path):
    """No service, nobody there, one that is under way, no address; and afterwards the hypervisor goes on."""
    with Site(tmp_path / "site") as site:
        boot(site, False)
        done = site.a.godwit("net-test", site.b.address)
        assert done.returncode == 0 and "active" in done.stdout
        answer = result(site)
        assert answer["status"] == "failed" and "test-services = yes" in answer["error"]

        site.a.post("/v1/net-test", dest="10.9.0.77")
        status, error = site.a.refused("/v1/net-test", dest=site.b.address)
        assert status == 409 and "under way" in error
        assert result(site)["error"] == "no answer"

        status, error = site.a.refused("/v1/net-test", dest="10.9.0.4:99999")
        assert status == 400 and "10.9.0.4:99999" in error
        shown = site.a.godwit("query-net-test").stdout
        assert re.search(r"^status +failed$", shown, re.M) and re.search(r"^error +no answer$", shown, re.M)
