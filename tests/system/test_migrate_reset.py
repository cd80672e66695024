# SPDX-License-Identifier: BSD-2-Clause
"""A guest that starts anew after a move: it needs what it started from, known by content, among the files that the
machine has."""

import pytest
from machine import TIMEOUT
from migration import LINUX, PATIENCE, Site, alive, check, move

READY = "godwit-guest: ready"


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        yield site


def reboot(host):
    host.type("linux", "leave reboot")


def test_linux_reboots_where_its_files_are(site):
    """With all that it had, command line included; also at home, and still there after one more move."""
    site.a.boot(LINUX)
    site.b.boot(images="vmlinuz initramfs.cpio")
    site.a.ready()
    site.b.ready()
    site.a.machine.wait(READY, TIMEOUT["qemu"])
    assert check(site.a, site.b, "linux")["warnings"] == []
    for resets, (source, dest) in enumerate(((site.a, site.b), (site.b, site.a)), 1):
        move(source, dest, "linux", "verify")
        assert dest.get("/v1/vms/linux")["image"] == "here"
        seen = dest.machine.log.count(READY)
        reboot(dest)
        dest.machine.wait("linux: reset", TIMEOUT["qemu"])
        dest.wait_for("it is up again", lambda: dest.machine.log.count(READY) > seen, TIMEOUT["qemu"])
        assert dest.get("/v1/vms/linux")["resets"] == resets
        assert alive(site.net)


def test_linux_is_powered_off_where_they_are_not(site):
    """The machine warns before it comes and when it has; nobody else suffers, and it can still be moved home."""
    site.boot(LINUX, b="")
    [warning] = check(site.a, site.b, "linux")["warnings"]
    assert warning == "what it starts from is not among the files there (images of [migration]): no reset"
    assert warning in move(site.a, site.b, "linux")["warnings"]  # a busy machine's downtime may be a second one
    site.b.machine.wait("linux: what it starts from is not among this machine's files", PATIENCE["qemu"])
    assert site.b.get("/v1/vms/linux")["image"] == "elsewhere"
    assert site.b.refused("/v1/vms/linux/reset") == (
        409, "linux: cannot reset, what it starts from is not among this machine's files, expected it in images of "
             "[migration], or sent by migrate-files of the machine that it has left")
    move(site.b, site.a, "linux")
    assert site.a.get("/v1/vms/linux")["image"] == "here"
    move(site.a, site.b, "linux")
    reboot(site.b)
    site.b.wait_for("it is off", lambda: site.b.guests()["linux"] == "off")
    assert "what it starts from is not among this machine's files" in site.b.get("/v1/vms/linux")["reason"]
