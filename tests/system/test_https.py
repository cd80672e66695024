# SPDX-License-Identifier: BSD-2-Clause
"""HTTPS (docs/api.md): who knows the CA knows the hypervisor, and nobody reads what the two say. test_api_https.py asks
by it what the API can do.
"""

import contextlib
import hashlib
import re
import socket
import ssl
import subprocess

import pytest
from api import GODWIT
from https import MKKEYS, Authority, secured, tokens
from machine import PROGRAM, TIMEOUT, run_to_end, vm
from network import Network
from test_keys import Tap

ADDRESS, PORT = "10.9.0.2", 443
TOKEN = "correct-horse-battery"
CONFIG = f"[net]\naddress = {ADDRESS}/24\n[api]\ntokens = tokens\ncertificate = api.pem\n"
REQUEST = f"GET /v1/version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
SUITE = "ECDHE-ECDSA-CHACHA20-POLY1305"


class Secure:
    """A hypervisor with a certificate, and the CA that has made it."""

    def __init__(self, net, directory):
        self.net, self.ca, self.other = net, secured(directory, TOKEN, ADDRESS, "alpha"), Authority(directory, "other")
        guest = vm("mover", "mover.elf", memory="16M")
        guest += "[migration]\ninsecure = yes\n"  # the machine does not end with its last guest
        self.machine = net.boot(directory, CONFIG + guest, "qemu")
        self.machine.wait("api: port 443 by HTTPS, by token", TIMEOUT["qemu"])

    def ask(self, ca=None, name=ADDRESS):
        with (ca or self.ca).client(self.net.connect(ADDRESS, PORT), name) as sock:
            sock.sendall(REQUEST)
            return sock.recv(4096)

    def request(self, method, path, token):
        """(head, body) of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        with self.ca.client(self.net.connect(ADDRESS, PORT), ADDRESS) as sock:
            sock.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        return answer.split(b"\r\n\r\n", 1)

    def s_client(self, *arguments, say=b"Q\n"):
        """What OpenSSL's client says about the connection."""
        command = [*self.net.enter, "openssl", "s_client", "-connect", f"{ADDRESS}:{PORT}", *arguments]
        return run_to_end(command, input=say, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode("latin-1")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with Network() as net:
        yield Secure(net, tmp_path_factory.mktemp("https"))


def test_who_knows_the_ca(host):
    """The certificate is for the hypervisor's names, and of its CA. Others are not taken for it."""
    assert host.ask().startswith(b"HTTP/1.1 200")
    assert host.ask(name="alpha").startswith(b"HTTP/1.1 200")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        host.ask(name="10.9.0.3")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        host.ask(host.other)
    assert "tls:" not in host.machine.log  # strangers fill no log


def test_only_what_is_listed(host):
    """One version, one suite, two curves."""
    said = host.s_client("-CAfile", host.ca.file)
    assert f"Cipher is {SUITE}" in said and "Verify return code: 0 (ok)" in said and "TLSv1.2" in said, said
    for more in ("-groups", "P-256"), ("-groups", "X25519:P-256"), ("-cipher", f"AES128-SHA:{SUITE}"):
        assert f"Cipher is {SUITE}" in host.s_client(*more), more
    listed = run_to_end(["openssl", "ciphers", f"ALL:COMPLEMENTOFALL:!{SUITE}:@SECLEVEL=0"], stdout=subprocess.PIPE,
                        text=True).stdout.strip()
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in listed and "PSK-CHACHA20-POLY1305" in listed
    for other in (("-no_tls1_2",), ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
                  ("-tls1_2", "-cipher", f"{listed}:@SECLEVEL=0"), ("-groups", "P-384"), ("-groups", "X448"),
                  ("-tls1_2", "-sigalgs", "ECDSA+SHA384")):
        assert "Cipher is (NONE)" in host.s_client(*other), other


def test_nothing_afterwards(host):
    """No session is taken up again, and nobody begins a second handshake in a connection."""
    said = host.s_client("-tls1_2", "-reconnect")
    assert "Reused" not in said and said.count("New, TLSv1.2") >= 2, said
    assert "Secure Renegotiation IS supported" in said and "Compression: NONE" in said and "No ALPN" in said, said
    said = host.s_client("-tls1_2", say=b"R\n" + REQUEST)
    assert "RENEGOTIATING" in said and "HTTP/1.1 200" not in said, said


def test_nothing_in_the_clear(host):
    """Whoever is on the wire sees no token and no answer. The same eye sees those of a client that forgot TLS."""
    secrets = [TOKEN.encode(), b"HTTP/1.1", b"uptime"]
    with Tap(host.net, "tap0", secrets, PORT) as tap:
        for _ in range(3):
            assert b"uptime" in host.ask()
    assert tap.bytes > 3000 and tap.found == set()
    with Tap(host.net, "tap0", secrets, PORT) as tap, host.net.connect(ADDRESS, PORT) as sock:
        sock.sendall(REQUEST)
        assert b"HTTP" not in sock.recv(4096)
    assert tap.found == {TOKEN.encode(), b"HTTP/1.1"}


HELLO = bytes.fromhex("16030100c8010000c40303")  # the beginning of one


@pytest.mark.parametrize("says", [b"", HELLO, b"\x16\x03\x01\xff\xff" + bytes(20000), b"\x80" * 100, REQUEST],
                         ids=["silent", "half", "large", "noise", "plain"])
def test_strangers_keep_nobody_out(host, says):
    """However many connect and come no further, another one is served, each time."""
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            sock = stack.enter_context(host.net.connect(ADDRESS, PORT))
            with contextlib.suppress(OSError):
                sock.sendall(says)
        for _ in range(5):
            assert host.ask().startswith(b"HTTP/1.1 200")


def test_a_client_that_is_cut_off(host):
    """A request whose connection ends without TLS's own end is not carried out if it is not whole; and the end of a
    connection is no news."""
    sock = host.ca.client(host.net.connect(ADDRESS, PORT), ADDRESS)
    sock.sendall(f"POST /v1/vms/mover/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode())
    with socket.socket(fileno=sock.detach()) as bare:  # no close_notify
        bare.settimeout(PROGRAM)
        bare.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert bare.recv(100) == b""
    assert b"200" in host.ask()
    assert "mover: paused" not in host.machine.log and "tls:" not in host.machine.log


def test_the_tool(host, tmp_path, monkeypatch):
    """It asks the right hypervisor only; an image of all of a guest's memory comes and goes."""
    def godwit(*arguments, ca=host.ca):
        command = [*host.net.enter, GODWIT, "-H", ADDRESS, "-t", TOKEN, "--cacert", ca.file, *arguments]
        return run_to_end(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    monkeypatch.delenv("GODWIT_INSECURE")
    done = godwit("vms", ca=host.other)
    assert done.returncode == 3 and "unable to get local issuer certificate; expected a certificate of the CA in " in \
        done.stderr, done
    image = tmp_path / "image"
    for command in ["vms"], ["save", "mover", image], ["poweroff", "mover"], ["forget", "mover"], ["restore", image]:
        done = godwit(*command)
        assert done.returncode == 0, (command, done)
    assert re.search("^mover +running", godwit("vms").stdout, re.M)
    host.machine.wait("api: alice: save mover", PROGRAM)
    host.machine.wait("api: alice: restore", PROGRAM)


@pytest.mark.parametrize("parts, words", [
    (("mine", "theirs"), "the first certificate is not that of the private key"),
    (("mine",), "no private key, expected one for ECDSA over P-256"),
], ids=["foreign", "keyless"])
def test_a_wrong_file(tmp_path, parts, words):
    """A machine that was told to use a certificate does not go on without."""
    ca = Authority(tmp_path)
    mine, theirs = (ca.certify(name, "alpha").read_text() for name in ("mine", "theirs"))
    text = mine[:mine.index("-----BEGIN PRIVATE")] + (theirs[theirs.index("-----BEGIN PRIVATE"):] if parts[1:] else "")
    (tmp_path / "api.pem").write_text(text)
    tokens(tmp_path / "tokens", TOKEN)
    with Network() as net:
        machine = net.boot(tmp_path, CONFIG, "qemu")
        machine.wait(f"keys: api.pem: {words}", TIMEOUT["qemu"])
        machine.wait("end status=1", PROGRAM)
        assert "PRIVATE KEY" not in machine.log


@pytest.mark.parametrize("method, path, read, operate, admin", [
    ("GET", "/v1/vms", 200, 200, 200),
    ("GET", "/v1/vms/mover", 200, 200, 200),
    ("GET", "/v1/log", 200, 200, 200),
    ("GET", "/metrics", 200, 200, 200),
    ("GET", "/v1/vms/mover/console", 200, 200, 200),
    ("GET", "/v1/dirty-trace-data", 200, 200, 200),
    ("POST", "/v1/dirty-trace-data", 403, 200, 200),
    ("GET", "/v1/nonsense", 404, 404, 404),
    ("POST", "/v1/vms/mover/power-button", 403, 200, 200),
    ("POST", "/v1/vms/mover/console", 403, 200, 200),
    ("POST", "/v1/vms/mover/resume", 403, 409, 409),
    ("POST", "/v1/migrate-settle", 403, 200, 200),
    ("POST", "/v1/images", 403, 409, 409),
    ("GET", "/v1/vms/mover/image?options=x", 403, 400, 400),
    ("POST", "/v1/vms/mover/failover", 403, 409, 409),
    ("POST", "/v1/vms/mover/failover?force=7", 403, 403, 409),
    ("POST", "/v1/vms/mover/unprotect?force=7", 403, 403, 409),
    ("POST", "/v1/vms/mover/resolve?action=force-resume&epoch=7", 403, 403, 409),
])
def test_roles(host, method, path, read, operate, admin):
    """Each role may do what the one before it may, and more. The log has who did it, and no token."""
    for prefix, status in (("read-", read), ("operate-", operate), ("", admin)):
        head, body = host.request(method, path, prefix + TOKEN)
        assert int(head.split()[1]) == status, (prefix, body)
        if status == 403:
            wanted = "admin" if prefix == "operate-" else "operate"
            assert f"takes a token of the role {wanted}, and this one is of the role ".encode() in body
    if path.endswith("power-button"):
        host.machine.wait("api: bob: power-button mover", PROGRAM)
        host.machine.wait("api: alice: power-button mover", PROGRAM)
    assert TOKEN not in host.machine.log


def token_maker(file):
    """mkkeys token, for that file."""
    def mkkeys(*arguments):
        return run_to_end([MKKEYS, "token", file, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    return mkkeys


def test_mkkeys_makes_no_wrong_file_of_tokens(tmp_path):
    """Whoever has edited the file gets one that a hypervisor takes, or an error."""
    file = tmp_path / "tokens"
    mkkeys = token_maker(file)
    line = f"a.b read {hashlib.sha256(b'x').hexdigest()}"
    file.write_text(f"# people\n{line}")  # an editor that does not end the last line
    for name in "axb", "admin":
        assert mkkeys(name, "read").returncode == 0, name
    assert re.fullmatch(rf"# people\n{line}\naxb read [0-9a-f]{{64}}\nadmin read [0-9a-f]{{64}}\n", file.read_text())
    for name in "uplink", "godwit":
        assert mkkeys(name, "read").returncode == 2, name
    file.write_text("# people\n" + "".join(f"n{i} read {i:064x}\n" for i in range(31)))
    assert mkkeys("eve", "read").returncode == 0
    done = mkkeys("mallory", "read")
    assert done.returncode == 2 and "32 tokens" in done.stderr, done


def test_tokens_of_mkkeys(tmp_path):
    """What mkkeys prints is a token, of which the file has the hash only; a name has one token."""
    mkkeys = token_maker(tmp_path / "tokens")
    alice, eve = mkkeys("alice", "admin").stdout.strip(), mkkeys("eve", "read").stdout.strip()
    text = (tmp_path / "tokens").read_text()
    assert len(alice) == len(eve) == 40 and alice != eve and alice not in text
    assert re.fullmatch(r"alice admin [0-9a-f]{64}\neve read [0-9a-f]{64}\n", text)
    for wrong in (("alice", "read"), ("bob", "root"), ("a b", "read"), ("-x", "read"), ("x" * 32, "read")):
        assert mkkeys(*wrong).returncode == 2, wrong
    assert (tmp_path / "tokens").read_text() == text
    with Network() as net:
        machine = net.boot(tmp_path, CONFIG.replace("certificate = api.pem\n", "insecure = yes\n"), "qemu")
        machine.wait("api: port 80, by token", TIMEOUT["qemu"])
        for token, status in ((alice, b"200"), (eve, b"200"), (alice[:-1], b"401"), ("", b"401")):
            with net.connect(ADDRESS, 80) as sock:
                sock.sendall(REQUEST.replace(TOKEN.encode(), token.encode()))
                assert sock.recv(4096).startswith(b"HTTP/1.1 " + status), token


def test_what_mkkeys_can_not_do(tmp_path):
    """It says why, in its own words, and leaves nothing behind."""
    def mkkeys(*arguments, **options):
        return run_to_end([MKKEYS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    keyring, tool, bad = tmp_path / "keyring", tmp_path / "bin", tmp_path / "bad"
    assert mkkeys("new", keyring).returncode == 0
    tool.mkdir()
    for name in "bash", "env", "mktemp", "rm", "dirname":
        (tool / name).symlink_to(f"/usr/bin/{name}")
    bad.with_suffix(".pem").write_text("no certificate")
    bad.with_suffix(".key").write_text("no key")
    before = sorted(tmp_path.iterdir())
    for arguments, words in (
            (("new", keyring), "it is there already"),
            (("new", tmp_path / "none/keyring"), "there is no directory"), (("new", tool), "it is there already"),
            (("token", tool, "alice", "admin"), "it is a directory"),
            (("add", tmp_path / "other"), "there is no such file; mkkeys new makes one"),
            (("certificate", tmp_path / "ca", tmp_path / "api.pem", "alpha"), "mkkeys ca"),
            (("certificate", bad, tmp_path / "api.pem", "alpha"), "bad.key: openssl says: ")):
        done = mkkeys(*arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, (arguments, done)
    two = tmp_path / "bin/two"
    assert mkkeys("new", two).returncode == mkkeys("add", two).returncode == 0
    for command, other in ("add", two), ("swap", keyring):  # what fits one of them alone is done to none
        text = keyring.read_text(), two.read_text()
        done = mkkeys(command, *((keyring, two) if other is two else (two, keyring)))
        assert done.returncode == 2 and f"{other}: {command} does not fit" in done.stderr, done
        assert (keyring.read_text(), two.read_text()) == text
    assert sorted(tool.iterdir())[-1] == two and two.stat().st_mode & 0o777 == 0o600
    done = mkkeys("new", tmp_path / "new", env={"PATH": str(tool)})
    assert done.returncode == 2 and "expected Debian's package openssl" in done.stderr, done
    assert sorted(tmp_path.iterdir()) == before
