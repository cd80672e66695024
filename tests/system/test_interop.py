# SPDX-License-Identifier: BSD-2-Clause
"""Other people's TLS against ours, at both ports and in both directions (docs/keys.md "The connection", docs/api.md
"HTTPS"): what they are offered, and nothing else; whom they don't believe; what somebody between them does; and what is
on the wire meanwhile.
"""

import contextlib
import http.client
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest
from api import GODWIT
from hello import (ALERT, DATA, ECDSA_SHA256, HANDSHAKE, MORE, P256, TLS1_2, X25519, accept_hello, answer, hello,
                   numbers, read_offer, records, taken)
from https import Authority, tokens
from machine import PROGRAM, run_to_end, started, vm
from migration import CLIENT4, Host, Site, beats, move
from test_keys import PORT, SUITE, Tap, checkpoints, holds_a_page, identity_of, mkkeys, protect
from test_migrate_port import header, new_id

API = 443
TOKEN = "correct-horse-battery"
MOVER = vm("mover", "mover.elf", memory="16M", cmdline="pages=2000")
WELCOME = b"GODWITMG"


class Secured(Host):
    """One that has a keyring, tokens and a certificate of its own."""

    def start(self, ca, certificate, keyring, guests=""):
        directory = self.site.directory / self.name
        directory.mkdir()
        self.ca, self.token, self.emu = ca, TOKEN, "qemu"
        shutil.copy(certificate, directory / "api.pem")
        shutil.copy(keyring, directory / "keyring")
        tokens(directory / "tokens", TOKEN)
        config = (f"[net]\naddress = {self.address}/24\n[api]\ntokens = tokens\ncertificate = api.pem\n"
                  f"[migration]\nheartbeat-limit = 60000\n[keys]\nname = host-{self.name}\nkeyring = keyring\n")
        self.machine = self.site.net.boot(directory, config + guests, "qemu", "virtio",
                                          f"52:54:00:00:00:0{self.name}", self.tap)

    def connect(self):
        """Its certificate may have expired."""
        return self.ca.client(self.net.connect(self.address, API), self.address, at_any_time=True)

    def faults(self, *reasons):
        """How many handshakes and connections of hypervisors came to nothing, for these reasons or for any."""
        faults = self.get("/v1/net")["tls"]["faults"]
        return sum(faults[reason] for reason in reasons or faults)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Host a, with a guest, and b, whose certificate has expired."""
    directory = tmp_path_factory.mktemp("interop")
    ca, keyring = Authority(directory), directory / "keyring"
    assert mkkeys("new", keyring).returncode == 0
    right = ca.certify("right.pem", "10.9.0.2", "10.9.0.4")
    with Site(directory) as site:
        site.a, site.b = site.hosts = [Secured(site, host.name, host.tap) for host in site.hosts]
        site.ca, site.key, site.wrong_ca = ca, keyring, Authority(directory, "wrong")
        site.a.start(ca, right, keyring, MOVER)
        site.b.start(ca, ca.expired(right), keyring)
        site.a.ready()
        site.b.ready()
        yield site


def here(site, port):
    """Where others wait for a hypervisor that comes as a client."""
    listener = site.net.socket()
    listener.settimeout(PROGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((CLIENT4, port))
    listener.listen()
    return listener


def read_until(program, words):
    """What it says, up to these words."""
    said = b""
    while words not in said:
        piece = os.read(program.stdout.fileno(), 65536)
        assert piece, said
        said += piece
    return said


def gnutls(site, host, port, *arguments):
    """GnuTLS's client, which hears us until it is left."""
    return started([*site.net.enter, "gnutls-cli", "-p", port, *arguments, host.address], stdin=subprocess.PIPE,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


# --- What it costs ------------------------------------------------------------------------------------------------

IDLE = 32768  # bytes of host memory at most, for each connection that says nothing


def used(host):
    """Bytes."""
    return host.metric('godwit_memory_bytes{state="used"}')


def test_idle_connections_are_cheap(site):
    """All places of the API, whose clients have shown a token; the places in which a hypervisor's port receives; and as
    many handshakes as one address may have. This comes first: later the host's heap has grown already."""
    identity, key = identity_of(site.key, "idle", site.a)
    command = [*site.net.enter, "openssl", "s_client", "-connect", f"{site.a.address}:{PORT}", "-tls1_2", "-cipher",
               SUITE, "-psk", key, "-psk_identity", identity]
    with contextlib.ExitStack() as stack:
        def ask():
            api = http.client.HTTPConnection(site.a.address)
            api.sock = stack.enter_context(site.a.connect())
            api.request("GET", "/v1/version", headers=site.a.fields())
            assert b"uptime" in api.getresponse().read()

        def connect():
            client = stack.enter_context(started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            read_until(client, b"Verify return code")

        def begin():
            sock = stack.enter_context(site.net.connect(site.a.address, PORT))
            sock.sendall(hello())
            assert next(records(sock))[0] == HANDSHAKE

        for what, count in ((ask, 15), (connect, 8), (begin, 32)):  # the 16th is our own
            before = used(site.a)
            for _ in range(count):
                what()
            grown = used(site.a) - before
            print(f"{what.__name__}: {count} connections, {grown >> 10} KiB")
            assert grown <= count * IDLE, (what, grown)


# --- Other clients ------------------------------------------------------------------------------------------------

def test_gnutls_as_a_hypervisor(site):
    """With the key it is heard; without what is listed it is not."""
    identity, key = identity_of(site.key, "gnutls", site.a)
    with_key = ["--pskusername", identity, "--pskkey", key, "--priority"]
    with gnutls(site, site.a, PORT, *with_key, "NORMAL:+ECDHE-PSK") as client:
        assert b"(ECDHE-X25519)-(CHACHA20-POLY1305)" in read_until(client, b"Simple Client Mode")
        client.stdin.write(header(new_id(), versions=(77, 78)))
        client.stdin.flush()
        read_until(client, WELCOME)
    site.a.machine.wait(" is gnutls", PROGRAM)
    for less in "-CHACHA20-POLY1305", "-GROUP-X25519", "-VERS-TLS1.2":
        with gnutls(site, site.a, PORT, *with_key, f"NORMAL:+ECDHE-PSK:{less}") as client:
            assert b"Handshake was completed" not in client.stdout.read(), less


def test_gnutls_asks_the_api(site):
    """It believes who has a certificate of the CA, and not an expired one."""
    request = f"GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    with gnutls(site, site.a, API, f"--x509cafile={site.ca.file}") as client:
        assert b"(ECDHE-X25519)-(ECDSA-SHA256)-(CHACHA20-POLY1305)" in read_until(client, b"Simple Client Mode")
        client.stdin.write(request.encode())
        client.stdin.flush()
        assert b"HTTP/1.1 200" in read_until(client, b"uptime")
    for host, ca, words in (site.b, site.ca, b"expired certificate"), (site.a, site.wrong_ca, b"issuer is unknown"):
        with gnutls(site, host, API, f"--x509cafile={ca.file}") as client:
            said = client.stdout.read()
            assert words in said and b"Handshake was completed" not in said, said


def curl(site, host, ca):
    command = ["curl", "--silent", "--show-error", "--cacert", ca.file, "-H", f"Authorization: Bearer {TOKEN}",
               "-X", "POST", f"https://{host.address}/v1/migrate-settle"]
    return run_to_end([*site.net.enter, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def godwit(site, host, ca):
    command = [*site.net.enter, GODWIT, "-H", host.address, "-t", TOKEN, "--cacert", ca.file, "migrate-settle"]
    environment = {name: value for name, value in os.environ.items() if name != "GODWIT_INSECURE"}
    return run_to_end(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("ask", [curl, godwit])
def test_whom_clients_believe(site, ask):
    """A hypervisor with a certificate of their CA; neither one whose has expired, nor one of another CA, which never
    hears what it was to do."""
    done = ask(site, site.a, site.ca)
    assert done.returncode == 0, done
    site.a.machine.wait("api: alice: migrate-settle", PROGRAM)
    for host, ca, words in (site.b, site.ca, "expired"), (site.a, site.wrong_ca, "local issuer"):
        said = host.machine.log.count("alice: migrate-settle")
        done = ask(site, host, ca)
        assert done.returncode not in (0, 1) and words in done.stderr and not done.stdout, done
        host.get("/v1/version")
        assert host.machine.log.count("alice: migrate-settle") == said


# --- Other servers ------------------------------------------------------------------------------------------------

def stays(host):
    """The guest's move to our place has failed, and it goes on."""
    host.wait_status("mover", "failed")
    beats(host)


@pytest.mark.parametrize("server", ["openssl", "gnutls"])
def test_other_servers_of_hypervisors(site, tmp_path, server):
    """A hypervisor that is told to move its guest to another implementation, which has the key, begins to."""
    identity, key = identity_of(site.key, "host-a", site.a)
    identity = identity.replace(site.a.address, CLIENT4)
    (tmp_path / "keys").write_text(f"{identity}:{key}\n")
    command = {"openssl": ["openssl", "s_server", "-accept", PORT, "-nocert", "-tls1_2", "-psk", key, "-psk_identity",
                           identity, "-cipher", "PSK", "-serverpref"],
               "gnutls": ["stdbuf", "-oL", "gnutls-serv", "-p", PORT, "--echo", "--pskpasswd", tmp_path / "keys",
                          "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2:+ECDHE-PSK"]}[server]
    with started([*site.net.enter, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.STDOUT) as program:
        read_until(program, {"openssl": b"ACCEPT", "gnutls": b"port 4900...done"}[server])
        site.a.post("/v1/vms/mover/migrate", dest=CLIENT4)
        if server == "openssl":
            said = read_until(program, WELCOME)
            assert SUITE.encode() in said and b"warning" not in said, said
        else:
            said = read_until(program, b"ECDHE-PSK")  # behind all else of this
            assert identity.encode() in said and b"CHACHA20-POLY1305" in said, said
    stays(site.a)


def server_hello(version=TLS1_2, suite=0xCCAC, compression=0):
    body = struct.pack("!H32sBHBH", version, b"\x18" * 32, 0, suite, compression, 0)
    return struct.pack("!BHHB", 22, TLS1_2, len(body) + 4, 2) + len(body).to_bytes(3) + body


@pytest.mark.parametrize("choice", [{"version": 0x0302}, {"suite": 0xCCA9}, {"suite": 0x00AE}, {"compression": 1}],
                         ids=str)
def test_a_hypervisor_offers_what_is_listed(site, choice):
    """As a client, too: one version, suite and curve. A server that chooses another one is refused."""
    failed = site.a.faults("foreign")
    with here(site, PORT) as listener:
        site.a.post("/v1/vms/mover/migrate", dest=CLIENT4)
        sock, offer = accept_hello(listener)
        with sock:
            version, suites, compressions, extensions = read_offer(offer)
            assert version == TLS1_2 and suites == {0xCCAC, 0x00FF} and compressions == b"\0"  # 00FF: RFC 5746
            assert extensions[10] == numbers([X25519]) and set(extensions) <= {10, 11, 13, 23}, extensions
            sock.sendall(server_hello(**choice))
            assert [kind for kind, _ in records(sock)] in ([], [ALERT])
    stays(site.a)
    assert site.a.faults("foreign") == failed + 1


# --- What is taken ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("port, suite, groups", [(PORT, 0xCCAC, {X25519}), (API, 0xCCA9, {X25519, P256})])
def test_only_what_is_listed(site, port, suite, groups):
    """Of all numbers that there may be: one version, one suite, these curves, one way to sign, and no extension that
    changes anything."""
    def ask(**offer):
        return answer(site.net.connect(site.a.address, port), hello(**offer))

    assert taken(range(65536), lambda some: ask(suites=some), "suite") == {suite}
    assert taken(range(65536), lambda some: ask(groups=some), "group") == groups
    said = ask(more=MORE)
    assert said.done and said.compression == 0 and said.extensions <= {11, 23, 0xFF01}, said
    for version in 0x0002, 0x0200, *range(0x0300, 0x0306), 0x0399, 0x7F1C, 0xFEFD, 0xFFFF:
        said = ask(version=version)
        assert said.done == (version >= TLS1_2) and said.version in ([TLS1_2] if said.done else [0, TLS1_2]), version
    assert not ask(groups=()).done
    if port == API:
        assert taken(range(65536), lambda some: ask(signatures=some), "signature") == {ECDSA_SHA256}
        assert not ask(signatures=()).done
    beats(site.a)


# --- Somebody between ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("port", [PORT, API])
def test_handshakes_that_are_cut_short(site, port):
    """Whatever of a client's first words comes, and whatever comes behind them in the place of what should: nothing is
    let in, each is counted, and nothing of it is left."""
    whole = hello()
    behind = [b"\x14\3\3\0\1\1",                   # ChangeCipherSpec, before there are keys
              b"\x16\3\3\0\4\x14\0\0\0",           # Finished, without keys
              b"\x16\3\3\0\4\x10\0\0\0",           # ClientKeyExchange without anything in it
              b"\x16\3\3\0\x08\x10\0\0\4\xff\xff00",  # ... with more than the message holds
              b"\x17\3\3\0\x20" + bytes(32),         # data
              b"\x15\3\3\0\2\2\x28",                 # an alert
              whole]                                   # the same again
    ends = [lambda sock: sock.shutdown(socket.SHUT_WR),
            lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) or sock.close()]
    cases = [(whole[:at], end) for at in (0, 1, 4, 5, 6, 11, 43, 46, 60, len(whole) - 1) for end in ends]
    cases += [(whole + words, ends[0]) for words in behind]

    def faults():
        return site.a.faults() if port == PORT else site.a.get("/v1/net")["tls"]["client_faults"]

    def active():
        return [row["active"] for row in site.a.get("/v1/net")["tls"]["connections"]]
    before = faults(), active()
    for words, end in cases:
        with site.net.connect(site.a.address, port) as sock, contextlib.suppress(OSError):
            sock.sendall(words)
            end(sock)
            assert all(kind in (ALERT, HANDSHAKE) for kind, _ in records(sock))
    site.a.wait_for("they are counted", lambda: faults() == before[0] + len(cases))
    assert active() == before[1]


class Meddler:
    """A way to a hypervisor's port that keeps back what the client says behind its handshake, in records."""

    def __init__(self, site, host):
        self.listener = here(site, 0)
        self.port = self.listener.getsockname()[1]
        self.server = site.net.connect(host.address, PORT)
        self.said, self.held = b"", []
        self.more = threading.Condition()
        self.threads = [threading.Thread(target=self.listen), threading.Thread(target=self.answer)]

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        for sock in (self.server, self.client, self.listener):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for sock in (self.server, self.client, self.listener):
            sock.close()

    def listen(self):
        self.client, _ = self.listener.accept()
        self.threads[1].start()
        with contextlib.suppress(OSError):
            for kind, body in records(self.client):
                record = struct.pack("!BHH", kind, TLS1_2, len(body)) + body
                with self.more:
                    if kind == DATA:
                        self.held.append(record)
                    else:
                        self.said += record
                        self.server.sendall(record)
                    self.more.notify_all()

    def answer(self):
        with contextlib.suppress(OSError):
            while data := self.server.recv(65536):
                self.client.sendall(data)
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def wait(self, condition):
        with self.more:
            assert self.more.wait_for(condition, PROGRAM)


@contextlib.contextmanager
def session(site, host):
    """A connection with the key, whose two records have not arrived yet."""
    identity, key = identity_of(site.key, "between", host)
    with Meddler(site, host) as way:
        command = ["openssl", "s_client", "-connect", f"{CLIENT4}:{way.port}", "-tls1_2", "-cipher", SUITE, "-psk", key,
                   "-psk_identity", identity, "-quiet"]
        with started([*site.net.enter, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                     stderr=subprocess.DEVNULL) as client:
            words = header(new_id(), versions=(77, 78))
            for count, part in enumerate((words[:40], words[40:]), 1):
                client.stdin.write(part)
                client.stdin.flush()
                way.wait(lambda: len(way.held) == count)
            yield way, client


def flipped(record):
    return record[:20] + bytes([record[20] ^ 1]) + record[21:]


@pytest.mark.parametrize("meddle", [
    lambda one, two: one + one + two, lambda one, two: two + one, lambda one, two: two,
    lambda one, two: flipped(one) + two, lambda one, two: one[:-1] + two,
], ids=["twice", "reordered", "missing", "changed", "shortened"])
def test_records_on_the_way(site, meddle):
    """Records that somebody on the way repeats, swaps, leaves out or changes end the connection, and it is counted."""
    changed = site.a.faults("changed")
    with session(site, site.a) as (way, client):
        way.server.sendall(meddle(*way.held))
        assert WELCOME not in client.stdout.read()
    assert site.a.faults("changed") == changed + 1


def test_a_connection_that_is_said_again(site):
    """It is heard when it is said; what was recorded is nothing in another connection."""
    with session(site, site.a) as (way, client):
        way.server.sendall(b"".join(way.held))
        read_until(client, WELCOME)
        recorded = way.said + b"".join(way.held)
    before = site.a.faults("key")
    with site.net.connect(site.a.address, PORT) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(recorded)
        assert all(kind != DATA for kind, _ in records(sock))
    site.a.wait_for("it is counted", lambda: site.a.faults("key") == before + 1)


def test_nothing_afterwards(site):
    """Nobody begins a second handshake in a connection of hypervisors, and no session is taken up again."""
    identity, key = identity_of(site.key, "again", site.a)
    changed = site.a.faults("changed")
    command = [*site.net.enter, "openssl", "s_client", "-connect", f"{site.a.address}:{PORT}", "-tls1_2", "-cipher",
               SUITE, "-psk", key, "-psk_identity", identity]
    done = run_to_end(command, input=b"R\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert b"RENEGOTIATING" in done.stdout and WELCOME not in done.stdout, done.stdout
    site.a.wait_for("it is counted", lambda: site.a.faults("changed") == changed + 1)
    done = run_to_end([*command, "-reconnect"], input=b"Q\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert b"Reused" not in done.stdout and done.stdout.count(b"New, TLSv1.2") >= 2, done.stdout


# --- On the wire --------------------------------------------------------------------------------------------------

def test_nothing_in_the_clear(site):
    """A guest's move there and back, its protection, and what the API is asked: whoever is on the wire sees neither the
    guest's memory, nor keys, nor tokens, nor answers, and in connections no name of a guest. (Claims on the link name
    guests. test_keys.py and test_https.py see all of it where it is in the clear.)"""
    a, b = site.a, site.b
    key = re.search(r"group (\w+)", site.key.read_text())[1]
    secrets = [WELCOME, TOKEN.encode(), b"HTTP/1.1", b"strayed", key.encode(), bytes.fromhex(key), holds_a_page]
    with Tap(site.net, b.tap, secrets) as link, Tap(site.net, b.tap, [*secrets, b"mover"], PORT, API) as tap:
        move(a, b, "mover", "verify")
        beats(b)
        assert "mover" in b.guests()
        move(b, a, "mover", "post-copy")
        protect(a, b, "mover")
        checkpoints(a, "mover")
        a.post("/v1/vms/mover/unprotect")
    assert tap.bytes > 1 << 20 and link.bytes > tap.bytes
    assert tap.found == set() and link.found == set()
    beats(a)
