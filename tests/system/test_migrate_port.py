# SPDX-License-Identifier: BSD-2-Clause
"""Who else may come to the migration port: noise, lies, old news and slow ones. It answers what
docs/migration-stream.md says, holds nothing of it, and takes a good guest afterwards. And who else may be found at one.
In the clear: with keys no stranger gets so far.
"""

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time

import pytest
from machine import vm
from migration import SLACK, Site, beats, move
from network import CLIENT4
from relay import HEADER, PORT, TYPES, Relay, read_exactly, read_record

MAGIC = int.from_bytes(b"GODWITMG", "little")
MOVE, RESOLVE, REPLY = 1, 2, 3
REFUSALS = {1: "version", 2: "feature", 3: "stream", 5: "name", 7: "replay"}
POLYNOMIAL = 0x82F63B78


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xffffffff


def header(vm_id, epoch=2, versions=(1, 1), kind=MOVE, features=1, required=0):
    body = struct.pack("<QHHIQQ16sQI", MAGIC, *versions, kind, features, required, vm_id, epoch, 0)
    return body + struct.pack("<I", crc32c(body))


def record(name, sequence, body=b"", pages=b""):
    padded = body + bytes(-len(body) % 8)
    head = struct.pack("<II", TYPES.get(name, name), len(body) + len(pages) + 8)
    crc = crc32c(head + struct.pack("<I", sequence) + padded)
    return head + struct.pack("<II", crc, sequence) + padded + pages


def new_id():
    return os.urandom(16)


def retold(kept, vm_id=None):
    """The stream of another VM that otherwise is the same."""
    name, first = kept[0]
    return [(name, header(vm_id or new_id(), epoch_of(kept))), *kept[1:]]


def epoch_of(kept):
    return struct.unpack_from("<Q", kept[0][1], 48)[0]


def handoff(name, sequence, epoch, wish=0):
    return record(name, sequence, struct.pack("<QIIQQQ", epoch, 0, wish, 0, 0, 0))


class Stranger:
    """A connection to the port."""

    def __init__(self, host):
        self.sock = host.site.net.connect(host.address, PORT)

    def say(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except OSError:
            pass  # it has hung up already: what it says is still to be read

    def hear(self):
        """The records of the answer behind its header, to the end: [(name, body)]; None if there is no header."""
        try:
            if not read_exactly(self.sock, HEADER):
                return None
            records = []
            while said := read_record(self.sock):
                records.append((said[0], said[1][16:]))
            return records
        except ConnectionError:
            return None
        finally:
            self.sock.close()

    def refusal(self):
        """(code, words) with which it is refused, or None."""
        for name, body in self.hear() or []:
            if name == "REFUSED":
                code, _, _, words = struct.unpack("<IIQ120s", body[:136])
                return REFUSALS.get(code, code), words.split(b"\0")[0].decode()
        return None


class Idler:
    """A destination that accepts one guest, takes whatever it is sent, and only says that it lives."""

    def __init__(self, net):
        self.listener = net.socket()
        self.listener.bind((CLIENT4, 0))
        self.listener.listen()
        self.address = f"{CLIENT4}:{self.listener.getsockname()[1]}"
        self.said = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.take, daemon=True)]
        self.threads[0].start()

    def take(self):
        """The source's records, to the end."""
        with contextlib.suppress(OSError):
            sock, _ = self.listener.accept()
            first = read_exactly(sock, HEADER)
            sock.sendall(header(first[32:48], epoch_of([("header", first)]), kind=REPLY))
            self.said.append(read_record(sock)[0])
            sock.sendall(record("ACCEPTED", 0, bytes(488)))
            self.threads.append(threading.Thread(target=self.live, args=(sock,), daemon=True))
            self.threads[1].start()
            while said := read_record(sock):
                self.said.append(said[0])
        self.over.set()

    def live(self, sock):
        number = 1
        with contextlib.suppress(OSError):
            while not self.over.wait(0.5):
                sock.sendall(record("KEEPALIVE", number, struct.pack("<Q", 1)))
                number += 1

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # nobody else comes
        for thread in self.threads:
            thread.join(60)
        self.listener.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A site, and what the source said in a move there; the guest is back since, and the port has nobody's guest."""
    with Site(tmp_path_factory.mktemp("port"), secure=False) as site:
        site.boot(vm("mover", "mover.elf", memory="8M", cmdline="pages=64 rate=1"), mem=256)
        relay = Relay(site.net, site.b.address)
        move(site.a, site.b, "mover", to=relay)
        relay.close()
        move(site.b, site.a, "mover")
        yield site, relay.kept


@pytest.fixture
def port(recorded):
    """The host with the port; whatever was done to it, it gives all back, answers, and takes a good guest."""
    site, _ = recorded
    free = site.b.get("/v1/memory")["free_kib"]
    yield site.b
    site.b.wait_for("no guest is left", lambda: not site.b.guests())
    site.b.wait_for("no memory is left over", lambda: site.b.get("/v1/memory")["free_kib"] >= free - SLACK)
    move(site.a, site.b, "mover", "verify")
    move(site.b, site.a, "mover", "verify")


@pytest.mark.parametrize("noise", [b"", b"G", b"GET / HTTP/1.1\r\n\r\n" * 4, bytes(64), b"\xff" * 4096,
                                   random.Random(1).randbytes(1 << 18)],
                         ids=["nothing", "a byte", "http", "zeros", "ones", "random"])
def test_noise(port, noise):
    """A header that is none deserves no answer."""
    stranger = Stranger(port)
    stranger.say(noise)
    stranger.sock.shutdown(1)
    assert stranger.hear() is None


@pytest.mark.parametrize("fields, code, words", [
    ({"versions": (2, 9)}, "version", "no common version"),
    ({"versions": (0, 0)}, "version", "no common version"),
    ({"required": 1 << 40}, "feature", "unknown there"),
    ({"kind": REPLY}, "stream", "neither a move nor its resolution"),
], ids=["newer", "older", "feature", "kind"])
def test_wrong_header(port, fields, code, words):
    stranger = Stranger(port)
    stranger.say(header(new_id(), **fields))
    refused = stranger.refusal()
    assert refused and refused[0] == code and words in refused[1]


def test_damaged_header(port):
    stranger = Stranger(port)
    data = bytearray(header(new_id()))
    data[40] ^= 1
    stranger.say(bytes(data))
    assert stranger.hear() is None


@pytest.mark.parametrize("said", [
    record(99, 0), record("RESERVE", 0), record("RESERVE", 0, bytes(64)), record("STATE", 0, bytes(24)),
    handoff("PREPARE", 0, 2), record("ROUND", 0, b"x"), record("ZERO", 0, struct.pack("<QQ", 0, 1)),
    record("RESERVE", 1, bytes(64)), record("COMMIT", 0, b"short"), record("ACCEPTED", 0),
    struct.pack("<IIII", TYPES["RESERVE"], 0xfffffff0, 0, 0), struct.pack("<IIII", TYPES["RESERVE"], 0, 0, 0),
    record("KEEPALIVE", 0) + record("KEEPALIVE", 0),
    record("PAGES", 0, struct.pack("<IIQII", 1, 0, 0, 0, 4096), bytes(4096)),
], ids=["unknown", "empty reserve", "reserve of zeros", "state first", "prepare first", "round", "zero first",
        "sequence", "short commit", "answer", "length", "no length", "repeated", "pages first"])
def test_wrong_record(port, said):
    stranger = Stranger(port)
    stranger.say(header(new_id()), said)
    refused = stranger.refusal()
    assert refused and refused[0] == "stream"


def test_unknown_optional_record_is_skipped(port):
    stranger = Stranger(port)
    stranger.say(header(new_id()), record(0x80000063, 0, b"from the future"), record("END", 1))
    assert not [name for name, _ in stranger.hear() if name == "REFUSED"]


def test_replay(recorded, port):
    """What was once said is old news: the same epoch again is refused, for a move as for its end."""
    _, kept = recorded
    stranger = Stranger(port)
    stranger.say(*(data for _, data in kept))
    assert stranger.refusal() == ("replay", "the epoch is not new")


def reserve(kept, name):
    """The header of another VM, and the recorded RESERVE with the guest's name replaced."""
    said = next(data for kind, data in kept if kind == "RESERVE")
    body, old = said[16:], b"mover".ljust(32, b"\0")
    assert body.count(old) == 1
    return header(new_id(), epoch_of(kept)), record("RESERVE", 0, body.replace(old, name.ljust(32, b"\0")))


def test_wrong_name(recorded, port):
    """A name that a tool would take for something else is no better for coming from a peer."""
    for name, words in ((b"..", "begins with"), (b"-x", "begins with"), (b"a b", "holds ASCII letters"),
                        (b"uplink", "a port of the switch"), (b"godwit", "a port of the switch")):
        stranger = Stranger(port)
        stranger.say(*reserve(recorded[1], name))
        refused = stranger.refusal()
        assert refused and refused[0] == "name" and words in refused[1], (name, refused)


def test_commit_of_nothing(port):
    """A COMMIT of what nobody has prepared here: it remembers no such attempt, and runs nothing."""
    stranger = Stranger(port)
    stranger.say(header(new_id(), 7, kind=RESOLVE), handoff("COMMIT", 0, 7), record("END", 1))
    assert [name for name, _ in stranger.hear() if name != "KEEPALIVE"] == ["UNKNOWN"]


def cuts(kept):
    """Places to cut a stream: within and behind the first and the last record of each kind."""
    places, offset, seen = set(), 0, {}
    for name, data in kept:
        seen.setdefault(name, []).append((offset, len(data)))
        offset += len(data)
    for spans in seen.values():
        for begin, size in (spans[0], spans[-1]):
            places |= {begin + size // 2, begin + size}
    return sorted(places)


def test_truncation(recorded, port):
    """The stream ends anywhere before COMMIT: the guest is never run and its memory comes back."""
    _, kept = recorded
    kept = kept[:[name for name, _ in kept].index("COMMIT")]
    for place in cuts(kept):
        stranger, vm_id = Stranger(port), new_id()
        stranger.say(b"".join(data for _, data in retold(kept, vm_id))[:place])
        stranger.sock.shutdown(1)
        said = stranger.hear()
        assert "RUNNING" not in [name for name, _ in said or []]
        if place == sum(len(data) for _, data in kept):
            break
        port.wait_for("it is given up", lambda: not port.guests())
    # All of it came: it is prepared, and gives up when told, once and for good.
    assert port.guests() == {"mover": "prepared"}
    epoch = epoch_of(kept)
    for question in (handoff("QUERY", 0, epoch, wish=1), handoff("COMMIT", 0, epoch)):
        stranger = Stranger(port)
        stranger.say(header(vm_id, epoch, kind=RESOLVE), question, record("END", 1))
        assert [name for name, _ in stranger.hear() if name != "KEEPALIVE"] == ["ABORTED"]


def test_flipped_bits(recorded, port):
    """One bit in the last record of each kind: refused before anything is prepared, since every section is covered.

    The last, because a damaged page that is sent again does no harm.
    """
    _, kept = recorded
    kept = kept[:[name for name, _ in kept].index("COMMIT")]
    chance = random.Random(2)
    for kind in sorted({name for name, _ in kept} - {"header", "KEEPALIVE"}):
        story = retold(kept)
        at = max(i for i, (name, _) in enumerate(story) if name == kind)
        data = bytearray(story[at][1])
        bit = chance.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        story[at] = (kind, bytes(data))
        stranger = Stranger(port)
        stranger.say(*(data for _, data in story))
        stranger.sock.shutdown(1)
        refused = stranger.refusal()
        assert refused is None or refused[0] in ("stream", "version", "feature", "name", 8, 9, 10, 11, 12), refused
        port.wait_for(f"bit {bit} of {kind}: not taken", lambda: not port.guests())


def test_guests_that_came_and_ended(recorded, port):
    """More of them than there are attempts remembered: each keeps neither memory, nor name, nor a place, but can be
    asked about, started again and forgotten."""
    _, kept = recorded
    free = port.get("/v1/memory")["free_kib"]
    for _ in range(70):
        stranger = Stranger(port)
        stranger.say(*(data for _, data in retold(kept)))
        stranger.sock.shutdown(1)
        assert "RUNNING" in [name for name, _ in stranger.hear()]
        port.post("/v1/vms/mover/poweroff")
    assert port.get("/v1/vms/mover")["reason"] == "powered off by command"
    port.wait_for("its RAM is free", lambda: port.get("/v1/memory")["free_kib"] >= free - 4096)
    assert port.refused("/v1/vms/mover/start") == (
        409, "mover: cannot start, what it starts from is not among this machine's files, expected it in images of "
             "[migration], or named here")
    port.post("/v1/vms/mover/forget")


def test_ends_are_settled(recorded, port):
    """A source that never says that it knows the end leaves an answer open, until an operator forgets the guest, or
    settles all that has ended; the answer itself stays."""
    _, kept = recorded
    port.post("/v1/migrate-settle")
    for forget, left in ((False, 1), (True, 0)):
        vm_id, epoch = new_id(), epoch_of(kept)
        stranger = Stranger(port)
        stranger.say(*(data for name, data in retold(kept, vm_id) if name != "END"))
        stranger.sock.shutdown(1)
        assert "RUNNING" in [name for name, _ in stranger.hear()]
        port.post("/v1/vms/mover/poweroff")
        if forget:
            port.wait_for("it can be forgotten", lambda: port.ask("POST", "/v1/vms/mover/forget")[0] == 200)
        assert port.post("/v1/migrate-settle") == {"settled": left}
        stranger = Stranger(port)
        stranger.say(header(vm_id, epoch, kind=RESOLVE), handoff("COMMIT", 0, epoch), record("END", 1))
        assert [name for name, _ in stranger.hear()] == ["RUNNING"]
    assert port.post("/v1/migrate-settle") == {"settled": 0}


def test_slow_ones(recorded):
    """Who says nothing, or one byte now and then, occupies one of 8 places for 5 s, or until a ninth takes the place
    of the oldest; then a move succeeds again."""
    site, _ = recorded
    began = time.monotonic()
    strangers = [Stranger(site.b) for _ in range(8)]
    start = header(new_id())
    for stranger in strangers[3:]:
        stranger.say(start[:1])
    strangers.append(Stranger(site.b))
    assert strangers.pop(0).hear() is None
    assert not select.select([stranger.sock for stranger in strangers], [], [], 0)[0]  # that was no time-out
    position = 1
    while time.monotonic() - began < 5.5:  # what is measured: a byte at a time does not prolong it
        strangers[3].say(start[position:position + 1])
        position += 1
        time.sleep(0.5)
    for stranger in strangers:
        assert not stranger.hear()
    assert time.monotonic() - began < 60
    move(site.a, site.b, "mover")
    move(site.b, site.a, "mover")


@pytest.mark.parametrize("mode, last", [("live", "ROUND"), ("stop-copy", "PREPARE")])
def test_a_destination_that_only_lives(recorded, mode, last):
    """It gets all, and does nothing with it: after 10 s the guest, which stands for it in a stop-and-copy, goes on."""
    site, _ = recorded
    idler = Idler(site.net)
    site.a.begin("mover", idler, mode)
    failed = site.a.wait_status("mover", "failed")
    idler.close()
    assert failed["error"] == "timeout" and failed["reason"] == "the destination has done nothing for 10 s"
    assert 10000 < failed["total-time"] < 60000
    assert [name for name in idler.said if name != "KEEPALIVE"][-2:] == [last, "ABORT"]
    beats(site.a)
    move(site.a, site.b, "mover")
    move(site.b, site.a, "mover")
