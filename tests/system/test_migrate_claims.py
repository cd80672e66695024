# SPDX-License-Identifier: BSD-2-Clause
"""Two copies run, because force was used wrongly. As soon as they hear of each other one of them stands still, and
nothing is lost before an operator says which (docs/claims.md). Where the test itself claims, there are no keys."""

import contextlib
import socket
import struct
import threading

import pytest
from machine import TIMEOUT, vm
from migration import Host, Site, beats, move
from relay import DEST, FORWARD, Relay

MOVER = vm("mover", "mover.elf", memory="8M")
PEERS = 0x88B6


@contextlib.contextmanager
def left_in_doubt(site):
    """Move mover from a to b, and keep from a that it has arrived. Gives the move's epoch."""
    relay = Relay(site.net, site.b.address)
    relay.stop_at(DEST, "RUNNING", relay.cut)
    epoch = site.a.begin("mover", relay)["epoch"]
    relay.reached()
    site.a.wait_status("mover", "in-doubt")
    beats(site.b)
    yield epoch
    relay.close()


@pytest.fixture(scope="module")
def doubt(tmp_path_factory):
    """(site, epoch): mover runs on b under that epoch, and a, which sent it, has not heard so. For tests that leave it
    so, and the one that ends it."""
    with Site(tmp_path_factory.mktemp("doubt"), secure=False) as site:
        site.boot(MOVER, mem=256)
        with left_in_doubt(site) as epoch:
            yield site, epoch


def resolve(host, action, epoch):
    done = host.godwit("resolve", "mover", action, str(epoch))
    assert done.returncode == 0, done.stderr


def force(host, epoch):
    """Have it run there. Returns its new epoch."""
    resolve(host, "force-resume", epoch)
    host.wait_for("it runs", lambda: host.guests()["mover"] == "running")
    forced = host.get("/v1/vms/mover")["epoch"]
    assert epoch + 2**16 <= forced < epoch + 2**17
    return forced


def resolve_query(host):
    return host.post("/v1/vms/mover/resolve", action="query")


def wait_superseded(host, epoch):
    host.wait_for("it stands", lambda: host.guests()["mover"] == "superseded")
    asked = resolve_query(host)
    assert asked["status"] == "superseded" and asked["epoch"] == epoch
    host.printed("mover")
    assert not host.printed("mover")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


CLAIM = "<8s16sQQQQ32s6sH4sII"
OWNS, ASKS, HOLDS = 1, 2, 3


def claim_frame(vm_id, epoch, crc=None, owner=1, kind=OWNS, version=1, proof=0):
    identity = bytes.fromhex(vm_id.replace("-", ""))
    claim = struct.pack(CLAIM, b"GODWITCL", identity, epoch, owner, 0, 0, b"mover", bytes(6), kind, bytes(4), version,
                        proof)
    claim += struct.pack("<I", crc32c(claim) if crc is None else crc)
    return b"\xff" * 6 + b"\x02\0\0\0\0\x01" + struct.pack("!H", PEERS) + claim


def forge(site, host, *epochs):
    """Claim the guest of that host under them."""
    with site.net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("br0", PEERS))
        for epoch in epochs:
            sock.send(claim_frame(host.get("/v1/vms/mover")["vm_id"], epoch))


def who_has(site, vm_id):
    """Ask as a machine does that is about to start it. Returns what each machine answers: {address: kind}. In less than
    the 5 s after which those of a move would give each other up."""
    answers = {}
    with site.net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("br0", PEERS))
        sock.settimeout(3)
        sock.send(claim_frame(vm_id, 1, kind=ASKS))
        with contextlib.suppress(TimeoutError):
            while len(answers) < 2:
                claim = struct.unpack_from(CLAIM, sock.recv(2048), 14)
                answers[socket.inet_ntoa(claim[9])] = claim[8]
    return answers


def test_asking_is_short(tmp_path):
    """The guest is asked about, and started, in time. By Bochs's clock, which counts instructions: no other load of
    this machine is in it."""
    with Site(tmp_path / "site") as site:
        site.a.boot(MOVER, emu="bochs", mem=192)
        started = site.a.machine.wait(r"mover: first entry (\d+) us after creation", TIMEOUT["bochs"])
        assert 400_000 < int(started.group(1)) < 600_000


class Alone(Host):
    """It has neither keys nor [migration]."""

    def sections(self, keyring, keys):
        api, migration = super().sections(None, {}).split("[migration]\n")
        assert migration == "insecure = yes\n"
        return api


class Claimant(threading.Thread):
    """Another hypervisor on the link, which has the guest under epoch 7."""

    def __init__(self, net, vm_id):
        super().__init__(daemon=True)
        self.vm_id, self.asked, self.over = vm_id, 0, False
        self.sock = net.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind(("br0", PEERS))
        self.sock.settimeout(0.1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.join()
        self.sock.close()

    def run(self):
        while not self.over:
            with contextlib.suppress(TimeoutError):
                if struct.unpack_from(CLAIM, self.sock.recv(2048), 14)[8] == ASKS:
                    self.asked += 1
                    self.sock.send(claim_frame(self.vm_id, 7))


def test_nobody_stops_a_guest_that_does_not_move(tmp_path):
    """Where there are neither keys nor [migration] nobody on the link makes a guest stand. But such a machine says that
    it has the guest, if another one asks; and it asks, too, before it restores one."""
    file = tmp_path / "mover.image"
    with Site(tmp_path / "site", secure=False) as site:
        host = Alone(site, "a", "tap0")
        host.boot(MOVER + vm("stayer", "mover.elf", memory="8M"), mem=256)  # it ends with its last guest
        host.ready()
        vm_id = host.get("/v1/vms/mover")["vm_id"]
        heard = host.metric('godwit_claims_total{direction="heard"}')
        with site.net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("br0", PEERS))
            for epoch in (1, 7, 2**20):
                sock.send(claim_frame(vm_id, epoch))
        host.wait_for("they are heard", lambda: host.metric('godwit_claims_total{direction="heard"}') == heard + 3)
        assert host.guests()["mover"] == "running"
        beats(host)
        assert who_has(site, vm_id)[host.address] == OWNS
        assert host.godwit("save", "mover", str(file)).returncode == 0
        host.post("/v1/vms/mover/poweroff")
        host.post("/v1/vms/mover/forget")
        with Claimant(site.net, vm_id) as other:
            done = host.godwit("restore", str(file))
            assert done.returncode == 1 and "mover at 0.0.0.0, epoch 7" in done.stderr and other.asked, done
        assert host.godwit("restore", str(file)).returncode == 0
        beats(host)


def test_damaged_claims(doubt):
    """What is not a whole claim is counted, and stops nothing."""
    site, epoch = doubt
    vm_id = site.b.get("/v1/vms/mover")["vm_id"]
    with site.net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("br0", PEERS))
        for crc in range(10):
            sock.send(claim_frame(vm_id, epoch + 10, crc))
    site.b.wait_for("they are counted", lambda: site.b.metric('godwit_claims_total{direction="malformed"}') == 10)
    assert site.b.guests()["mover"] == "running"
    beats(site.b)


def test_noise(doubt):
    """Whole claims of epochs that nobody can have come to: counted, and nothing stands for them."""
    site, epoch = doubt
    forge(site, site.b, 2**63 + 5, 2**64 - 1, epoch + 2**32 + 1)
    site.b.wait_for("they are counted", lambda: site.b.metric('godwit_claims_total{direction="noise"}') == 3)
    assert site.b.guests()["mover"] == "running" and site.a.guests()["mover"] == "in-doubt"
    beats(site.b)


def test_wrong_force(doubt):
    """Ends the doubt. Back and forth: whoever was told last to run it does, the other one stands, until given up."""
    site, epoch = doubt
    forced = force(site.a, epoch)
    wait_superseded(site.b, forced)
    assert site.b.get("/v1/vms/mover")["reason"] == f"mover at {site.a.address}, epoch {forced}"
    beats(site.a)
    assert site.where("mover") == [site.a]
    for path in ("resume", "pause", "poweroff", "reset"):
        status, text = site.b.refused(f"/v1/vms/mover/{path}")
        assert status == 409 and "it is superseded, expected" in text
    assert site.b.refused("/v1/vms/mover/migrate", dest=site.a.address)[0] == 409
    assert "no move is left" in site.b.refused("/v1/vms/mover/resolve", action="abort")[1]

    forced = force(site.b, forced)
    wait_superseded(site.a, forced)
    assert not site.b.get("/v1/vms/mover")["reason"]
    beats(site.b)
    assert site.a.metric("godwit_vms_superseded_total") == 1

    resolve(site.a, "force-give-up", forced)
    site.a.wait_for("it is gone", lambda: "mover" not in site.a.guests())
    assert move(site.b, site.a, "mover", "verify")["epoch"] == forced + 1
    beats(site.a)


def move_and_ask(site, vm_id):
    """Move it from a to b. Between PREPARED and its arrival two machines have it, nobody runs it, and the connection
    stands: returns what they answer then to one who asks."""
    relay = Relay(site.net, site.b.address)
    answers = {}

    def ask():
        answers.update(who_has(site, vm_id))
        return FORWARD

    relay.stop_at(DEST, "PREPARED", ask)
    site.a.begin("mover", relay)
    relay.reached()
    site.a.wait_status("mover", "completed")
    relay.close()
    return answers


@pytest.mark.alone  # whoever has it has 0.4 s for an answer
def test_reboot(tmp_path):
    """A guest moves, and the machine that it left is started anew, with the guest in its configuration: it does not run
    twice, it can come home, and an operator may start it all the same."""
    with Site(tmp_path, secure=False) as site:
        site.boot(MOVER, mem=256)
        vm_id = site.a.get("/v1/vms/mover")["vm_id"]
        assert move_and_ask(site, vm_id) == {site.a.address: HOLDS, site.b.address: HOLDS}
        site.a.machine.kill()
        site.a.boot(MOVER, mem=256)
        site.a.ready()
        epoch = site.b.get("/v1/vms/mover")["epoch"]
        there = site.a.get("/v1/vms/mover")
        assert there["vm_id"] == vm_id == site.b.get("/v1/vms/mover")["vm_id"]
        assert there["status"] == "elsewhere" and there["reason"] == f"mover at {site.b.address}, epoch {epoch}"
        assert site.where("mover") == [site.b]
        assert site.a.refused("/v1/vms/mover/start")[0] == 409
        move(site.b, site.a, "mover", "verify")
        beats(site.a)

        move(site.a, site.b, "mover", "verify")
        site.a.machine.kill()
        site.a.boot(MOVER, mem=256)
        site.a.ready()
        epoch = site.b.get("/v1/vms/mover")["epoch"]
        forced = force(site.a, epoch)
        wait_superseded(site.b, forced)
        beats(site.a)


@pytest.mark.alone  # as above
def test_peers(tmp_path):
    """As test_reboot, with a router between the two: only the peers of the configuration can tell. One that nobody can
    reach keeps nobody from starting, and the log says so."""
    peers = "10.9.0.2 10.10.0.4:4900 10.10.0.9"
    with Site(tmp_path) as site:
        site.route()
        site.boot(MOVER, mem=256, peers=peers)
        site.a.machine.wait("10.10.0.9:4900 has not answered", TIMEOUT["qemu"])
        vm_id = site.a.get("/v1/vms/mover")["vm_id"]
        move(site.a, site.b, "mover", "verify")
        epoch = site.b.get("/v1/vms/mover")["epoch"]
        questions = site.b.metric("godwit_peer_questions_total")
        site.a.machine.kill()
        site.a.boot(MOVER, mem=256, peers=peers)
        site.a.ready()
        there = site.a.get("/v1/vms/mover")
        assert there["vm_id"] == vm_id == site.b.get("/v1/vms/mover")["vm_id"]
        assert there["status"] == "elsewhere" and there["reason"] == f"mover at {site.b.address}, epoch {epoch}"
        assert site.where("mover") == [site.b]
        site.a.machine.wait("10.10.0.9:4900 has not answered", TIMEOUT["qemu"])
        asked = {row["peer"]: row for row in site.a.get("/v1/query-peers")["peers"]}
        assert [row["status"] for row in asked.values()] == ["this", "answered", "silent"]
        answer = asked["10.10.0.4:4900"]
        assert answer["found"] == f"runs mover, epoch {epoch}" and answer["answer-time"] > 0
        assert site.a.metric('godwit_peers{status="answered"}') == 1
        assert site.b.metric("godwit_peer_questions_total") > questions
        file = str(tmp_path / "mover.image")
        assert site.b.godwit("save", "--live", "mover", file).returncode == 0
        refused = site.a.godwit("restore", file)
        assert refused.returncode == 1 and f"mover at {site.b.address}, epoch {epoch}" in refused.stderr, refused
        assert site.where("mover") == [site.b]


def test_partition(tmp_path):
    """Neither hears the other while both run it; with the cable they do. So they do after a forged claim, as high as is
    believed, that one of them alone has heard: what force comes to there is noise for the other."""
    with Site(tmp_path, secure=False) as site:
        site.boot(MOVER, mem=256)
        for beyond in (0, 2**32):
            with left_in_doubt(site) as epoch:
                number = beats(site.b)
                site.b.link("down")
                if beyond:
                    forge(site, site.a, epoch + beyond)
                    wait_superseded(site.a, epoch + beyond)
                forced = force(site.a, epoch + beyond)
                site.a.wait_for("it goes on", lambda: beats(site.a) > number + 20)
                site.b.link("up")
                site.b.wait_for("it stands", lambda: site.b.guests()["mover"] == "superseded")
                site.b.wait_for("it has heard all", lambda: resolve_query(site.b)["epoch"] == forced)
                assert site.where("mover") == [site.a]
                resolve(site.b, "force-give-up", forced)
                site.b.wait_for("it is gone", lambda: "mover" not in site.b.guests())
        move(site.a, site.b, "mover", "verify")
