# SPDX-License-Identifier: BSD-2-Clause
"""`godwit shutdown`: a guest that obeys its power button, one that does not, and one that starts anew instead."""

import re

import pytest
from machine import TIMEOUT, vm
from migration import LINUX, Site, says


def echo(name, power):
    return vm(name, "echo.elf", memory="8M", cmdline=f"power={power}")


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_each_end(tmp_path, emu):
    with Site(tmp_path / "site") as site:
        host = site.a
        host.boot(echo("obeys", "off") + echo("deaf", "ignore") + echo("resets", "reset"), emu=emu)
        host.ready()
        for name in ("obeys", "deaf", "resets"):
            says(host, name, "tick 0")

        done = host.godwit("shutdown", "obeys")
        assert done.returncode == 0, done
        assert done.stdout.startswith("obeys has shut down after ")
        assert done.stdout.endswith(" s: passed, powered off\n")
        assert host.refused("/v1/vms/obeys/shutdown") == (
            409, "obeys: cannot shutdown, it is passed, expected running")

        late = host.godwit("shutdown", "deaf", "--timeout", "1")
        assert late.returncode == 1
        assert "deaf has not shut down within 1 s, and runs on" in late.stderr
        assert host.guests()["deaf"] == "running"
        forced = host.godwit("shutdown", "deaf", "--timeout", "1", "--force")
        assert forced.returncode == 0
        assert re.fullmatch(r"deaf had not shut down after \d+ s, and was powered off\n", forced.stdout), forced
        assert host.guests()["deaf"] == "off"

        reset = host.godwit("shutdown", "resets", "--force")
        assert reset.returncode == 1
        assert "resets has started anew instead of shutting down, and runs" in reset.stderr
        assert host.guests()["resets"] == "running"
        assert host.get("/v1/vms/resets")["shutdown"]["state"] == "reset"


def test_one_that_still_starts(tmp_path):
    """Its kernel does not know its power button yet when that is pressed first; it obeys all the same."""
    with Site(tmp_path / "site") as site:
        site.a.boot(LINUX.replace("quiet", "quiet run=buttons"))
        site.a.ready()
        site.a.wait_for("it runs", lambda: site.a.guests()["linux"] == "running")
        site.a.post("/v1/vms/linux/shutdown", timeout=900)
        assert "godwit-guest: ready" not in site.a.machine.log
        site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
        site.a.wait_for("it has shut down", lambda: site.a.get("/v1/vms/linux")["shutdown"]["state"] == "done",
                        TIMEOUT["qemu"])
