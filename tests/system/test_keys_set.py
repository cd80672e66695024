# SPDX-License-Identifier: BSD-2-Clause
"""Keys that are changed while hypervisors run (docs/keys.md "The keyring"), by the commands that the page tells; and
tokens and certificates (docs/api.md)."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time

import pytest
from api import GODWIT
from etcd import Etcd
from https import secured, tokens
from machine import PROGRAM, TIMEOUT, run_to_end, vm
from network import Network
from test_control import GUESTS, Terminal
from test_keys import mkkeys

TOKEN = "correct-horse-battery"
A, B = "10.9.0.2", "10.9.0.4"


class Host:
    """A hypervisor with keys, which takes others by HTTPS. Its files are in a directory of its own."""

    def __init__(self, net, directory, number, keyring, config, access="tokens = tokens\n", **options):
        self.net, self.name, self.address = net, "ab"[number], (A, B)[number]
        self.directory = directory / self.name
        self.directory.mkdir()
        self.ca = secured(self.directory, TOKEN, self.address)
        self.keyring = self.directory / "keyring"
        shutil.copy(keyring, self.keyring)
        text = (f"[net]\naddress = {self.address}/24\n[api]\n{access}certificate = api.pem\n"
                f"[keys]\nname = host-{self.name}\nkeyring = keyring\n[migration]\nheartbeat-limit = 20000\n")
        self.machine = net.boot(self.directory, text + config, "qemu", "virtio", f"52:54:00:00:00:0{self.name}",
                                f"tap{number}", mem=384, **options)

    def ready(self):
        """It knows us: a stranger's handshake may get too little time of an emulator that waits for a processor."""
        self.machine.wait("api: port 443 by HTTPS", TIMEOUT["qemu"])
        self.wait_for("it knows us", lambda: self.godwit("version").returncode == 0)

    def godwit(self, *arguments, token=TOKEN):
        command = [*self.net.enter, GODWIT, "-H", self.address, "-t", token, "--cacert", self.ca.file, *arguments]
        return run_to_end(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def does(self, *arguments):
        done = self.godwit(*arguments)
        assert done.returncode == 0, (self.name, arguments, done, self.machine.log[-2000:])
        return done.stdout

    def asks(self, *arguments):
        return json.loads(self.does("--json", *arguments))

    def keys(self):
        """(ID, use) of each."""
        return [(key["id"], key["use"]) for key in self.asks("query-keys")["keys"]]

    def counts(self, metric):
        return int(re.search(rf"^{re.escape(metric)} (\d+)$", self.does("metrics"), re.M).group(1))

    def wait_for(self, what, condition):
        deadline = time.monotonic() + PROGRAM
        while not condition():
            assert time.monotonic() < deadline, (what, self.machine.log[-3000:])
            time.sleep(0.1)


@pytest.fixture
def keyring(tmp_path):
    assert mkkeys("new", tmp_path / "first").returncode == 0
    return tmp_path / "first"


@contextlib.contextmanager
def hosts(directory, keyring, guests="", both=""):
    with Network() as net:
        net.tap()
        a, b = (Host(net, directory, number, keyring, both + guests * (number == 0)) for number in (0, 1))
        a.ready()
        b.ready()
        yield a, b


def guest(name, memory="8M", **keys):
    return vm(name, "mover.elf", memory=memory, autostart="yes", **keys)


def there_and_back(a, b):
    a.does("migrate", "mover", b.address)
    b.does("migrate", "mover", a.address, "--mode", "post-copy")


def heard(host):
    """Heartbeats that were heard."""
    return host.counts('godwit_heartbeats_total{direction="heard"}')


def test_rotation(tmp_path, keyring):
    """Two machines get another key, step by step. In each step a guest moves, there and back, and they go on to hear
    each other's heartbeats and claims; in the end the first key is good for nothing."""
    with Network() as net, Etcd(net, tmp_path / "etcd") as etcd:
        net.tap()
        witness = etcd.config()
        # They write little: what is waited for here is the next heartbeat, which is seconds away.
        guests = "".join(guest(name, cmdline="pages=16 rate=1 tick=20000") for name in ("mover", "kept"))
        a = Host(net, tmp_path, 0, keyring, witness + guests)
        b = Host(net, tmp_path, 1, keyring, witness)
        a.ready()
        b.ready()
        a.wait_for("the guests run", lambda: a.does("vms").count("running") == 2)
        a.does("protect", "kept", b.address)
        a.wait_for("it has two copies", lambda: "protected" in a.does("query-protect", "kept").split())
        first, = a.keys()
        for command in "add", "swap", "drop":
            assert mkkeys(command, a.keyring, b.keyring).returncode == 0
            for host in a, b:
                host.does("keys-set", host.keyring)
                there_and_back(a, b)
                counts = [heard(each) for each in (a, b)]
                for each, count in zip((a, b), counts):
                    each.wait_for("heartbeats", lambda: heard(each) > count + 1)
            assert a.keys() == b.keys() and len(a.keys()) == (1 if command == "drop" else 2)
        (key, use), = a.keys()
        assert (key, use) != first and use == "offered"
        for host in a, b:
            for word in "forged", "replayed":
                assert host.counts(f'godwit_claims_total{{direction="{word}"}}') == 0
            assert host.counts('godwit_heartbeats_total{direction="forged"}') == 0
            assert host.machine.log.count("keys: other keys from now on") == 3
            assert "suspended" not in host.machine.log and TOKEN not in host.machine.log
            for line in keyring.read_text().split()[1:] + host.keyring.read_text().split()[1:]:
                assert line not in host.machine.log
        a.does("keys-set", keyring)
        done = a.godwit("migrate", "mover", b.address)
        assert done.returncode == 1 and "no key in common" in done.stderr, done


def test_rotation_of_a_pair(tmp_path, keyring):
    """The same of the key that two peers alone have: in each step each connects to the other; in the end the first key
    is good for nothing, and the group's is as it was."""
    old = [tmp_path / "old-a", tmp_path / "old-b"]
    for file in old:
        shutil.copy(keyring, file)
    assert mkkeys("pair", old[0], "host-a", A, old[1], "host-b", B).returncode == 0
    with Network() as net:
        net.tap()
        a, b = (Host(net, tmp_path, number, old[number], guest("mover") * (number == 0)) for number in (0, 1))
        a.ready()
        b.ready()
        first = a.keys()
        for command in "add", "swap", "drop":
            assert mkkeys("pair", command, a.keyring, "host-a", b.keyring, "host-b").returncode == 0
            for host in a, b:
                host.does("keys-set", host.keyring)
                there_and_back(a, b)
        group, pair = a.keys()
        assert a.keys() == b.keys() and first[0] == group and first[1][1] == pair[1] == "offered" and pair != first[1]
        a.does("keys-set", old[0])
        done = a.godwit("migrate", "mover", b.address)
        assert done.returncode == 1 and "no key in common" in done.stderr, done
        assert "running" in a.does("vms").split()


def test_a_move_under_way(tmp_path, keyring):
    """While a guest is on its way both machines get keys that have nothing in common with those before: it arrives. A
    machine that has other ones is no peer any more."""
    other = tmp_path / "other"
    assert mkkeys("new", other).returncode == 0
    with hosts(tmp_path, keyring, guest("mover")) as (a, b):
        a.does("migrate-set-parameters", "max-bandwidth", "4K")
        a.does("migrate", "mover", b.address, "--detach")
        b.wait_for("it is on its way", lambda: "incoming" in b.does("vms").split())
        a.does("keys-set", other)
        b.does("keys-set", other)
        assert "incoming" in b.does("vms").split()
        a.does("migrate-set-parameters", "max-bandwidth", "0")
        b.wait_for("it is there", lambda: "running" in b.does("vms").split())
        b.does("migrate", "mover", a.address)
        a.does("keys-set", keyring)
        for source, dest in (a, b), (b, a):
            done = source.godwit("migrate", "mover", dest.address)
            assert done.returncode == 1, done
            assert source is b or "no key in common" in done.stderr, done
        assert "running" in a.does("vms").split()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys-set")
    keyring, monitor = directory / "keyring", directory / "qmp"
    assert mkkeys("new", keyring).returncode == 0
    with Network() as net:
        host = Host(net, directory, 0, keyring, "", extra=["-qmp", f"unix:{monitor},server=on,wait=off"])
        host.ready()
        host.monitor = monitor
        yield host


def test_what_is_refused(host, tmp_path, monkeypatch):
    """Whoever is no admin; a file with a wrong line, of which nothing is taken; and any file to a machine in the clear,
    which the tool does not even send."""
    before, wrong = host.keys(), tmp_path / "wrong"
    text = host.keyring.read_text()
    for role in "read", "operate":
        done = host.godwit("keys-set", host.keyring, token=f"{role}-{TOKEN}")
        wanted = "operate" if role == "read" else "admin"
        assert done.returncode == 4 and f"takes a token of the role {wanted}" in done.stderr, done
    assert [key["use"] for key in json.loads(host.godwit("--json", "query-keys", token=f"read-{TOKEN}").stdout)["keys"]
            ] == ["offered"]
    for more, words in (("group 0815\n", "line 2: not a key"), ("peer beta 192.0.2.11\n", "a peer without a key"),
                        (f"peer beta {A}\nkey {'5b' * 32}\n", "line 2: this is our own address"),
                        ("#" * 9000, "expected at most 8192 bytes")):
        wrong.write_text(f"group {'5a' * 32}\n{more}" if more[0] != "#" else text + more)
        done = host.godwit("keys-set", wrong)
        assert done.returncode == 1 and words in done.stderr and "5a5a" not in done.stderr, done
        assert host.keys() == before
    monkeypatch.setenv("GODWIT_INSECURE", "1")
    done = run_to_end([GODWIT, "-H", "192.0.2.1", "keys-set", host.keyring], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "expected a hypervisor with a certificate" in done.stderr, done
    assert "no such file" in host.godwit("keys-set", tmp_path / "none").stderr.lower()


def test_open_to_everybody(tmp_path, keyring):
    """Everybody may do everything, but nobody gives the hypervisor other keys: he could keep all others out."""
    with Network() as net:
        host = Host(net, tmp_path, 0, keyring, "", access="access = open\ninsecure = yes\n")
        host.ready()
        before = host.keys()
        files = {"keys-set": tmp_path / "other", "tokens-set": host.directory / "tokens",
                 "certificate-set": host.directory / "api.pem"}
        assert mkkeys("new", files["keys-set"]).returncode == 0
        for command, file in files.items():
            done = host.godwit(command, file)
            assert done.returncode == 4 and f"{command} takes a token of the role admin, and with" in done.stderr, done
        assert host.keys() == before and "from now on" not in host.machine.log
        host.does("migrate-settle")


def test_a_token_is_taken_away(host, tmp_path):
    """From one request to the next, on a connection that goes on, too. A file is taken that an admin can change again,
    and no other one."""
    people, fewer = host.directory / "tokens", tmp_path / "fewer"
    names = {line.split()[0]: line for line in people.read_text().splitlines()}
    request = f"GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operate-{TOKEN}\r\n\r\n".encode()
    with host.ca.client(host.net.connect(host.address, 443), host.address) as bob:
        bob.sendall(request)
        assert b" 200 " in bob.recv(4096).split(b"\r\n")[0]
        for lines, words in ((names["bob"], "no admin"), ("eve admin 0815", "line 1: not a hash")):
            fewer.write_text(f"{lines}\n")
            done = host.godwit("tokens-set", fewer)
            assert done.returncode == 1 and words in done.stderr, done
        bob.sendall(request)
        assert b" 200 " in bob.recv(4096).split(b"\r\n")[0]
        fewer.write_text("".join(f"{line}\n" for name, line in names.items() if name != "bob"))
        assert host.godwit("tokens-set", fewer, token=f"operate-{TOKEN}").returncode == 4
        host.does("tokens-set", fewer)
        bob.sendall(request)
        assert b" 401 " in bob.recv(4096).split(b"\r\n")[0]
    assert host.godwit("vms", token=f"operate-{TOKEN}").returncode == 4
    assert host.godwit("vms", token=f"read-{TOKEN}").returncode == 0
    host.does("tokens-set", people)
    assert host.godwit("vms", token=f"operate-{TOKEN}").returncode == 0


def test_another_certificate(host):
    """The next connection sees it; a wrong file changes nothing."""
    def shown():
        with host.ca.client(host.net.connect(host.address, 443), host.address) as sock:
            return sock.getpeercert()["serialNumber"]
    before, other = shown(), host.ca.certify("other.pem", host.address, "alpha")
    done = host.godwit("certificate-set", host.ca.file)
    assert done.returncode == 1 and "no private key" in done.stderr and shown() == before, done
    host.does("certificate-set", other)
    assert shown() != before
    host.does("certificate-set", host.directory / "api.pem")
    assert shown() == before
    assert "PRIVATE KEY" not in host.machine.log


def test_what_is_counted(host):
    """Connections of clients apart from those of hypervisors and to a witness, of which there are none."""
    before = host.counts('godwit_tls_handshakes_total{with="clients"}')
    sides = {side.pop("with"): side for side in host.asks("net")["tls"]["connections"]}
    clients = sides.pop("clients")
    assert sides.keys() == {"peers", "witness"} and clients["handshakes"] > before > 0
    assert clients["sent_bytes"] > 0 and clients["received_bytes"] > 0 and clients["handshake_us"] > 0
    assert {count for side in sides.values() for count in side.values()} == {0}


def memory(monitor, path, mib):
    """What a machine with so much memory has in it, by QEMU's monitor at that path."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PROGRAM)
        sock.connect(str(monitor))
        replies = sock.makefile()
        for command, arguments in (("qmp_capabilities", {}), ("pmemsave", {"val": 0, "size": mib << 20,
                                                                           "filename": str(path)})):
            sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            while "return" not in (reply := json.loads(replies.readline())):
                assert "error" not in reply, reply
    return path.read_bytes()


def test_what_stays_in_memory(host, tmp_path):
    """Of a file of keys nothing is left when it is read, but the keys themselves, and of those nothing when they are
    replaced; of a request no token is left."""
    files = [tmp_path / name for name in ("first", "second")]
    keys = []
    for file in files:
        assert mkkeys("new", file).returncode == 0
        keys.append(bytes.fromhex(file.read_text().split()[1]))
        host.does("keys-set", file)
    assert host.godwit("vms", token="no-such-token-" + TOKEN).returncode == 4
    found = memory(host.monitor, tmp_path / "memory", 384)
    assert found.count(keys[1]) > 0  # it is the machine's memory that we see
    lines = [file.read_text().split()[1][:24].encode() for file in files]
    assert [found.count(secret) for secret in (keys[0], *lines, TOKEN.encode())] == [0, 0, 0, 0]


def test_what_was_typed(tmp_path):
    """A token that is typed at the serial monitor is nowhere when it has been looked at, nor is one that was given
    up."""
    tokens(tmp_path / "tokens", TOKEN)
    config = f"monitor = token\n[net]\naddress = {A}/24\n[api]\ntokens = tokens\ninsecure = yes\n{GUESTS}"
    monitor = tmp_path / "qmp"
    with Terminal(tmp_path, "qemu", config=config, options=("--mem", 256),
                  extra=("-qmp", f"unix:{monitor},server=on,wait=off")) as terminal:
        terminal.type("\x03")
        terminal.wait(r"token: $")
        terminal.type("half-of-a-token\x03")
        terminal.wait(r"token: $")
        terminal.type(f"{TOKEN}\r")
        terminal.wait(r"monitor: alice, admin; Ctrl-D leaves\n")
        found = memory(monitor, tmp_path / "memory", 256)
        assert found.count(b"Ctrl-D leaves") > 0
        assert [found.count(secret) for secret in (TOKEN.encode(), b"half-of-a-token")] == [0, 0]
