# SPDX-License-Identifier: BSD-2-Clause
"""Guests that shut down and start anew at the destination, which has no file of theirs; and files that follow a guest
which runs."""

import hashlib
import re

import pytest
from disks import make_disk, replace
from machine import ROOT, TIMEOUT, vm
from migration import LINUX, Site, check, says, shell
from relay import SOURCE, Relay


def echo(power):
    return vm("echo", "echo.elf", memory="8M", cmdline=f"power={power}")


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "site") as site:
        yield site


def started(host, name="echo"):
    says(host, name, "tick 0")


@pytest.mark.parametrize("emus", [("qemu", "qemu"), ("qemu", "bochs"), ("bochs", "qemu")])
def test_it_starts_there(site, emus):
    """From AMD-V to VT-x and back, too: it sees the destination's processor. There it can be reset, and move on."""
    site.a.boot(echo("off"), emu=emus[0])
    site.b.boot(emu=emus[1])
    site.a.ready()
    site.b.ready()
    says(site.a, "echo", "tick 1")
    done = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold")
    assert done.returncode == 0, done
    assert re.search(r"^images +are there, \d{5,} bytes of them had to be sent$", done.stdout, re.M), done.stdout
    assert "echo" not in site.a.guests()
    assert site.b.guests()["echo"] == "running"
    says(site.b, "echo", "(?s)tick 1.*power button.*tick 0")  # behind what it said before
    there = site.b.get("/v1/vms/echo")
    assert there["image"] == "here"
    [came] = there["history"]
    assert site.b.query("echo")["mode"] == "cold"
    assert came["from"].startswith(site.a.address) and came["mode"] == "cold" and came["stood_ms"] > 0
    assert site.b.get("/v1/memory")["images_kept"] == 1
    site.b.post("/v1/vms/echo/reset")
    site.b.wait_for("it is reset", lambda: site.b.get("/v1/vms/echo")["resets"] == there["resets"] + 1)
    if emus[0] != emus[1]:
        return
    back = site.b.godwit("migrate", "echo", site.a.address, "--mode", "cold", "--stopped")
    assert back.returncode == 0, back
    assert re.search(r"^images +are there, 0 bytes", back.stdout, re.M), back.stdout
    assert site.a.guests()["echo"] == "created"
    assert [move["from"].partition(":")[0] for move in site.a.get("/v1/vms/echo")["history"]] == [
        site.a.address, site.b.address]
    assert "echo" not in site.b.guests()
    site.b.wait_for("its file is gone, too", lambda: site.b.get("/v1/memory")["images_kept"] == 0)
    site.a.post("/v1/vms/echo/start")
    site.a.wait_for("it runs", lambda: site.a.guests()["echo"] == "running")


def test_one_that_has_ended_moves_and_starts(site):
    """With nothing to shut down. A name that is taken there is refused before anything is asked of a guest, and a check
    says so; of one that has ended, too."""
    site.a.boot(echo("off"))
    site.b.boot(vm("echo", "hello.elf", memory="8M", autostart="no"))
    site.a.ready()
    site.b.answers()
    started(site.a)
    taken = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold")
    assert taken.returncode == 1 and "another VM, named echo, is there already, it is created" in taken.stderr, taken
    assert site.a.guests()["echo"] == "running"
    site.a.post("/v1/vms/echo/poweroff")
    again = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold", "--check")
    assert again.returncode == 1 and "another VM, named echo" in again.stderr, again
    site.b.post("/v1/vms/echo/forget")
    taken = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold", "--check")
    assert taken.returncode == 0 and "it would be taken" in taken.stdout, taken
    assert site.a.guests()["echo"] == "off" and "echo" not in site.b.guests()
    done = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold")
    assert done.returncode == 0, done
    assert "echo" not in site.a.guests()
    started(site.b)


def definition(host):
    """What `vm` and `net` show of the keys of its [vm]."""
    [mac] = {port["mac"] for port in host.get("/v1/net")["ports"] if port["port"] == "echo"}  # it may just have left
    shown = host.get("/v1/vms/echo")
    return mac, {key: shown[key] for key in ("name", "vm_id", "memory_mib", "vcpus", "cmdline", "on_crash", "image")}


@pytest.mark.parametrize("keys", [
    {}, {"on-crash": "stop", "mac": "52:54:00:12:34:56", "uuid": "0123456789abcdef0123456789abcdef", "vcpus": "2",
         "initrd": "hello.elf", "autostart": "no"},
], ids=["default", "all"])
def test_its_definition_moves(site, keys):
    """Whatever of it can mean something there; and back, where it is as it was."""
    site.a.boot(vm("echo", "echo.elf", memory="12M", cmdline="power=off a=b", **keys))
    site.b.boot()
    site.a.answers()
    site.b.ready()
    if "autostart" not in keys:
        started(site.a)
    before = definition(site.a)
    for source, dest in ((site.a, site.b), (site.b, site.a)):
        done = source.godwit("migrate", "echo", dest.address, "--mode", "cold")
        assert done.returncode == 0, done
        assert definition(dest) == before
        started(dest)


def test_its_name_is_taken_until_it_is_gone(site):
    """It has ended, and nobody knows yet whether it lives at its destination: no other guest of its name comes."""
    site.third()
    site.boot(echo("off"))
    site.c.boot(echo("off"))
    site.c.ready()
    started(site.a)
    relay = Relay(site.net, site.b.address)
    relay.stop_at(SOURCE, "COMMIT", relay.cut)
    site.a.begin("echo", relay, "cold")
    relay.reached()
    site.a.wait_status("echo", "in-doubt")
    refused = site.c.godwit("migrate", "echo", site.a.address)
    assert refused.returncode == 1 and "echo is on its way from there, or in doubt" in refused.stderr, refused
    assert site.c.guests()["echo"] == "running" and site.a.guests()["echo"] == "in-doubt"
    relay.reopen()
    site.a.wait_status("echo", "completed")
    assert site.c.godwit("migrate", "echo", site.a.address).returncode == 0
    relay.close()


def test_the_link_breaks(site):
    """When it has shut down, before COMMIT: it is started again where it was, and nothing is left of it there. With
    COMMIT on its way: in doubt, until the link is back; then it starts there."""
    site.boot(echo("off"))
    started(site.a)
    relay = Relay(site.net, site.b.address)
    relay.stop_at(SOURCE, "STATE", relay.cut)
    site.a.begin("echo", relay, "cold")
    relay.reached()
    assert site.a.wait_status("echo", "failed")["reason"] == "the connection broke"
    says(site.a, "echo", "(?s)power button.*tick 0")
    assert site.a.guests()["echo"] == "running"
    site.b.wait_for("nothing is left of it", lambda: not site.b.guests() and
                    site.b.get("/v1/memory")["images_kept"] == 0)
    relay.reopen()
    relay.stop_at(SOURCE, "COMMIT", relay.cut)
    site.a.begin("echo", relay, "cold")
    relay.reached()
    site.a.wait_status("echo", "in-doubt")
    assert site.a.guests()["echo"] == "in-doubt"
    relay.reopen()
    site.a.wait_status("echo", "completed")
    says(site.b, "echo", "(?s)power button.*tick 0")
    assert "echo" not in site.a.guests()
    relay.close()


def test_it_stays(site):
    """A guest that does not obey, or starts anew instead, runs on; one that has shut down is started again if the
    destination refuses it then."""
    site.a.boot(echo("ignore") + vm("resets", "echo.elf", memory="8M", cmdline="power=reset"))
    site.b.boot()
    site.a.ready()
    site.b.ready()
    for name in ("echo", "resets"):
        started(site.a, name)
    late = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold", "--timeout", "1")
    assert late.returncode == 1 and "its guest has not shut down in time" in late.stderr, late
    reset = site.a.godwit("migrate", "resets", site.b.address, "--mode", "cold")
    assert reset.returncode == 1 and "started anew instead of shutting down" in reset.stderr, reset
    assert set(site.a.guests().values()) == {"running"} and not site.b.guests()
    site.b.wait_for("its files are gone", lambda: site.b.get("/v1/memory")["images_kept"] == 0)
    forced = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold", "--timeout", "1", "--force")
    assert forced.returncode == 0, forced
    assert site.b.guests()["echo"] == "running"


def resets_there(host):
    before = host.get("/v1/vms/echo")["resets"]
    host.post("/v1/vms/echo/reset")
    host.wait_for("it is reset", lambda: host.get("/v1/vms/echo")["resets"] == before + 1)


def images(host, status):
    host.wait_for(f"its files are {status}", lambda: host.query("echo")["images"]["status"] == status)
    return host.query("echo")["images"]


def test_files_are_cut_off(site):
    """They come as soon as there is a connection again. The destination does not warn before that of what is not so."""
    site.boot(echo("off"))
    started(site.a)
    relay = Relay(site.net, site.b.address)
    relay.stop_at(SOURCE, "DIGEST", relay.cut)
    site.a.begin("echo", relay, "live,with-images")
    relay.reached()
    site.b.machine.wait("runs here without the files that it starts from", TIMEOUT["qemu"])
    assert "a reset will power it off" not in site.b.machine.log
    site.a.wait_status("echo", "completed")
    assert images(site.a, "coming")["reason"] == "the connection has ended"
    assert site.b.get("/v1/vms/echo")["image"] == "elsewhere"
    relay.reopen()
    assert images(site.a, "there")["reason"] == ""
    assert site.b.get("/v1/vms/echo")["image"] == "here"
    resets_there(site.b)
    relay.close()


def test_files_are_sent_later(site):
    """After a move without them, by one command, as long as the guest is there; the end of that is told."""
    site.boot(echo("off"))
    started(site.a)
    assert site.a.refused("/v1/migrate-files", name="echo")[0] == 404
    assert site.a.godwit("migrate", "echo", site.b.address).returncode == 0
    site.b.machine.wait("a reset will power it off", TIMEOUT["qemu"])
    assert site.b.get("/v1/vms/echo")["image"] == "elsewhere"
    assert site.a.godwit("migrate-files", "echo").returncode == 0
    assert images(site.a, "there")["bytes"] > 10000
    assert site.b.get("/v1/vms/echo")["image"] == "here"
    assert site.a.refused("/v1/migrate-files", name="echo", action="stop") == (409, "echo: no files are following it")
    resets_there(site.b)
    site.b.post("/v1/vms/echo/poweroff")
    site.b.wait_for("it is off", lambda: site.b.guests()["echo"] == "off")
    site.a.post("/v1/migrate-files", name="echo")
    assert "no guest that its files are for" in images(site.a, "failed")["reason"]
    site.b.post("/v1/vms/echo/start")
    assert site.b.godwit("migrate", "echo", site.a.address).returncode == 0
    assert site.a.refused("/v1/migrate-files", name="echo")[1].endswith("it is on this machine")


def sha256(name):
    return hashlib.sha256((ROOT / "build/guest" / name).read_bytes()).hexdigest()


def test_only_with_the_files_that_are_named_there(site):
    """Where the configuration names the SHA-256 of a guest's kernel, it doesn't come with another one, and a VM that is
    made there does not start from another."""
    hello, mine = sha256("hello.elf"), sha256("echo.elf")
    site.a.boot(echo("off") + vm("mine", "echo.elf", memory="8M", cmdline="power=off"))
    site.b.boot(vm("echo", "hello.elf", memory="8M", autostart="no", kernel_sha256=hello) +
                vm("mine", "echo.elf", memory="8M", autostart="no", kernel_sha256=mine))
    site.a.ready()
    site.b.answers()
    for name in ("echo", "mine"):
        site.b.post(f"/v1/vms/{name}/forget")
        started(site.a, name)
    reason = f"its kernel is not the one of the SHA-256 {hello[:16]}... there (kernel-sha256)"
    for options in (("--mode", "cold"), ("--with-images",)):
        said = site.b.machine.log.count(reason)
        refused = site.a.godwit("migrate", "echo", site.b.address, *options)
        assert refused.returncode == 1 and reason in refused.stderr, refused
        assert site.a.guests()["echo"] == "running" and "echo" not in site.b.guests()
        assert site.b.machine.log.count(reason) == said + 1
    done = site.a.godwit("migrate", "mine", site.b.address, "--with-images")
    assert done.returncode == 0, done
    assert site.b.get("/v1/vms/mine")["image"] == "here"
    assert check(site.a, site.b, "echo")["warnings"] == [f"{reason}: no reset"]
    assert site.a.godwit("migrate", "echo", site.b.address).returncode == 0
    site.b.post("/v1/vms/echo/reset")
    site.b.wait_for("it has ended", lambda: site.b.guests()["echo"] == "crashed")
    assert site.b.get("/v1/vms/echo")["reason"].startswith(f"reset: its kernel has the SHA-256 {mine[:16]}...")
    site.b.post("/v1/create", name="new", options=f"kernel=hello.elf,kernel-sha256={mine}")
    status, words = site.b.refused("/v1/vms/new/start")
    assert words == (f"new: cannot start, its kernel has the SHA-256 {hello[:16]}..., expected {mine[:16]}... "
                     "(kernel-sha256)"), status
    assert site.b.guests()["new"] == "created"


def test_files_that_would_be_judged_too_late(site, tmp_path):
    """Where the file is not there that the configuration names, no guest runs before its own was judged: it comes
    cold, or without its files."""
    mine = sha256("echo.elf")
    there = vm("echo", "echo.elf", memory="8M", autostart="no", kernel_sha256=mine)
    site.a.boot(echo("off"))
    site.b.boot(there)
    site.a.ready()
    site.b.answers()
    site.b.machine.stop()
    files = [path for path in site.b.directory.iterdir() if path.name != "godwit.cfg"]
    disk = make_disk(tmp_path, (site.b.directory / "godwit.cfg").read_text(), *files, ROOT / "build/guest/echo.elf")
    replace(disk, "echo.elf", (ROOT / "build/guest/hello.elf").read_bytes())
    site.b.boot(there, options=("--image", disk))
    site.b.answers()
    site.b.post("/v1/vms/echo/forget")
    started(site.a, "echo")
    refused = site.a.godwit("migrate", "echo", site.b.address, "--with-images")
    words = f"its kernel can't be judged before it runs: none of the SHA-256 {mine[:16]}... is there (kernel-sha256)"
    assert refused.returncode == 1 and words in refused.stderr, refused
    assert site.a.guests()["echo"] == "running" and "echo" not in site.b.guests()
    done = site.a.godwit("migrate", "echo", site.b.address, "--mode", "cold")
    assert done.returncode == 0, done
    assert site.b.get("/v1/vms/echo")["image"] == "here"


def test_linux_and_its_files(site):
    """Live, with its files behind it: a reset there starts it anew. Then back, cold, by its own shutdown."""
    site.boot(LINUX.replace("quiet", "quiet run=buttons"))
    site.a.machine.wait("godwit-guest: ready", TIMEOUT["qemu"])
    assert check(site.a, site.b, "linux")["warnings"]
    done = site.a.godwit("migrate", "linux", site.b.address, "--with-images")
    assert done.returncode == 0, done
    assert re.search(r"^images +are there, \d{7,} bytes of them had to be sent$", done.stdout, re.M), done.stdout
    assert site.b.get("/v1/vms/linux")["image"] == "here"
    ready = site.b.machine.log.count("godwit-guest: ready")
    site.b.type("linux", "leave reboot")
    site.b.wait_for("it is up again", lambda: site.b.machine.log.count("godwit-guest: ready") > ready,
                    TIMEOUT["qemu"])
    ready = site.a.machine.log.count("godwit-guest: ready")
    back = site.b.godwit("migrate", "linux", site.a.address, "--mode", "cold", "--timeout", str(TIMEOUT["qemu"]),
                         timeout=2 * TIMEOUT["qemu"])
    assert back.returncode == 0, back
    site.a.wait_for("it is up", lambda: site.a.machine.log.count("godwit-guest: ready") > ready, TIMEOUT["qemu"])
    assert "run=buttons" in shell(site.a, "cat /proc/cmdline")
    site.b.wait_for("its files are gone", lambda: site.b.get("/v1/memory")["images_kept"] == 0)
