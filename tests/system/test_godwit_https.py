# SPDX-License-Identifier: BSD-2-Clause
"""Whom the godwit tool takes for a hypervisor, and what it says to others: nothing."""

import base64
import http.server
import os
import socket
import ssl
import subprocess
import threading

import pytest
from api import GODWIT
from https import Authority, openssl
from machine import PROGRAM, run_to_end, started


class Hypervisor(http.server.BaseHTTPRequestHandler):
    """It has no guests. What it is asked is noted."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Authorization"]))
        body = b'{"vms":[]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, certificate, port=0):
        super().__init__(("127.0.0.1", port), Hypervisor)
        self.asked = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, *_):  # a client that leaves when it has seen our certificate
        pass


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    ca = Authority(tmp_path_factory.mktemp("godwit-https"))
    for name, names in (("right", ("127.0.0.1", "::1")), ("again", ("127.0.0.1",)), ("elsewhere", ("192.0.2.1",))):
        ca.certify(name, *names)
    return ca


@pytest.fixture
def tool(tmp_path):
    """godwit vms at a port, with its own memory of keys."""
    environment = dict(os.environ, GODWIT_TOKEN="secret", GODWIT_KNOWN_HOSTS=str(tmp_path / "a/known_hosts"))
    environment.pop("GODWIT_INSECURE")

    def run(server, *arguments, stdin=subprocess.DEVNULL):
        return run_to_end([GODWIT, "-H", f"127.0.0.1:{server.server_port}", *arguments, "vms"], stdin=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    run.environment, run.known = environment, tmp_path / "a/known_hosts"
    return run


def test_of_the_ca(ca, tool):
    with Server(ca.file.with_name("right")) as server:
        done = tool(server, "--cacert", ca.file)
        assert done.returncode == 0 and server.asked == [("/v1/vms", "Bearer secret")], done
    assert not tool.known.exists()


@pytest.mark.parametrize("which, words", [
    ("elsewhere", "127.0.0.1"), ("expired", "certificate has expired"), ("other", "unable to get local issuer"),
    ("none", "it has no certificate, expected that of a CA"),
])
def test_not_of_the_ca(ca, tool, tmp_path, which, words):
    """A certificate for another name, of another time or another CA."""
    file, certificate = ca.file, ca.file.with_name("right")
    if which == "other":
        file = Authority(tmp_path).file
    elif which == "expired":
        certificate = ca.expired(certificate)
    elif which == "none":
        file = ca.stem.with_suffix(".key")
    elif which == "elsewhere":
        certificate = ca.file.with_name("elsewhere")
    with Server(certificate) as server:
        done = tool(server, "--cacert", file)
        assert done.returncode == 3 and words in done.stderr and server.asked == [], done


def answer(tool, server, word):
    """As on a terminal: the tool asks, and hears this."""
    ours, theirs = os.openpty()
    with started([GODWIT, "-H", f"127.0.0.1:{server.server_port}", "vms"], stdin=theirs, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, text=True, env=tool.environment) as process:
        os.write(ours, word + b"\n")
        _, said = process.communicate(timeout=PROGRAM)
    os.close(ours)
    os.close(theirs)
    return process.returncode, said


def pin_of(certificate):
    """As docs/api.md says."""
    key = openssl("pkey", "-pubin", "-outform", "der", input=openssl("x509", "-in", certificate, "-pubkey", "-noout"))
    return base64.b64encode(openssl("dgst", "-sha256", "-binary", input=key)).decode()


def test_known_by_its_key(ca, tool):
    """Without a CA a person is asked once; then the key is known, and another one is refused."""
    with Server(ca.file.with_name("right")) as server:
        pin, port = pin_of(ca.file.with_name("right")), server.server_port
        done = tool(server)
        assert done.returncode == 3 and "there is no terminal to ask" in done.stderr and pin in done.stderr, done
        status, said = answer(tool, server, b"no")
        assert status == 3 and f"sha256//{pin}" in said and said.endswith("godwit: nothing was sent\n"), said
        assert not tool.known.exists() and server.asked == []
        status, said = answer(tool, server, b"yes")
        assert status == 0 and server.asked == [("/v1/vms", "Bearer secret")], said
        assert tool.known.read_text() == f"127.0.0.1:{port} sha256//{pin}\n"
        assert tool(server).returncode == 0 and len(server.asked) == 2
    with Server(ca.file.with_name("again"), port) as server:
        done = tool(server)
        assert done.returncode == 3 and "ITS KEY HAS CHANGED" in done.stderr and str(tool.known) in done.stderr, done
        assert server.asked == []
        assert tool(server, "--cacert", ca.file).returncode == 0  # the CA knows both


def test_insecure(ca, tool):
    """In the clear only if that is said. The hypervisor may have a certificate, or none."""
    with Server(ca.file.with_name("right")) as server, http.server.HTTPServer(("127.0.0.1", 0), Hypervisor) as plain:
        done = tool(server, "--insecure")
        assert done.returncode == 3 and "one with a certificate is asked without --insecure" in done.stderr, done
        assert server.asked == []
        plain.asked = []
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        done = tool(plain)
        assert done.returncode == 3 and "one without a certificate is asked with --insecure" in done.stderr, done
        with socket.create_server(("127.0.0.1", 0)) as silent:  # as our API, which waits for the request's end
            for options in ((), ("--cacert", ca.file)):
                done = tool(plain, "-H", f"127.0.0.1:{silent.getsockname()[1]}", *options)
                assert done.returncode == 3 and "without a certificate is asked with --insecure" in done.stderr, done
        done = tool(plain, "-H", f"http://127.0.0.1:{plain.server_port}")
        assert done.returncode == 2 and "is in the clear" in done.stderr, done
        tool.environment["GODWIT_INSECURE"] = "1"
        assert tool(plain, "--cacert", ca.file).returncode == 3
        assert plain.asked == []
        assert tool(server, "--cacert", ca.file).returncode == 0
        assert tool(plain, "--insecure").returncode == 0 and len(plain.asked) == 1
        plain.shutdown()
