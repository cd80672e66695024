# SPDX-License-Identifier: BSD-2-Clause
"""Debian's etcd as a witness, of one member or several, each with an address of its own on the test's bridge. With a CA
it speaks HTTPS, and takes clients that this CA has certified (docs/witness.md).

    with Etcd(net, directory, 3, ca=site.ca) as etcd:
        boot(etcd.config)
        etcd.members[0].stand()
"""

import base64
import contextlib
import json
import re
import signal
import subprocess

import pytest
from machine import LIFETIME, ROOT, started
from network import CLIENT4

PROGRAM = ROOT / "build/deps/etcd/usr/bin/etcd"
PORT = 2379


class Member:
    def __init__(self, net, directory, number, lifetime, ca):
        self.net, self.directory, self.name, self.lifetime = net, directory, f"member{number}", lifetime
        self.ca, scheme = ca, "https" if ca else "http"
        self.address, self.address6 = f"10.9.0.{90 + number}", f"fd09::{90 + number}"
        self.url, self.url6 = f"{scheme}://{self.address}:{PORT}", f"{scheme}://[{self.address6}]:{PORT}"
        self.peer = f"{scheme}://{self.address}:{PORT + 1}"
        # To other members it calls from the address of the bridge, which therefore stands in its certificate, too.
        self.certificate = ca and ca.certify(f"{directory.name}-{self.name}.pem", self.address, self.address6, CLIENT4)
        self.process, self.context = None, None
        net.ip(f"address replace {self.address}/24 dev br0", f"address replace {self.address6}/64 dev br0 nodad")

    def secrets(self):
        """Options: what it shows to clients and to other members, and whom it takes for such."""
        return [option for kind, auth in (("", "--client-cert-auth"), ("peer-", "--peer-client-cert-auth"))
                for option in (f"--{kind}cert-file", self.certificate, f"--{kind}key-file", self.certificate, auth,
                               f"--{kind}trusted-ca-file", self.ca.file)] if self.ca else []

    def start(self, cluster):
        """The log goes to a file beside its data; the data stays from one start to the next."""
        self.context = contextlib.ExitStack()
        log = self.context.enter_context(open(self.directory / f"{self.name}.log", "ab"))
        self.process = self.context.enter_context(started(
            [*self.net.enter, PROGRAM, "--name", self.name, "--data-dir", self.directory / self.name,
             "--listen-client-urls", f"{self.url},{self.url6}", "--advertise-client-urls", self.url,
             "--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer,
             "--initial-cluster", cluster, "--heartbeat-interval", "200", "--election-timeout", "2000",
             *self.secrets()],
            self.lifetime, stdout=log, stderr=subprocess.STDOUT))

    def stop(self):
        if self.context:
            self.go_on()
            self.context.close()
        self.context = None

    def stand(self):
        """As if its machine had hung: its connections stay."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def call(self, method, **arguments):
        """What the gateway answers."""
        body = json.dumps(arguments).encode()
        sock = self.net.connect(self.address, PORT)
        with self.ca.client(sock, self.address, certificate=self.certificate) if self.ca else sock as sock:
            sock.sendall(f"POST /v3/kv/{method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 200 ", head), answer
        return json.loads(body)

    def put(self, key, value):
        self.call("put", key=base64.b64encode(key.encode()).decode(), value=base64.b64encode(value.encode()).decode())

    def get(self, key):
        """The value of a key; None: there is no such key."""
        kvs = self.call("range", key=base64.b64encode(key.encode()).decode()).get("kvs", [])
        return base64.b64decode(kvs[0]["value"]).decode() if kvs else None


class Etcd:
    def __init__(self, net, directory, members=1, lifetime=LIFETIME, ca=None):
        if not PROGRAM.exists():
            pytest.skip(f"no etcd: make {PROGRAM.relative_to(ROOT)} fetches it")
        directory.mkdir()
        self.members = [Member(net, directory, number, lifetime, ca) for number in range(members)]
        self.cluster = ",".join(f"{member.name}={member.peer}" for member in self.members)

    def __enter__(self):
        for member in self.members:
            member.start(self.cluster)
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.stop()

    def config(self, *urls, timeout=5000):
        """A section [witness]; `urls` beside those of the members."""
        urls = " ".join([*(member.url for member in self.members), *urls])
        known = "ca = ca.pem" if self.members[0].ca else "insecure = yes"
        return f"[witness]\nurl = {urls}\ntimeout = {timeout}\n{known}\n"
