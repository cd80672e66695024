# SPDX-License-Identifier: BSD-2-Clause
"""A witness by HTTPS: which servers a hypervisor believes, and what whoever stands in the place of one can do."""

import base64
import contextlib
import re
import socket
import ssl
import threading

import pytest
from etcd import PORT, Etcd
from failover import QUIET, SHORT, Client, Pair
from https import Authority
from machine import TIMEOUT, vm
from migration import Site
from test_keys import Tap
from test_witness import measure, member, wait_member

GUEST = vm("web", "mover.elf", memory="8M")
HERE = "10.9.0.1"
KEY = base64.b64encode(b"godwit/vm")  # so a question begins with it


class Server:
    """Answers at a port of the test's address: by TLS with that certificate, and asks for one of that CA; None: for
    none. Without a certificate by HTTP."""

    def __init__(self, net, port, certificate=None, ca=None):
        self.url, self.context = f"https://{HERE}:{port}", None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        if ca:
            self.context.load_verify_locations(ca.file)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = net.socket()
        self.listener.bind((HERE, port))
        self.listener.listen()
        self.heard = b""
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), sock:  # what is wrong is for the client to say
                with self.context.wrap_socket(sock, server_side=True) if self.context else sock as said:
                    self.heard += said.recv(4096)
                    said.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "site") as the_site:
        yield the_site


@contextlib.contextmanager
def served(site, tmp_path, *servers):
    """Host a with an etcd and these servers, (certificate, CA), as its witness; gives them, which end with the test."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(contextlib.closing(Server(site.net, 7000 + number, *how)))
                   for number, how in enumerate(servers)]
        etcd = stack.enter_context(Etcd(site.net, tmp_path / "etcd", ca=site.ca))
        site.a.boot(GUEST + etcd.config(*(server.url for server in servers)))
        site.a.ready()
        wait_member(site.a, 0, "answers")
        yield servers


def bad_members(site, tmp_path, says, *servers):
    """Each is silent, for one of these reasons, and has heard no question; the etcd answers."""
    with served(site, tmp_path, *servers) as servers:
        for number, (server, words) in enumerate(zip(servers, says), 1):
            assert words in wait_member(site.a, number, "silent")["error"]
            site.a.wait_for("the log says so",
                            lambda: re.search(f"witness: {server.url}: .*{words}", site.a.machine.log))
            assert server.heard == b"" or not server.context
        assert measure(site.a, 5)["status"] == "completed"
        assert member(site.a)["status"] == "answers" and site.a.guests() == {"web": "running"}
        assert site.a.metric("godwit_tls_witness_faults_total") >= len(says)
        assert site.a.metric('godwit_tls_handshakes_total{with="witness"}') > 0
        assert "tls:" not in site.a.machine.log  # all of it is said of the witness


def test_bad_certificates(site, tmp_path):
    """Of another CA, for another address, expired, and none at all."""
    foreign, good = Authority(tmp_path, "foreign"), site.ca.certify("here.pem", HERE)
    bad_members(site, tmp_path,
                ["no server's certificate that our CA", "not for this address", "has expired", "speaks no TLS"],
                (foreign.certify("stranger.pem", HERE), site.ca), (site.ca.certify("there.pem", "10.9.0.77"), site.ca),
                (site.ca.expired(good), site.ca), ())


def test_bad_judges(site, tmp_path):
    """One that wants no certificate of ours, and one that takes it for none."""
    foreign, good = Authority(tmp_path, "foreign"), site.ca.certify("here.pem", HERE)
    bad_members(site, tmp_path, ["asks for no certificate of ours", "refuses our certificate"],
                (good, None), (good, foreign))


def test_https_by_http(site, tmp_path):
    """An etcd that speaks HTTPS is asked in the clear."""
    with Etcd(site.net, tmp_path / "etcd", ca=site.ca) as etcd:
        one = etcd.members[0]
        site.a.boot(f"[witness]\nurl = {one.url.replace('https', 'http')}\ninsecure = yes\ntimeout = 5000\n")
        site.a.ready()
        assert "does it speak HTTPS?" in wait_member(site.a, 0, "silent")["error"]


def test_nothing_in_the_clear(site, tmp_path):
    """Whoever is on the wire sees no key of a guest, and no value. The same eye sees them in the clear."""
    with Etcd(site.net, tmp_path / "etcd", ca=site.ca) as etcd:
        one = etcd.members[0]
        site.a.boot(GUEST + etcd.config())
        secrets = [KEY, base64.b64encode(b"1 owner 1"), b"godwit/vm", b"/v3/kv", b"cluster_id"]
        with Tap(site.net, "tap0", secrets, PORT) as tap:
            site.a.ready()
            wait_member(site.a, 0, "answers")
            [row] = site.a.wait_for("it is read", lambda: [row for row in site.a.get("/v1/witness")["guests"]
                                                           if row["read_ms_ago"]])
            measure(site.a, 5)
        assert one.get(row["key"]).startswith("1 owner ")
        assert tap.bytes > 5000 and tap.found == set()
    with Etcd(site.net, tmp_path / "clear") as etcd:
        site.b.boot(vm("other", "mover.elf", memory="8M") + etcd.config())
        with Tap(site.net, site.b.tap, secrets, PORT) as tap:
            site.b.ready()
            wait_member(site.b, 0, "answers")
            site.b.wait_for("it is read", lambda: site.b.get("/v1/witness")["guests"][0]["read_ms_ago"])
        assert set(secrets) - tap.found <= {b"godwit/vm"}  # it is said in base64


def test_in_bochs(site, tmp_path):
    """Once: certificates take 2 s to verify there."""
    with Etcd(site.net, tmp_path / "etcd", ca=site.ca) as etcd:
        site.a.boot(etcd.config(timeout=10000), emu="bochs")
        site.a.machine.wait(f"witness: {etcd.members[0].url} answers in", TIMEOUT["bochs"])


def test_an_impostor(tmp_path):
    """Somebody else stands in the witness's place, and would agree to anything; the machines no longer hear each other.
    They ask, and neither believes it, so that the guest stands; when the witness is back, one of them goes on."""
    with Pair(tmp_path) as pair, contextlib.ExitStack() as stack:
        pair.protect(limit=SHORT)
        one = pair.etcd.members[0]
        with Client(pair.net) as client:
            client.goes_on()
            with pair.struck() as machines:
                one.stop()
                other = stack.enter_context(Etcd(pair.net, tmp_path / "other", ca=Authority(tmp_path, "foreign")))
                pair.part()
            for machine in machines:
                pair.wait(machine, "suspended")
                machine.wait_for("it has seen who answers there", lambda: "our CA" in member(machine)["error"])
            assert other.members[0].get(pair.key) is None
            stack.close()
            one.start(pair.etcd.cluster)
            owner, _ = pair.owner()
            assert owner in machines
            client.goes_on()
            pair.set_limit(QUIET)
            pair.part(False)
            pair.protected()
            client.goes_on()
