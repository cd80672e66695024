# SPDX-License-Identifier: BSD-2-Clause
"""The HTTP API and the godwit tool: every call, every error, and clients that mean no good.

Each test runs twice: against the API's code as a program of this machine, under the sanitizers and with two guests that
do not exist; and against the hypervisor in QEMU, over a network, with two guests that do.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest
from api import GODWIT
from https import tokens
from machine import LIFETIME, PROGRAM, ROOT, TIMEOUT, run_to_end, started, vm
from network import Network

TOKEN = "correct-horse-battery"
ADDRESS = "10.9.0.2"
CONFIG = f"""[net]
address = {ADDRESS}/24
[api]
tokens = tokens
insecure = yes
""" + vm("web", "echo.elf", memory="16M") + vm("db", "echo.elf", memory="16M")


class Target:
    """An API with the guests web, which runs, and db, which is paused."""

    def __init__(self, connect, enter=(), machine=None, **environment):  # connect(OWN_PORT=0) makes a connection
        self.connect, self.enter, self.machine = connect, list(enter), machine
        self.environment = dict(os.environ, **environment, GODWIT_TOKEN=TOKEN)  # of the godwit tool

    def godwit(self, *arguments, token=TOKEN, typed=None):
        environment = dict(self.environment, GODWIT_TOKEN=token or "")
        return subprocess.run([*self.enter, GODWIT, *arguments], input=typed, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=environment, timeout=60)

    def spawn(self, *arguments):
        return started([*self.enter, GODWIT, *arguments], stdout=subprocess.PIPE, text=True, env=self.environment)

    def raw(self, data, patience=60):
        """Send bytes, close our side, read all that comes."""
        with self.connect() as sock:
            sock.settimeout(patience)
            sock.sendall(data)
            return read_all(sock)

    def ask(self, method, path, body=b"", token=TOKEN, fields=""):
        """(status, header, body) of one request."""
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}{length}{fields}\r\n"
        return split(self.raw(head.encode() + body))

    def json(self, path):
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def error(self, method, path, **more):
        status, _, body = self.ask(method, path, **more)
        return status, json.loads(body)["error"]


def read_all(sock):
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def split(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer[:200]
    header = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return int(head.split()[1]), header, body


def host_target():
    with started([ROOT / "build/host/api_host", TOKEN], LIFETIME, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, text=True) as program:
        port = int(program.stdout.readline())
        yield Target(lambda own=0: socket.create_connection(("127.0.0.1", port), source_address=("", own)),
                     GODWIT_HOST=f"127.0.0.1:{port}")
        _, errors = program.communicate("", timeout=PROGRAM)
        assert program.returncode == 0 and "Sanitizer" not in errors, errors


def qemu_target(directory, connect=Network.connect, port=80, config=CONFIG, **environment):
    tokens(directory / "tokens", TOKEN)
    with Network() as net:
        machine = net.boot(directory, config, "qemu", cpus=2)
        machine.wait(rf"api: port {port}( by HTTPS)?, by token", TIMEOUT["qemu"])
        machine.wait(r"db: \| echo: tick", TIMEOUT["qemu"])
        target = Target(lambda own=0: connect(net, ADDRESS, port, own), net.enter, machine, GODWIT_HOST=ADDRESS,
                        **environment)
        assert target.ask("POST", "/v1/vms/db/pause")[0] == 200
        yield target
        assert target.json("/v1/version")["name"] == "Godwit"  # nothing that was done to it has hurt it


@pytest.fixture(scope="module", params=["host", "qemu"])
def target(request, tmp_path_factory):
    yield from host_target() if request.param == "host" else qemu_target(tmp_path_factory.mktemp("api"))


def status_of(target, name):
    return target.json(f"/v1/vms/{name}")["status"]


def test_reads(target):
    rows = target.json("/v1/vms")["vms"]
    assert [(row["name"], row["status"]) for row in rows] == [("web", "running"), ("db", "paused")]
    assert target.json("/v1/vms/web")["exits_by_reason"]["cpuid"] > 0
    assert target.json("/v1/version")["version"]
    assert target.json("/v1/memory")["free_kib"] > 0
    assert target.json("/v1/stats")["exits"]
    assert target.json("/v1/net")["address"] == ADDRESS
    assert "pause VM" in [row["command"] for row in target.json("/v1/help")["commands"]]
    assert len(target.json("/v1/log?count=2")["lines"]) == 2


def test_head_has_no_body(target):
    status, header, body = target.ask("HEAD", "/v1/version")
    assert (status, body) == (200, b"") and int(header["Content-Length"]) > 0


def test_pause_and_resume(target):
    answer = json.loads(target.ask("POST", "/v1/vms/web/pause")[2])
    assert (answer["name"], answer["status"]) == ("web", "paused")
    assert status_of(target, "web") == "paused"
    assert target.error("POST", "/v1/vms/web/pause") == (409, "web: cannot pause, it is paused, expected running")
    before = target.json("/v1/vms/web")["exits"]
    time.sleep(0.3)
    assert target.json("/v1/vms/web")["exits"] == before
    assert target.ask("POST", "/v1/vms/web/reset")[0] == 202
    assert status_of(target, "web") == "paused"
    assert target.ask("POST", "/v1/vms/web/resume")[0] == 200
    assert target.error("POST", "/v1/vms/web/resume") == (
        409, "web: cannot resume, it is running, expected paused or suspended")


def test_reset_is_accepted(target):
    resets = target.json("/v1/vms/web")["resets"]
    assert target.ask("POST", "/v1/vms/web/reset")[0] == 202
    deadline = time.monotonic() + PROGRAM
    while target.json("/v1/vms/web")["resets"] == resets:
        assert time.monotonic() < deadline
    assert status_of(target, "web") == "running"


def test_console(target):
    """What is typed reaches the guest, and its answer comes to whoever waits for it."""
    _, header, body = target.ask("GET", "/v1/vms/web/console")
    assert int(header["Console-Next"]) == int(header["Console-Offset"]) + len(body)
    end, seen = int(header["Console-Next"]), b""
    assert json.loads(target.ask("POST", "/v1/vms/web/console", b"x")[2]) == {"written": 1}
    while b"X" not in seen.upper():
        status, header, body = target.ask("GET", f"/v1/vms/web/console?offset={end}&wait=30")
        assert status == 200 and body
        end, seen = int(header["Console-Next"]), seen + body


def test_waiting_ends_without_news(target):
    _, header, _ = target.ask("GET", "/v1/vms/db/console?offset=99999999")
    started = time.monotonic()
    status, _, body = target.ask("GET", f"/v1/vms/db/console?offset={header['Console-Next']}&wait=1")
    assert (status, body) == (200, b"")
    assert time.monotonic() - started >= 0.9


@pytest.mark.parametrize("method, path, status, words", [
    ("GET", "/", 404, "no such path"),
    ("GET", "/v1", 404, "no such path"),
    ("GET", "/v2/vms", 404, "no such path"),
    ("GET", "/v1/nonsense", 404, "no such path"),
    ("GET", "/v1/pause", 404, "no such path"),
    ("POST", "/v1/vms/web/version", 404, "no such path"),
    ("GET", "/v1/vms/nobody", 404, "web, db"),
    ("GET", "/v1/vms/nobody/console", 404, "nobody"),
    ("POST", "/v1/vms/nobody/pause", 404, "nobody"),
    ("GET", "/v1/vms/web/pause", 405, "POST"),
    ("POST", "/v1/vms", 405, "GET"),
    ("DELETE", "/v1/vms/web", 405, "GET"),
    ("POST", "/metrics", 405, "GET"),
    ("GET", "/v1/vms/web/image?options=live,fast", 400, "options: 'fast' is wrong, expected one of live, verify"),
    ("GET", "/v1/log?count=0", 400, "from 1 to 256"),
    ("GET", "/v1/log?count=2&level=loud", 400, "expected err, warn"),
    ("GET", "/v1/log?cuont=2", 400, "expected those of: log [COUNT] [LEVEL] [SINCE]"),
    ("GET", "/v1/vms/web/trace?kinds=io,cpu", 400, "kinds: 'cpu' is wrong, expected all, turn, "),
    ("GET", "/v1/vms/web/trace?count=1001", 400, "from 1 to 1000"),
    ("GET", "/v1/log?wait=x", 400, "expected a number"),
    ("GET", "/v1/version?wait=1", 400, "unknown"),
    ("GET", "/v1/vms/web/console?offset=x", 400, "expected a number"),
    ("GET", "/v1/%zz", 400, "percent"),
    ("GET", "/" + "a" * 600, 414, "too long"),
])
def test_errors(target, method, path, status, words):
    got, text = target.error(method, path)
    assert (got, words in text) == (status, True), (got, text)


def test_token(target):
    for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x"):
        for path in ("/v1/vms", "/metrics", "/nonsense"):
            status, header, _ = target.ask("GET", path, token=token)
            assert (status, header["WWW-Authenticate"]) == (401, "Bearer")
    head, _, _ = target.raw(UNREAD[:200]).partition(b"}")  # of all these requests only the first one has an answer
    assert split(head)[1]["Connection"] == "close"
    assert target.ask("POST", "/v1/vms/web/pause", token="wrong")[0] == 401
    assert status_of(target, "web") == "running"


@pytest.mark.parametrize("request_bytes, status", [
    (b"nonsense\r\n\r\n", 400),
    (b"GET /v1/vms\r\n\r\n", 400),
    (b"GET /v1/vms HTTP/2.0\r\n\r\n", 505),
    (b"GET /v1/vms HTTP/1.1\r\n\r\n", 400),  # no Host
    (b"GET /v1/vms HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    (b"GET http:///v1/vms HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /v1/vms HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /v1/vms HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET /v1/vms HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    (b"GET /v1/\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # a TLS client
    (b"POST /v1/vms/web/pause HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    (b"POST /v1/vms/web/pause HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST /v1/vms/web/pause HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST /v1/vms/web/pause HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
    (b"POST /v1/vms/web/console HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200000, 401),
    (f"POST /v1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 999999\r\n\r\n".encode(), 413),
    (b"GET /v1/vms HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8000 + b"\r\n\r\n", 431),
    (b"GET /v1/vms HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431),
    (b"x" * 5000, 414),
], ids=lambda value: None if isinstance(value, int) else str(value[:40]))  # ids are part of the environment
def test_malformed(target, request_bytes, status):
    """Each is refused with its status, which the client can read whatever it has sent, and the connection ends."""
    got, header, _ = split(target.raw(request_bytes))
    assert (got, header["Connection"]) == (status, "close")


def test_keep_alive_and_pipelining(target):
    """Fifty requests in one breath are answered in order, and the connection is still good."""
    request = "GET /v1/vms/{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN + "\r\n\r\n"
    names = ["web", "db"] * 25
    with target.connect() as sock:
        sock.settimeout(60)
        sock.sendall("".join(request.format(name) for name in names).encode())
        data = b""
        while data.count(b'"exits_by_reason":{') < len(names):
            chunk = sock.recv(65536)
            assert chunk
            data += chunk
        sock.sendall(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").format("web").encode())
        data += read_all(sock)
    assert re.findall(rb'\{"name":"(\w+)"', data) == [name.encode() for name in names + ["web"]]


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n\r\n", b"\n"], ids=["nothing", "one", "two", "bare"])
def test_empty_lines_between_requests(target, between):
    """Some clients end a body with a line end that belongs to no request."""
    head = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    with target.connect() as sock:
        sock.settimeout(60)
        sock.sendall(between + b"POST /v1/vms/web/console " + head + b"Content-Length: 1\r\n\r\nx" + between)
        answer = b""
        while b'{"written":1}' not in answer:
            answer += sock.recv(4096) or pytest.fail(answer.decode())
        sock.sendall(b"GET /v1/version " + head + b"Connection: close\r\n\r\n" + between)
        assert split(read_all(sock))[0] == 200


def test_absolute_target(target):
    """As a client sends it that takes us for a proxy: RFC 9112 wants every server to take it."""
    assert target.json("http://example.org:80/v1/log?count=1")["lines"]
    assert target.ask("GET", "http://[2001:db8::1]/v1/vms/web")[0] == 200
    assert target.ask("GET", "http://example.org")[0] == 404


def test_request_in_small_pieces(target):
    request = (f"POST /v1/vms/web/console HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n"
               "Content-Length: 2\r\n\r\nhi").encode()
    with target.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            sock.sendall(bytes([byte]))
        assert split(read_all(sock))[0] == 200


def test_slow_client_is_timed_out(target):
    """A request that does not arrive within ten seconds; meanwhile others are served."""
    started = time.monotonic()
    with target.connect() as sock:
        sock.settimeout(60)
        sock.sendall(b"GET /v1/vms HTTP/1.1\r\nHost:")
        assert target.ask("GET", "/v1/vms")[0] == 200
        assert split(read_all(sock))[0] == 408
        assert 9 < time.monotonic() - started < 60


def keep_alive(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()


WAIT = keep_alive("/v1/vms/db/console?offset=99999999&wait=30")


# Without a token.
UNREAD = b"GET /v1/vms HTTP/1.1\r\nHost: x\r\n\r\n" * 2000


def clients(target, stack, count, says=b"", hears=b""):
    """That many connections of a client each, which has sent `says` and got an answer with `hears`."""
    opened = []
    for _ in range(count):
        sock = stack.enter_context(target.connect())
        sock.settimeout(PROGRAM)
        sock.sendall(says)
        answer = b""
        while hears not in answer:
            answer += sock.recv(4096) or pytest.fail("closed by the server")
        opened.append(sock)
    return opened


def is_open(sock):
    """Does it still get answers?"""
    try:
        sock.sendall(keep_alive("/v1/version"))
        return sock.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def has_ended(sock):
    """Wait until the server has closed it, without an answer."""
    try:
        return sock.recv(4096) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("says, hears", [(b"", b""), (b"GET /v1/vm", b""), (keep_alive("/v1/version"), b"}"),
                                         (UNREAD, b"401")], ids=["silent", "slow", "idle", "unread"])
@pytest.mark.parametrize("known", [0, 8])
def test_nobody_locks_the_administrator_out(target, known, says, hears):
    """However many clients keep a connection without a use for it, another one is served, each time."""
    with contextlib.ExitStack() as stack:
        clients(target, stack, known, keep_alive("/v1/version"), b"}")
        clients(target, stack, 40 - known, says, hears)
        assert [target.ask("GET", "/v1/version")[0] for _ in range(20)] == [200] * 20


def test_strangers_leave_places(target):
    """Clients without the token take no place from those that have shown it; of these the oldest idle one gives way."""
    with contextlib.ExitStack() as stack:
        known = clients(target, stack, 8, keep_alive("/v1/version"), b"}")
        strangers = clients(target, stack, 40, b"GET /v1/vm")
        assert all(has_ended(sock) for sock in strangers[:32])  # the last has come
        assert all(is_open(sock) for sock in known)
        clients(target, stack, 9, keep_alive("/v1/version"), b"}")
        assert [is_open(sock) for sock in known] == [False] + 7 * [True]


def test_connection_limit(target):
    """If all sixteen have something to do, the seventeenth is told so; when they have gone, there is room again."""
    with contextlib.ExitStack() as stack:
        clients(target, stack, 8, WAIT)
        clients(target, stack, 8, keep_alive("/v1/version") + b"GET", b"}")
        assert target.ask("GET", "/v1/version")[0] == 503
    deadline = time.monotonic() + PROGRAM
    while target.ask("GET", "/v1/version")[0] == 503:
        assert time.monotonic() < deadline


def test_waiter_limit(target):
    """A ninth waiter is refused at first. When the oldest has waited for a second, it has its answer and goes."""
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        waiting = clients(target, stack, 8, WAIT)
        statuses = [target.ask("GET", "/v1/vms/db/console?offset=99999999&wait=1")[0]]
        assert statuses[0] == 429 or time.monotonic() - began > 1
        while statuses[-1] != 200:
            assert time.monotonic() < began + PROGRAM
            statuses.append(target.ask("GET", "/v1/vms/db/console?offset=99999999&wait=1")[0])
        assert split(waiting[0].recv(4096))[0] == 200
        assert target.ask("GET", "/v1/version")[0] == 200


def test_client_that_goes_away(target):
    for data in (b"", b"GET", b"POST /v1/vms/web/console HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"):
        for _ in range(20):
            with target.connect() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not FIN
                sock.sendall(data)
    deadline = time.monotonic() + PROGRAM
    while target.ask("GET", "/v1/version")[0] == 503:
        assert time.monotonic() < deadline


TIME_WAIT = 10  # s, TCP_MSL twice: so long the server's side of a connection that it closed first is there


def connect_from(target, port, deadline):
    """A connection from that port of ours, as soon as its last one is over here."""
    while True:
        try:
            return target.connect(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise


def test_same_port_again(target):
    """The server closes first and waits for stray segments; a client that comes again from its port is served."""
    request = keep_alive("/v1/version").replace(b"Host: x", b"Host: x\r\nConnection: close")
    port, ended = 0, time.monotonic()
    for _ in range(3):
        with connect_from(target, port, ended + TIME_WAIT) as sock:
            port = sock.getsockname()[1]
            sock.sendall(request)
            assert split(read_all(sock))[0] == 200
        before, ended = ended, time.monotonic()
        assert ended - before < TIME_WAIT


def test_log_is_followed(target):
    """Who has had all lines waits for the next; the tool prints each as it comes."""
    log = target.json("/v1/log?count=2")
    assert [line["seq"] for line in log["lines"]] == [log["next"] - 2, log["next"] - 1]
    started = time.monotonic()
    assert target.json(f"/v1/log?since={log['next']}&wait=1")["lines"] == []
    assert time.monotonic() - started >= 0.9
    assert target.json(f"/v1/log?since={log['next'] - 1}&wait=30")["lines"] == log["lines"][1:]
    if not target.machine:
        return  # nothing more is logged there
    with target.spawn("log", "--follow", "1") as tool:
        assert tool.stdout.readline().endswith(log["lines"][1]["text"] + "\n")
        assert target.ask("POST", "/v1/vms/web/pause")[0] == 200
        assert re.fullmatch(r"20\S+Z info  vm: web: paused\n", tool.stdout.readline())
        tool.kill()
    assert target.ask("POST", "/v1/vms/web/resume")[0] == 200


def test_guest_does_not_evict_the_log(target):
    """A guest that prints more lines than the log keeps costs the host none of its own, and all appear, in order.

    (A q would end it.)"""
    if not target.machine:
        pytest.skip("no guest prints there")
    before, letters = target.json("/v1/log?count=256")["lines"], "abcdefghijklmnoprstu" * 15
    assert json.loads(target.ask("POST", "/v1/vms/web/console", letters.encode())[2]) == {"written": len(letters)}
    for letter in letters.upper():
        target.machine.wait(rf"web: \| echo: key {letter}\b", TIMEOUT["qemu"])
    assert target.json(f"/v1/log?since={before[0]['seq']}")["lines"][:len(before)] == before


def test_metrics(target):
    status, header, body = target.ask("GET", "/metrics")
    assert status == 200 and header["Content-Type"].startswith("text/plain")
    assert re.search(rb'^godwit_vm_exits_total\{vm="web",reason="cpuid"\} [1-9]', body, re.M)
    assert b'godwit_vm_status{vm="db",status="paused"} 1' in body
    assert b'godwit_vm_status{vm="db",status="incoming"} 0' in body
    assert re.search(rb'^godwit_port_receive_frames_total\{port="[^"]+"\} \d+$', body, re.M)
    assert re.search(rb'^godwit_vm_dirty_pages_total\{vm="web",producer="pml"\} \d+$', body, re.M)


def test_metrics_please_promtool(target):
    if not shutil.which("promtool"):
        pytest.skip("promtool of the package prometheus is not installed")
    done = run_to_end(["promtool", "check", "metrics"], input=target.ask("GET", "/metrics")[2],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and not done.stdout, done.stdout.decode()


def test_godwit(target):
    assert re.search(r"^web +running", target.godwit("vms").stdout, re.M)
    assert json.loads(target.godwit("--json", "vm", "db").stdout)["status"] == "paused"
    for command in (["stats"], ["net"], ["memory"], ["version"], ["log", "3", "info"], ["metrics"]):
        done = target.godwit(*command)
        assert done.returncode == 0 and done.stdout, done.stderr
    assert target.godwit("completion", "names").stdout.split() == ["web", "db"]
    assert re.search(r"status +paused", target.godwit("pause", "web").stdout)
    assert target.godwit("resume", "web").returncode == 0


def test_godwit_uses_no_proxy(target, monkeypatch):
    """Whatever the environment names as one would be shown the token."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.1)
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setitem(target.environment, name, "http://127.0.0.1:%d" % proxy.getsockname()[1])
        assert target.godwit("vms").returncode == 0
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_names_behind_two_dashes(target):
    for arguments in (["--", "vm", "web"], ["vm", "--", "web"], ["--json", "--", "vm", "--", "web"]):
        done = target.godwit(*arguments)
        assert (done.returncode, "web" in done.stdout) == (0, True), done.stderr
    assert "no virtual machine '-x'" in target.godwit("migrate", "--", "-x", "192.0.2.1").stderr
    assert "no virtual machine '--'" in target.godwit("vm", "--", "--").stderr


def test_a_dash_is_an_underscore(target):
    for name in ("migrate-cancel", "migrate_cancel"):
        assert target.godwit(name, "nobody").stderr.startswith("godwit: no virtual machine 'nobody'")
        assert target.ask("POST", f"/v1/vms/nobody/{name}")[0] == 404
    assert target.godwit("query_peers").returncode == 0


def test_godwit_console(target):
    done = target.godwit("console", "web", typed="z")
    assert done.returncode == 0, done.stderr
    assert "z" in done.stdout.lower()


def test_godwit_console_on_a_terminal(target):
    """Keys before Ctrl-] go to the guest; that one leaves, and what follows it goes nowhere."""
    before = target.ask("GET", "/v1/vms/web/console?offset=99999999")[1]["Console-Next"]
    ours, theirs = os.openpty()
    with started([*target.enter, GODWIT, "console", "web"], stdin=theirs, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, env=target.environment) as tool:
        assert tool.stderr.readline() == b"connected; Ctrl-] leaves\n"
        os.write(ours, b"+\x1d#")  # what no other test types
        tool.communicate(timeout=PROGRAM)
        assert tool.returncode == 0
    os.close(ours)
    os.close(theirs)
    deadline = time.monotonic() + PROGRAM
    while b"+" not in (shown := target.ask("GET", f"/v1/vms/web/console?offset={before}")[2]):
        assert time.monotonic() < deadline, shown
    assert b"#" not in shown


@pytest.mark.parametrize("arguments, token, status, words", [
    (["pause", "db"], TOKEN, 1, "db: cannot pause, it is paused, expected running"),
    (["vm", "nobody"], TOKEN, 1, "there are: web, db"),
    (["vm", "../../x"], TOKEN, 1, "no virtual machine"),
    (["log", "x"], TOKEN, 1, "expected a number"),
    (["frobnicate"], TOKEN, 2, "no command"),
    (["vm"], TOKEN, 2, "usage: godwit vm VM"),
    (["--nonsense"], TOKEN, 2, "see godwit help"),
    (["-H", "127.0.0.1:1", "vms"], TOKEN, 3, "connect"),
    (["vms"], "wrong", 4, "Bearer"),
    (["console", "web"], None, 4, "Bearer"),
])
def test_godwit_errors(target, arguments, token, status, words):
    done = target.godwit(*arguments, token=token, typed="")
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr


def test_godwit_console_takes_long_input(target):
    """The tool waits for a guest that reads slowly, or not for a while, and loses nothing."""
    if not target.machine:
        long = "".join(f"line {number} of many\n" for number in range(3000))  # 54 KiB
        done = target.godwit("console", "web", typed=long)
        assert done.returncode == 0 and long in done.stdout, done.stderr
        return
    assert target.ask("POST", "/v1/vms/web/pause")[0] == 200
    with started([*target.enter, GODWIT, "console", "web"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, text=True, env=target.environment) as tool:
        tool.stdin.write("." * 4999 + "%")  # more than waits for a guest
        tool.stdin.close()
        deadline = time.monotonic() + PROGRAM
        while target.ask("POST", "/v1/vms/web/console", b".")[0] != 503:
            assert time.monotonic() < deadline
        assert target.ask("POST", "/v1/vms/web/resume")[0] == 200
        assert tool.wait(120) == 0, tool.stderr.read()
    seen, end, deadline = b"", 0, time.monotonic() + PROGRAM
    while b"key %" not in seen:
        assert time.monotonic() < deadline
        _, header, body = target.ask("GET", f"/v1/vms/web/console?offset={end}&wait=5")
        end, seen = int(header["Console-Next"]), seen[-8:] + body
        if b"key ." in body:  # it goes on, as fast as it can
            deadline = time.monotonic() + PROGRAM


def test_poweroff(target):
    """Last of all: db ends, web goes on."""
    assert target.ask("POST", "/v1/vms/db/poweroff")[0] == 200
    assert target.error("POST", "/v1/vms/db/resume")[0] == 409
    assert target.error("POST", "/v1/vms/db/console", body=b"x") == (
        409, "db: cannot type, it is off, expected running, paused, suspended or outgoing")
    status, header, _ = target.ask("GET", "/v1/vms/db/console?offset=0")
    assert (status, header["Console-Guest"]) == (200, "off")
    done = target.godwit("console", "db", typed="")
    assert (done.returncode, done.stderr) == (0, "godwit: db is off: its console has come to an end\n")
    done = target.godwit("console", "db", typed="lost")
    assert done.returncode == 1 and done.stderr.endswith("godwit: 4 bytes of input were not taken\n"), done.stderr
    assert status_of(target, "web") == "running"
