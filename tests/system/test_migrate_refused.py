# SPDX-License-Identifier: BSD-2-Clause
"""Moves that cannot be: each is refused in clear words, and the guest runs on undisturbed."""

import pytest
from machine import budget, vm
from migration import Site, beats, move

MAC = "52:54:00:00:00:77"
MOVER = vm("mover", "mover.elf", memory="8M", cmdline="rate=1")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """a has mover, huge, and a guest whose name is taken at b, which has little memory."""
    with Site(tmp_path_factory.mktemp("refusing")) as site:
        guests = MOVER + vm("huge", "echo.elf", memory="256M") + vm("taken", "echo.elf", memory="8M") + \
            vm("double", "echo.elf", memory="8M", mac=MAC, autostart="yes")
        site.a.boot(guests, mem=512, net="address6 = fd09::2/64\n")
        site.b.boot(vm("taken", "echo.elf", memory="8M") +
                    vm("owner", "echo.elf", memory="8M", mac=MAC, autostart="yes"), mem=192)
        site.a.ready()
        site.b.ready()
        yield site


@pytest.mark.parametrize("dest, words", [
    ("nonsense", "dest: 'nonsense' is wrong, expected another machine's address, such as"),
    ("10.9.0.4:99999", "dest: '10.9.0.4:99999' is wrong"),
    ("10.9.0", "dest: '10.9.0' is wrong"),
    ("", "dest: '' is wrong"),
])
def test_bad_address(refusing, dest, words):
    status, text = refusing.a.refused("/v1/vms/mover/migrate", dest=dest)
    assert status == 400 and words in text
    done = refusing.a.godwit("migrate", "mover", dest)
    assert done.returncode == 1 and words in done.stderr


def test_unknown_vm_and_options(refusing):
    status, text = refusing.a.refused("/v1/vms/nobody/migrate", dest=refusing.b.address)
    assert status == 404 and "nobody" in text
    assert refusing.a.godwit("migrate", "nobody", refusing.b.address).returncode == 1
    status, text = refusing.a.refused("/v1/vms/mover/migrate", dest=refusing.b.address, options="live,quickly")
    assert (status, text) == (400, "options: 'quickly' is wrong, expected live, stop-copy, post-copy, hybrid, demand, "
                                   "cold or auto; verify, with-images; of cold: stopped, force, timeout=S (1 to 3600)")
    assert refusing.a.godwit("migrate", "mover", "--mode", "quick", "x").returncode == 2
    assert refusing.a.ask("GET", "/v1/query-migrate", name="nobody")[0] == 404


@pytest.mark.parametrize("dest", ["{a}", "{a}:4901", "fd09::{last}"])
def test_itself(refusing, dest):
    """Whatever the port: nothing is begun."""
    dest = dest.format(a=refusing.a.address, last=refusing.a.address.rpartition(".")[2])
    assert refusing.a.refused("/v1/vms/mover/migrate", dest=dest) == (
        409, "mover: cannot move, the destination is this machine itself, expected another one's address")
    assert refusing.a.refused("/v1/vms/mover/migrate-check", dest=dest)[0] == 409


@pytest.mark.parametrize("dest, error, words", [
    ("10.9.0.1", "link", "no connection to the destination"),   # its port is closed
    ("10.9.0.77", "link", "no connection to the destination"),  # nobody is there
], ids=["closed", "nobody"])
def test_nobody_listens(refusing, dest, error, words):
    refusing.a.post("/v1/vms/mover/migrate", dest=dest)
    failed = refusing.a.wait_status("mover", "failed")
    assert (failed["error"], failed["reason"]) == (error, words)
    assert failed["total-time"] < 15000
    assert refusing.a.guests()["mover"] == "running"


@pytest.mark.parametrize("name, error, words", [
    ("huge", "memory", "it needs 260 MiB of memory, "),
    ("taken", "name", "another VM, named taken, is there already, it is running"),
    ("double", "mac", f"its MAC {MAC} is the one of owner there"),
])
def test_destination_refuses(refusing, name, error, words):
    """Already when it is asked beforehand; nothing has been allocated, and the next one is taken."""
    a, b = refusing.a, refusing.b
    free = b.get("/v1/memory")["free_kib"]
    a.begin(name, b)
    failed = a.wait_status(name, "failed")
    assert failed["error"] == error and words in failed["reason"]
    done = a.godwit("migrate", "--check", name, b.address)
    assert done.returncode == 1 and words in done.stderr
    assert "it would be refused" in done.stdout
    assert a.guests()[name] == "running"
    assert list(b.guests()) == ["taken", "owner"]
    assert b.get("/v1/memory")["free_kib"] >= free - budget(256, 512)  # the heap's net keeps 256
    done = a.godwit("migrate", "--check", "mover", b.address)
    assert done.returncode == 0 and "it would be taken" in done.stdout
    assert a.guests()["mover"] == "running" and list(b.guests()) == ["taken", "owner"]


def test_no_end_is_final(refusing):
    """What has ended does not move, gives its RAM back, starts again from its kernel, and goes when it is told; and is
    made anew."""
    a = refusing.a

    def ticks():
        return a.ask("GET", "/v1/vms/taken/console", offset=0)[1].count(b"echo: tick 0")
    a.wait_for("it is up", ticks)
    running = a.get("/v1/memory")["free_kib"]
    a.post("/v1/vms/taken/poweroff")
    assert a.refused("/v1/vms/taken/migrate", dest=refusing.b.address) == (
        409, "taken: cannot migrate, it is off, expected running, paused or suspended, or the option cold")
    a.wait_for("its RAM is free", lambda: a.get("/v1/memory")["free_kib"] > running + 8000)
    free, before = a.get("/v1/memory")["free_kib"], ticks()
    assert a.post("/v1/vms/taken/start")["status"] == "running"
    assert a.get("/v1/memory")["free_kib"] < free - 8000
    a.wait_for("it is up again", lambda: ticks() == before + 1)
    assert a.refused("/v1/vms/taken/forget") == (
        409, "taken: cannot forget, it is running, expected created, passed, failed, crashed, off, halted or elsewhere")
    a.post("/v1/vms/taken/poweroff")
    a.wait_for("its RAM is free", lambda: a.get("/v1/memory")["free_kib"] >= free - 64)
    a.post("/v1/vms/taken/forget")
    assert "taken" not in a.guests()
    assert a.refused("/v1/create", name="taken", options="kernel=nothing,memory=8M") == (
        400, "taken: cannot create, the loader has not handed over nothing, there are: mover.elf, echo.elf")
    twin = {"name": "taken", "options": f"kernel=echo.elf,memory=8M,mac={MAC}"}
    assert a.refused("/v1/create", **twin) == (
        409, f"taken: cannot create, its MAC {MAC} is the one of double here, too")
    twin["options"] = "kernel=echo.elf,memory=8M,uuid=" + a.get("/v1/vms/mover")["vm_id"]
    assert a.refused("/v1/create", **twin) == (
        409, "taken: cannot create, its identity (uuid) is the one of mover here, too")
    assert "taken" not in a.guests()
    assert a.godwit("create", "taken", "kernel=echo.elf,memory=8M").returncode == 0
    assert a.guests()["taken"] == "created"
    assert a.godwit("start", "taken").returncode == 0
    a.wait_for("it runs", lambda: ticks() == 1)


def test_wrong_settings(refusing):
    for name, value, words in (("max-rounds", "0", "expected a number from 1 to"),
                               ("dirty-log", "x", "expected auto, write-protect, dbit or pml"),
                               ("downtime-limit", "-1", "expected milliseconds"), ("port", "1", "unknown key"),
                               ("on-stall", "", "expected stop, abort, throttle, throttle-writers or postcopy")):
        status, text = refusing.a.refused("/v1/migrate-set-parameters", parameter=name, value=value)
        assert status == 400 and words in text
    status, text = refusing.a.refused("/v1/migrate-set-parameters", parameter="speed", value=1)
    assert status == 400 and text.startswith("speed: unknown key, expected downtime-limit, ")
    assert text.endswith(" or announce-step")


def test_last_of_all_a_good_one(refusing):
    move(refusing.a, refusing.b, "mover", "verify")


# What QEMU calls a feature, and what Godwit does.
@pytest.mark.parametrize("flag, name", [("movbe", "MOVBE"), ("avx2", "AVX2")])
def test_lesser_processor(tmp_path, flag, name):
    """A feature that the guest was shown is missing: refused by its name. The other way round a guest is taken."""
    with Site(tmp_path) as site:
        site.a.boot(MOVER, mem=256)
        site.b.boot(MOVER.replace("[vm mover]", "[vm lesser]"), mem=256, extra=["-cpu", f"max,-{flag}"])
        site.a.ready()
        site.b.ready()
        words = f"the guest was shown {name}, which this processor lacks"
        done = site.a.godwit("migrate", "--check", "mover", site.b.address)
        assert done.returncode == 1 and words in done.stderr
        assert "it would be refused" in done.stdout
        number = beats(site.a)
        site.a.begin("mover", site.b)
        failed = site.a.wait_status("mover", "failed")
        assert (failed["error"], failed["reason"]) == ("cpu", words)
        assert site.where("mover") == [site.a] and list(site.b.guests()) == ["lesser"]
        assert beats(site.a) > number
        move(site.b, site.a, "lesser", "verify")
        beats(site.a, "lesser")
