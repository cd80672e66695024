# SPDX-License-Identifier: BSD-2-Clause
"""Hypervisors that know each other by keys (docs/keys.md): who has one moves guests, and nobody else; and nobody reads
what passes between them.
"""

import collections
import contextlib
import itertools
import re
import selectors
import shutil
import socket
import struct
import subprocess
import threading

import psk
import pytest
from machine import PROGRAM, ROOT, vm
from migration import Site, beats, move
from test_migrate_port import header, new_id

MKKEYS = ROOT / "tools/mkkeys"
PORT = 4900
SUITE = "ECDHE-PSK-CHACHA20-POLY1305"
MOVER = vm("mover", "mover.elf", memory="16M", cmdline="pages=2000")
GOLDEN = 0x9E3779B97F4A7C15


def mkkeys(command, *words):
    return subprocess.run([MKKEYS, command, *words], stderr=subprocess.PIPE, text=True, timeout=PROGRAM)


@pytest.fixture
def keyring(tmp_path):
    assert mkkeys("new", tmp_path / "keyring").returncode == 0
    return tmp_path / "keyring"


def holds_a_page(frame):
    """Is a part of a page in it that the guest mover has written, whatever it has written last? Of two words that
    follow each other the second is the first plus a constant (word_of in its source), and no page begins or ends within
    three frames."""
    for at in range(0, len(frame) - 32, 500):
        for begin in range(at, at + 8):
            words = struct.unpack_from("<3Q", frame, begin)
            if any((second - first) % (1 << 64) == GOLDEN for first, second in itertools.pairwise(words)):
                return True
    return False


# Of a move in the clear: of its header, the guest's name, and what stands in the guest's memory.
SECRETS = [b"GODWITMG", b"mover", b"strayed", holds_a_page]


class Tap:
    """All that passes to and from a host while the context lasts, or to and from these ports of TCP. A secret is a
    number of bytes, or a function that looks for it in a frame."""

    def __init__(self, net, tap, secrets, *ports):
        self.ports, self.secrets = set(ports), secrets
        self.socket = net.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self.socket.settimeout(0.2)
        self.socket.bind((tap, 3))
        self.bytes, self.found, self.over = 0, set(), False
        self.thread = threading.Thread(target=self.listen)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.socket.close()

    def listen(self):
        while True:
            try:
                frame = self.socket.recv(1 << 16)
            except TimeoutError:
                if self.over:
                    return
                continue
            if not self.ports or self.is_of_ports(frame):
                self.bytes += len(frame)
                self.found |= {secret for secret in self.secrets
                               if (secret(frame) if callable(secret) else secret in frame)}

    def is_of_ports(self, frame):
        return (frame[12:14] == b"\x08\x00" and frame[23] == 6 and
                not self.ports.isdisjoint(struct.unpack_from("!HH", frame, 34)))


def test_alone(tmp_path):
    """A hypervisor with keys that has nothing to say to anybody greets, again and again."""
    with Site(tmp_path / "site") as site:
        site.a.boot()
        site.a.ready()
        site.a.wait_for("it greets", lambda: site.a.metric('godwit_claims_total{direction="said"}') > 5)


def test_a_move(tmp_path, keyring):
    """There and back; whoever is on the wire sees none of it. The same eye sees all of a move without keys."""
    with Site(tmp_path / "site") as site:
        site.boot(MOVER, keyring=keyring)
        with Tap(site.net, site.b.tap, SECRETS, PORT) as tap:
            move(site.a, site.b, "mover", "verify")
        assert tap.bytes > 500000 and tap.found == set()
        assert re.search(r"10\.9\.0\.2:\d+ is host-a", site.b.machine.log)
        move(site.b, site.a, "mover", "post-copy")
        beats(site.a)


def test_a_move_in_bochs(tmp_path):
    """The same on VT-x, without the eye."""
    with Site(tmp_path / "site") as site:
        site.boot(vm("mover", "mover.elf", memory="6M", cmdline="pages=16 rate=1 tick=5000"), emu="bochs", mem=192)
        move(site.a, site.b, "mover", "verify")
        assert re.search(r"10\.9\.0\.2:\d+ is host-a", site.b.machine.log)
        move(site.b, site.a, "mover", "post-copy")
        beats(site.a)


def test_no_key(tmp_path, keyring):
    """The eye of the test above; and a hypervisor without keys neither takes guests of one with keys, nor brings it
    one. Whichever of them begins, both say what is wrong."""
    with Site(tmp_path / "site") as site:
        site.boot(MOVER, keyring=None, **{"heartbeat-limit": 60000})
        with Tap(site.net, site.b.tap, SECRETS, PORT) as tap:
            move(site.a, site.b, "mover")
        assert tap.found == set(SECRETS)
        protect(site.b, site.a, "mover")
        with Tap(site.net, site.b.tap, SECRETS, PORT) as tap:
            checkpoints(site.b, "mover")
            site.b.post("/v1/vms/mover/unprotect")
        assert holds_a_page in tap.found
        assert re.findall(r"warn  keys: (\S+) is insecure, as it says", site.a.machine.log) == ["[migration]"]
        site.a.machine.stop()
        site.a.boot(vm("stayer", "mover.elf", memory="16M", cmdline="pages=2000"), keyring=keyring)
        site.a.ready()
        assert "is insecure" not in site.a.machine.log
        site.b.begin("mover", site.a)
        assert "the destination has keys, and this host has none" in site.b.wait_status("mover", "failed")["reason"]
        site.a.machine.wait("10.9.0.4: has no keys, and this host has", PROGRAM)
        beats(site.b)
        site.a.begin("stayer", site.b)
        assert "the destination has no keys, and this host has" in site.a.wait_status("stayer", "failed")["reason"]
        site.b.machine.wait("10.9.0.2:[0-9]+ has keys, and this host has none", PROGRAM)
        beats(site.a, "stayer")


def test_another_key(tmp_path, keyring):
    """A guest does not go to a host that has another key, and stays as it is. When the keys of the two are changed one
    by one, there is no moment at which they don't know each other."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copy(keyring, old)
    with Site(tmp_path / "site") as site:
        assert mkkeys("new", new).returncode == 0
        site.a.boot(MOVER, keyring=keyring)
        site.b.boot(keyring=new)
        site.a.ready()
        site.b.ready()
        site.a.begin("mover", site.b)
        assert "no key in common" in site.a.wait_status("mover", "failed")["reason"]
        site.b.machine.wait("10.9.0.2: has no key in common with us", PROGRAM)
        beats(site.a)
        site.b.machine.stop()
        both = tmp_path / "both"
        shutil.copy(new, both)
        with both.open("a") as file:
            file.write(old.read_text())
        site.b.boot(keyring=both)
        site.b.ready()
        move(site.a, site.b, "mover")
        beats(site.b)


def protect(host, other, name):
    """From now on the guest has a copy there."""
    host.post(f"/v1/vms/{name}/protect", peer=other.address)
    host.wait_for("it is protected", lambda: protection(host, name)["state"] == "protected")


def protection(host, name):
    return next(row for row in host.get("/v1/query-protect")["protection"] if row["vm"] == name)


def checkpoints(host, name):
    """Some more of them are taken."""
    first = protection(host, name)["checkpoints"]
    host.wait_for("checkpoints", lambda: protection(host, name)["checkpoints"] > first + 5)


def s_client(site, host, identity, key, *arguments, say=b""):
    """What OpenSSL's client hears."""
    command = ["openssl", "s_client", "-connect", f"{host.address}:{PORT}", "-tls1_2", "-cipher", SUITE, "-psk",
               key, "-psk_identity", identity, "-quiet", *arguments]
    done = subprocess.run([*site.net.enter, *command], input=say, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PROGRAM)
    return done.stdout, done.stderr.decode()


def identity_of(keyring, name, host, word="group"):
    """As docs/keys.md says: the name, for which host it is, and which key, the first one of a line with that word."""
    key = psk.key_of(keyring, word)
    return psk.identity(key, name, host.address), key.hex()


def test_openssl(tmp_path, keyring):
    """Another implementation is understood if it has the key, speaks this suite, and nothing else."""
    with Site(tmp_path / "site") as site:
        site.a.boot(keyring=keyring)
        site.a.ready()
        identity, key = identity_of(keyring, "tester", site.a)
        said, words = s_client(site, site.a, identity, key, say=header(new_id(), versions=(77, 78)))
        assert said.startswith(b"GODWITMG"), words
        site.a.machine.wait(" is tester", PROGRAM)
        for wrong in ((identity, key[:-1] + ("0" if key[-1] != "0" else "1")),
                      (f"tester>{site.a.address}#00000000", key), ("tester", key),
                      (identity.replace(site.a.address, site.b.address), key),
                      (identity.replace("tester", "host-a"), key)):
            said, words = s_client(site, site.a, *wrong, say=header(new_id()))
            assert said == b"" and "alert" in words, (wrong, said, words)
        site.a.machine.wait("wants to reach another host than this one", PROGRAM)
        site.a.machine.wait("has our name", PROGRAM)
        for other in (("-cipher", "ECDHE-PSK-AES256-CBC-SHA384:PSK-AES128-GCM-SHA256:DHE-PSK-CHACHA20-POLY1305"),
                      ("-no_tls1_2", "-tls1_3"), ("-no_tls1_2", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
                      ("-groups", "P-256")):
            said, words = s_client(site, site.a, identity, key, *other, say=header(new_id()))
            assert said == b"" and "GODWITMG" not in words, (other, said, words)


# A client's first words, which are right, and make a server multiply on its curve: ECDHE-PSK-CHACHA20-POLY1305, x25519.
HELLO = bytes.fromhex("1603010042" "0100003e" "0303" + "17" * 32 + "00" "0002ccac" "0100"
                      "0013" "000a0004" "0002001d" "000b0002" "0100" "ff010001" "00")


def test_a_message_in_pieces(tmp_path, keyring):
    """A message of a handshake has to be in one record: then it is answered, else refused."""
    pieces = b"".join(HELLO[:3] + struct.pack("!H", len(part)) + part for part in (HELLO[5:25], HELLO[25:]))
    with Site(tmp_path / "site") as site:
        site.a.boot(keyring=keyring)
        site.a.ready()
        for words, kinds in ((HELLO, (b"\x16",)), (pieces, (b"\x15", b""))):
            with site.net.connect(site.a.address, PORT) as sock:
                sock.sendall(words)
                assert sock.recv(1) in kinds
        site.a.machine.wait("speaks no TLS that is taken here", PROGRAM)


class Flood:
    """While the context lasts, strangers of 24 addresses connect to a host's port, begin a handshake and say no more:
    as many as the host answers, and 20 at a time, which is more than their places. (An emulator that gets a tenth of a
    processor takes a second for so many; in five its peer would give it up.)"""

    ADDRESSES = [f"10.9.0.{last}" for last in range(101, 125)]

    def __init__(self, net, host):
        self.net, self.to, self.over, self.begun = net, (host.address, PORT), threading.Event(), 0
        self.selector = selectors.DefaultSelector()
        self.sockets = collections.deque()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        for sock in self.sockets:
            sock.close()
        self.selector.close()

    def connect(self):
        sock = self.net.socket()
        sock.setblocking(False)
        sock.bind((self.ADDRESSES[self.begun % len(self.ADDRESSES)], 0))
        with contextlib.suppress(BlockingIOError):
            sock.connect(self.to)
        self.selector.register(sock, selectors.EVENT_WRITE)
        self.sockets.append(sock)
        self.begun += 1

    def run(self):
        while not self.over.is_set():
            while len(self.sockets) < 20:
                self.connect()
            for key, _ in self.selector.select(0.1):
                self.selector.unregister(key.fileobj)
                with contextlib.suppress(OSError):
                    key.fileobj.send(HELLO)
            while len(self.sockets) > 15:
                sock = self.sockets.popleft()
                with contextlib.suppress(KeyError):
                    self.selector.unregister(sock)
                sock.close()


def test_flood(tmp_path, keyring):
    """While strangers begin handshakes as fast as they can, a guest is moved between hosts that know each other, there
    and back, and the log stays readable."""
    with Site(tmp_path / "site") as site:
        site.boot(MOVER, keyring=keyring, peers="10.9.0.2 10.9.0.4")
        site.net.ip(*(f"address add {address}/24 dev br0" for address in Flood.ADDRESSES))
        with Flood(site.net, site.a) as first, Flood(site.net, site.b) as second:
            site.a.wait_for("the flood", lambda: site.a.metric('godwit_tls_faults_total{reason="gave-way"}') > 100)
            site.b.wait_for("the flood", lambda: site.b.metric('godwit_tls_faults_total{reason="gave-way"}') > 100)
            for _ in range(2):
                move(site.a, site.b, "mover")
                move(site.b, site.a, "mover", "post-copy")
        assert min(first.begun, second.begun) > 200
        assert site.a.metric('godwit_tls_faults_total{reason="key"}') == 0
        assert site.a.machine.log.count("tls: ") < 30
        beats(site.a)


def test_keyrings(tmp_path, keyring):
    """mkkeys: nobody else may read what it makes, and it destroys nothing."""
    first = keyring.read_text()
    assert keyring.stat().st_mode & 0o777 == 0o600
    assert mkkeys("new", keyring).returncode == 2
    assert mkkeys("drop", keyring).returncode == 2
    assert keyring.read_text() == first
    assert mkkeys("add", keyring).returncode == 0
    assert len(keyring.read_text().split()) == 4 and keyring.read_text().startswith(first)
    assert mkkeys("add", keyring).returncode == 2
    assert mkkeys("swap", keyring).returncode == 0
    assert keyring.read_text().endswith(first)
    assert mkkeys("drop", keyring).returncode == 0
    assert len(keyring.read_text().split()) == 2 and keyring.read_text() != first


def test_keyrings_of_a_pair(tmp_path, keyring):
    """mkkeys changes the key of two machines as it changes the group's, and nothing else: whoever else is a peer, and
    what each may, stays."""
    a, b = tmp_path / "a", tmp_path / "b"
    for file, name in (a, "beta"), (b, "alpha"):
        shutil.copy(keyring, file)
        with file.open("a") as more:
            more.write(f"# others\npeer {name}2 192.0.2.9\nkey {'5a' * 32}\nmoves 2\n")
    for wrong in ("alpha", "192.0.2.11"), ("beta", "192.0.2.10"):
        done = mkkeys("pair", a, "alpha", "192.0.2.10", b, *wrong)
        assert done.returncode == 2 and "expected two names and two addresses" in done.stderr, done
    assert mkkeys("pair", a, "alpha", "192.0.2.10", b, "beta", "192.0.2.11").returncode == 0
    with a.open("a") as more:
        more.write("allow web*")  # and no end of the line
    first = [file.read_text() for file in (a, b)]

    def pair(command):
        done = mkkeys("pair", command, a, "alpha", b, "beta")
        return done.returncode, [file.read_text() for file in (a, b)]

    def keys(text, name):
        section = text[text.index(f"peer {name} "):].splitlines()[1:]
        return [line for line in section if line.startswith("key ")]
    assert pair("drop") == pair("swap") == (2, first)
    status, added = pair("add")
    (old, new), = {tuple(keys(text, name)) for text, name in zip(added, ("beta", "alpha"))}
    assert status == 0 and old in first[0] and new not in first[0]
    assert [text.replace(f"{new}\n", "") for text in added] == [f"{first[0]}\n", first[1]]
    assert pair("add") == (2, added)
    assert pair("swap") == (0, [text.replace(f"{old}\n{new}\n", f"{new}\n{old}\n") for text in added])
    assert pair("drop") == (0, [text.replace(f"{old}\n", "") for text in added])
    assert a.stat().st_mode & 0o777 == 0o600
    done = mkkeys("pair", "add", a, "alpha", b, "gamma")
    assert done.returncode == 2 and "no key of a peer gamma; mkkeys pair makes one" in done.stderr


def test_keyrings_that_are_refused(tmp_path):
    """What no hypervisor would take, mkkeys does not either, and leaves it as it is."""
    key, other = "00" * 31 + "01", "00" * 31 + "02"
    for text, words in (("group " + "0" * 64 + "\n", "a key of zeros"),
                        (f"group {key}\ngroup {key}\n", "same key twice"),
                        ("group 0815\n", "64 hexadecimal digits"), (f"key {key}\n", "no key of the group"),
                        (f"group {key}\ngroup {other}\ngroup {key}\n", "does not fit 3 key(s)")):
        keyring = tmp_path / "keyring"
        keyring.write_text(text)
        for command in ("add", "swap", "drop"):
            done = mkkeys(command, keyring)
            assert done.returncode == 2 and words in done.stderr, (text, command, done.stderr)
            assert keyring.read_text() == text
    assert "no such file" in mkkeys("add", tmp_path / "other").stderr


@pytest.mark.parametrize("line, words", [
    ("group 0815", "keyring:2: not a key, expected 64 hexadecimal digits"),
    ("peer beta 10.9.0.2", "keyring:2: this is our own address, expected that of the peer")])
def test_a_wrong_keyring(tmp_path, keyring, line, words):
    """A machine that was told to use keys does not go on without."""
    keyring.write_text(f"{keyring.read_text()}{line}\nkey {'5a' * 32}\n")
    with Site(tmp_path / "site") as site, contextlib.suppress(AssertionError):
        site.a.boot(keyring=keyring)
        site.a.machine.wait("end status=1", 240)
        assert f"keys: {words}" in site.a.machine.log
        return
    raise AssertionError(site.a.machine.log[-2000:])
