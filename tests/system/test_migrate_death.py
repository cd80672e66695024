# SPDX-License-Identifier: BSD-2-Clause
"""A machine dies while the guest of a move stands: the guest is at the other one, or an operator gives it to that."""

import functools
import re

import pytest
from machine import TIMEOUT, vm
from migration import SLACK, Site, beats, free_memory, only_at, says
from relay import SOURCE, Relay

MOVER = vm("mover", "mover.elf", memory="8M")
BOTH = "".join(vm(name, "mover.elf", memory="12M", cmdline="pages=2048 rate=8") for name in ("mover", "other"))


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        yield site


def test_destination_dies_in_stop_and_copy(site):
    """The guest stands already and nothing was committed: it goes on at the source, nothing it wrote is lost."""
    site.boot(MOVER, mem=256)
    relay = Relay(site.net, site.b.address)
    stood = []

    def kill():
        stood.append(site.a.query("mover"))
        site.b.machine.kill()
        return True
    relay.stop_at(SOURCE, "STATE", kill)
    number = beats(site.a)
    site.a.begin("mover", relay, "verify")
    relay.reached()
    assert stood[0]["status"] == "device" and stood[0]["rounds"]
    failed = site.a.wait_status("mover", "failed")
    assert failed["error"] in ("link", "timeout")
    assert only_at(site, site.a) > number
    relay.close()


def test_source_dies_after_commit(site):
    """The destination was told: it runs there."""
    site.boot(MOVER, mem=256)
    relay = Relay(site.net, site.b.address)

    def kill():
        site.a.machine.kill()
        return True
    relay.stop_at(SOURCE, "COMMIT", kill)
    site.a.begin("mover", relay)
    relay.reached()
    site.b.wait_for("it runs", lambda: site.b.guests().get("mover") == "running")
    only_at(site, site.b)
    relay.close()


def test_source_dies_before_commit(site):
    """The destination is prepared and not told: it does not start by itself, and no clock frees the only whole copy.
    Its operator takes the guest over, which has lost nothing."""
    site.boot(MOVER, mem=256)
    relay = Relay(site.net, site.b.address)
    number = beats(site.a)

    def kill():
        site.a.machine.kill()
        return relay.cut()
    relay.stop_at(SOURCE, "COMMIT", kill)
    epoch = site.a.begin("mover", relay, "verify")["epoch"]
    relay.reached()
    site.b.wait_for("it is known to be stranded", lambda: site.b.guests() == {"mover": "prepared"})
    asked = site.b.post("/v1/vms/mover/resolve", action="query")
    assert asked["epoch"] == epoch and asked["source"].startswith("has not said COMMIT")
    status, text = site.b.refused("/v1/vms/mover/resolve", action="adopt", epoch=epoch + 1)
    assert status == 400 and f"repeat the epoch, {epoch}, to confirm" in text
    assert site.b.guests() == {"mover": "prepared"} and site.where("mover") == []
    done = site.b.godwit("resolve", "mover", "adopt", str(epoch))
    assert done.returncode == 0, done.stderr
    site.b.machine.wait(rf"mover, epoch {epoch}, is adopted", TIMEOUT["qemu"])
    assert only_at(site, site.b) > number
    assert site.b.query("mover")["handoff"] == "running"
    relay.close()


def is_missed(host, name):
    """What is said of a guest whose pages are lost with its source, as soon as that is silent."""
    there = host.query(name)
    if there["status"] != "postcopy-paused":
        return False
    row, = [row for row in host.get("/v1/vms")["vms"] if row["name"] == name]
    assert row["status"] == "running" and re.fullmatch(
        r"postcopy-paused: \S+ MiB missing, at 10\.9\.0\.2:\d+, not heard for \d+ s: if it is lost so are they, "
        "see reset and poweroff", row["reason"]), row
    assert there["handoff"] == "incomplete" and there["postcopy-missing"] > 0, there
    status, text = host.refused(f"/v1/vms/{name}/resolve", action="force-resume", epoch=there["epoch"])
    assert status == 409 and "cannot resolve, it is running" in text, text
    return True


def test_source_dies_in_postcopy(site):
    """What is missing is lost. The destination keeps what has come, and says so: `reset` leads out, and `poweroff`."""
    site.boot(BOTH, mem=256, images="mover.elf")
    free = free_memory(site.b)
    for name in ("mover", "other"):
        says(site.a, name, r"beat \d+ at \d+ ms, \d{4,} writes")
        site.a.begin(name, site.b, "demand")
        site.a.wait_status(name, "postcopy-active")
    site.a.machine.kill()
    for name in ("mover", "other"):
        site.b.wait_for("its source is missed", functools.partial(is_missed, site.b, name))
    site.b.post("/v1/vms/mover/reset")
    site.b.post("/v1/vms/other/poweroff")
    site.b.wait_for("it misses nothing", lambda: site.b.query("mover")["handoff"] == "running")
    site.b.wait_for("it is off", lambda: site.b.guests()["other"] == "off")
    assert {row["name"]: (row["status"], row["reason"][:9]) for row in site.b.get("/v1/vms")["vms"]} == {
        "mover": ("running", ""), "other": ("off", "powered o")}
    beats(site.b)
    for name in ("mover", "other"):
        there = site.b.query(name)
        assert (there["status"], there["error"]) == ("failed", "link"), there
        assert " pages: only its source has them" in there["reason"], there
    site.b.wait_for("memory of the other is free", lambda: free_memory(site.b) > free - (12 << 10) - SLACK)
