# SPDX-License-Identifier: BSD-2-Clause
"""Moves on VT-x, by each way to log writes, and what two makers' processors say of each other."""

import contextlib

import pytest
from machine import TIMEOUT, vm
from migration import LINUX, PATIENCE, Site, alive, beats, move, says
from relay import DEST, SOURCE, Relay
from serving import serves

MOVER = vm("mover", "mover.elf", memory="6M", cmdline="rate=2 pages=128")


@pytest.fixture(scope="module")
def bochs(tmp_path_factory):
    """mover on one of two hypervisors in Bochs. Each has one processor: of two, even idle ones take all the time of the
    emulator's (test_dirty.py and test_guests.py have two). They move it a dozen times, in the clear."""
    with Site(tmp_path_factory.mktemp("bochs"), secure=False) as site:
        site.a.boot(MOVER, emu="bochs", mem=192)
        site.b.boot(emu="bochs", mem=192, images="mover.elf")
        site.a.ready()
        site.b.ready()
        yield site


def test_emulators_share_a_network(bochs):
    """Bochs has its display on no port: two machines that start at the same moment can't hinder each other."""
    sockets = bochs.net.run("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    assert "local_address" in sockets
    assert not [line for line in sockets.splitlines() if line.split()[3] == "0A"], sockets  # nobody listens


@pytest.mark.parametrize("log", ["write-protect", "dbit", "pml"])
def test_each_log(bochs, log):
    """There and back under writes, with all of memory and state compared."""
    for host in (bochs.a, bochs.b):
        host.set(dirty_log=log)
    for source, dest in ((bochs.a, bochs.b), (bochs.b, bochs.a)):
        done = move(source, dest, "mover", "verify")
        assert done["dirty-log"] == log and done["ram"]["dirty-sync-count"] >= 1
        beats(dest)


def test_stop_and_copy(bochs):
    for source, dest in ((bochs.a, bochs.b), (bochs.b, bochs.a)):
        assert move(source, dest, "mover", "verify", "stop-copy")["rounds"] == []
        beats(dest)


def test_post_copy(bochs):
    """There and back; the link breaks when it wants a page, or its pages come, and all of them are there in the end."""
    for source, dest, who, record in ((bochs.a, bochs.b, DEST, "WANT"), (bochs.b, bochs.a, SOURCE, "PAGES")):
        with contextlib.closing(Relay(bochs.net, dest.address)) as relay:
            relay.stop_at(who, record, relay.cut)
            source.begin("mover", relay, "post-copy")
            relay.reached(PATIENCE["bochs"])
            relay.reopen()
            done = source.wait_status("mover", "completed")
        assert done["ram"]["postcopy-recoveries"] == 1 and done["ram"]["postcopy-requests"] > 0, done
        assert dest.query("mover")["postcopy-missing"] == 0 and "mover" not in source.guests()
        beats(dest)


def test_throttle(bochs):
    """What it writes between two rounds gets less when it is let run for a tenth of the time; and on the way back, when
    it is held to fewer new pages, for which the log by PML gives way to one by faults. It is free there."""
    for host in (bochs.a, bochs.b):
        host.set(cpu_throttle_initial=90, max_cpu_throttle=90, dirty_log="auto")
    for source, dest, stall in ((bochs.a, bochs.b, "throttle"), (bochs.b, bochs.a, "throttle-writers")):
        source.set(on_stall=stall)
        done = move(source, dest, "mover", "verify")
        left = [row["dirtied"] for row in done["rounds"]]
        writers = stall == "throttle-writers"
        assert (done["cpu-throttle-percentage"], done["write-limit"] > 0) == (0 if writers else 90, writers), done
        assert (done["dirty-log"] == "write-protect") == writers and min(left) < max(left) / 2, done
        beats(dest)


def test_saved_and_restored(bochs, tmp_path):
    """Into a file while it runs, and out of it on the other machine; and the same way back while it stands."""
    file = str(tmp_path / "mover.image")
    for options in (["--live"], []):
        source, dest = bochs.ends("mover")
        before = beats(source)
        for host, arguments in ((source, ["save", "mover", file, "--verify", *options]), (dest, ["restore", file])):
            if host is dest:
                source.post("/v1/vms/mover/poweroff")
            result = host.godwit(*arguments)
            assert result.returncode == 0, result.stderr
        assert beats(dest) > before


def test_reset_where_it_came(bochs):
    """What it starts from is there, too; that it was reset goes home with it, and how to do it again."""
    for resets, (source, dest) in enumerate(((bochs.a, bochs.b), (bochs.b, bochs.a)), 1):
        move(source, dest, "mover", "verify")
        assert dest.get("/v1/vms/mover")["image"] == "here"
        beats(dest)
        dest.post("/v1/vms/mover/reset")
        says(dest, "mover", r"beat 0 at ")
        assert dest.get("/v1/vms/mover")["resets"] == resets


def test_linux_serves_and_moves(tmp_path):
    """Debian's kernel with two processors serves clients on a VT-x machine, goes to another one with all of memory and
    state compared, and powers off there. The machines are held to the clock, though it takes twice as long: of two that
    are not, one that is busy lags so far behind another that waits that it is given up for its silence."""
    guest = LINUX.replace("memory = 128M", "memory = 96M\nvcpus = 2").replace(" quiet", "")
    with Site(tmp_path, secure=False) as site:
        site.a.boot(guest, emu="bochs", mem=256)
        site.a.ready()
        site.b.boot(emu="bochs", mem=256)
        serves(site.net, site.a.machine, "bochs", 2)
        site.b.ready()
        move(site.a, site.b, "linux", "verify")
        assert alive(site.net)
        site.b.type("linux", "leave poweroff")
        site.b.machine.wait("vm: linux: passed: powered off", TIMEOUT["bochs"])


def test_other_maker(tmp_path):
    """A guest that was shown an AMD processor is not taken by Intel's, and the other way round: both are named."""
    with Site(tmp_path / "site") as site:
        site.a.boot(MOVER)
        site.b.boot(MOVER.replace("[vm mover]", "[vm other]"), emu="bochs", mem=192, alone=True)
        site.a.ready()
        site.b.ready()
        for source, dest, name in ((site.a, site.b, "mover"), (site.b, site.a, "other")):
            done = source.godwit("migrate", "--check", name, dest.address)
            assert done.returncode == 1 and "it would be refused" in done.stdout
            source.begin(name, dest)
            failed = source.wait_status(name, "failed", seconds=TIMEOUT["bochs"])
            assert failed["error"] == "cpu" and failed["reason"] in done.stderr
            assert "AuthenticAMD" in failed["reason"] and "GenuineIntel" in failed["reason"]
            assert source.guests()[name] == "running" and name not in dest.guests()
        beats(site.a)
