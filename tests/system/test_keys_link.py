# SPDX-License-Identifier: BSD-2-Clause
"""What hypervisors say on the link without a connection, with keys: claims (docs/claims.md "With keys") and heartbeats.
Whoever has no key makes none, and says none again.
"""

import contextlib
import shutil
import socket
import struct
import threading

import pytest
from failover import SHORT, Pair
from machine import PROGRAM, vm
from migration import Site, beats, move
from test_keys import mkkeys
from test_migrate_claims import CLAIM, OWNS, PEERS, claim_frame, crc32c, force, wait_superseded

MOVER = vm("mover", "mover.elf", memory="8M")
BEAT = "<8s16sQQQQII"
BEAT_PORT = 4900


@pytest.fixture
def keyring(tmp_path):
    assert mkkeys("new", tmp_path / "keyring").returncode == 0
    return tmp_path / "keyring"


@contextlib.contextmanager
def link(net):
    """A place on the link, that hears and says claims."""
    with net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("br0", PEERS))
        sock.settimeout(PROGRAM)
        yield sock


def record(sock, host, epoch):
    """Claims of that host's, of its guest under that epoch."""
    frames = []
    while len(frames) < 3:
        frame = sock.recv(2048)
        claim = struct.unpack_from(CLAIM, frame, 14)
        if claim[2] == epoch and claim[8] == OWNS and socket.inet_ntoa(claim[9]) == host.address:
            frames.append(frame)
    return frames


def claims(host, word):
    return host.metric(f'godwit_claims_total{{direction="{word}"}}')


@pytest.mark.parametrize("keys", [True, False])
def test_recorded_claims(tmp_path, keyring, keys):
    """Claims of a machine that is gone are said again, when the guest runs anew elsewhere: nothing stands for them. The
    same recording stops it where there are no keys."""
    with Site(tmp_path / "site") as site:
        site.boot(MOVER, mem=256, keyring=keyring if keys else None)
        move(site.a, site.b, "mover")
        with link(site.net) as sock:
            frames = record(sock, site.b, site.b.get("/v1/vms/mover")["epoch"])
            if keys:
                for frame in frames:
                    sock.send(frame)
                site.a.wait_for("they count", lambda: claims(site.a, "replayed") >= len(frames))
            site.a.machine.kill()
            site.b.machine.kill()
            site.a.boot(MOVER, mem=256, keyring=keyring if keys else None)
            site.a.ready()
            beats(site.a)
            for frame in frames:
                sock.send(frame)
            if not keys:
                site.a.wait_for("it stands", lambda: site.a.guests()["mover"] == "superseded")
                return
            vm_id = site.a.get("/v1/vms/mover")["vm_id"]
            for count in range(5):
                sock.send(claim_frame(vm_id, 10 + count))
                sock.send(claim_frame(vm_id, 10 + count, proof=1) + bytes(40))
                sock.send(claim_frame(vm_id, 10 + count) + bytes(40))
                sock.send(claim_frame(vm_id, 10 + count, version=2))
            site.a.wait_for("they are counted", lambda: claims(site.a, "forged") + claims(site.a, "version") == 20)
        assert claims(site.a, "forged") == 10
        site.a.machine.wait("claims: 8 claims on the link that do not count: version", PROGRAM)
        assert claims(site.a, "unproven") >= len(frames)
        assert site.a.guests()["mover"] == "running"
        beats(site.a)


def test_who_has_the_key(tmp_path, keyring):
    """A machine that is started anew hears from the other one that it has the guest. An operator starts it all the
    same; then the other one hears that, and its copy stands. The two have each other's key as the second one."""
    other = tmp_path / "other"
    shutil.copy(keyring, other)
    assert mkkeys("add", keyring).returncode == 0
    shutil.copy(keyring, other)
    assert mkkeys("swap", other).returncode == 0
    with Site(tmp_path / "site") as site:
        site.a.boot(MOVER, mem=256, keyring=keyring)
        site.b.boot(mem=256, keyring=other)
        site.a.ready()
        site.b.ready()
        move(site.a, site.b, "mover")
        site.a.machine.stop()
        site.a.boot(MOVER, mem=256, keyring=keyring)
        site.a.wait_for("it is elsewhere", lambda: site.a.guests().get("mover") == "elsewhere")
        epoch = site.b.get("/v1/vms/mover")["epoch"]
        wait_superseded(site.b, force(site.a, epoch))
        beats(site.a)
        assert [claims(host, word) for host in site.hosts for word in ("forged", "replayed")] == [0, 0, 0, 0]


class Forger:
    """Hears the heartbeats of a host; then says them again, and makes more of the same, as fast as that host did."""

    def __init__(self, pair, host, other):
        self.other, self.begun, self.over = other.address, threading.Event(), threading.Event()
        self.ear = pair.net.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.mouth = pair.net.socket(kind=socket.SOCK_DGRAM)
        self.ear.settimeout(PROGRAM)
        self.ear.bind((host.tap, 3))
        self.source = socket.inet_aton(host.address)
        self.thread = threading.Thread(target=self.say)

    def hear(self):
        while True:
            frame = self.ear.recv(2048)
            port = struct.unpack_from("!H", frame, 36)[0] if len(frame) > 42 + 64 else 0
            if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[26:30] == self.source and port == BEAT_PORT:
                return frame[42:]

    def say(self):
        heard = self.hear()
        magic, vm_id, epoch, owner, seq, checkpoint, _, _ = struct.unpack_from(BEAT, heard)
        for more in range(1, 100000):
            beat = struct.pack(BEAT[:-1], magic, vm_id, epoch, owner, seq + 1000 + more, checkpoint, 0)
            beat += struct.pack("<I", crc32c(beat))
            for datagram in (heard, beat, beat + heard[64:]):
                self.mouth.sendto(datagram, (self.other, BEAT_PORT))
            self.begun.set()
            if self.over.wait(0.05):
                return

    def __enter__(self):
        self.thread.start()
        assert self.begun.wait(PROGRAM)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.ear.close()
        self.mouth.close()


def test_forged_beats(tmp_path, keyring):
    """The primary is dead, and somebody goes on to say its heartbeats: the secondary takes over all the same."""
    with Pair(tmp_path, guest=vm("linux", "mover.elf", memory="8M"), keyring=keyring) as pair:
        pair.protect(limit=SHORT)
        with contextlib.ExitStack() as forgers:
            with pair.struck(lambda *roles: forgers.enter_context(Forger(pair, *roles))) as (dead, other):
                dead.machine.kill()
            pair.runs_at(other)
        assert pair.failover(other)["cause"] == "silence"
        for word in ("old", "forged"):
            assert other.metric(f'godwit_heartbeats_total{{direction="{word}"}}') > 10
