# SPDX-License-Identifier: BSD-2-Clause
"""What a hypervisor's API says (docs/api.md), by HTTPS and with a token where it has a certificate. Each thread of a
test has one connection to it, which is kept: a handshake takes an emulated machine longer than many answers.
"""

import contextlib
import http.client
import json
import os
import re
import select
import subprocess
import threading
import time

from machine import PROGRAM, ROOT

GODWIT = ROOT / "build/tools/godwit"
# Seconds of real time for what takes one or two when nobody else uses the machine.
PATIENCE = {"qemu": 180, "bochs": 400}
KEPT = 20  # s for which a connection is used again; a hypervisor ends one that is idle for 30


class Api:
    """The API of a hypervisor that has a net, an address, an emu, and if it has a certificate its ca and a token."""

    def __init__(self):
        self.ca, self.token, self.kept = None, None, {}  # by thread: a connection, and until when it is used

    def connect(self):
        """A socket at which it takes requests."""
        sock = self.net.connect(self.address, 443 if self.ca else 80)
        sock.settimeout(PATIENCE[self.emu])
        return self.ca.client(sock, self.address) if self.ca else sock

    def knows_us(self):
        """Has it shaken hands with us, and seen our token?"""
        try:
            return self.get("/v1/version")
        except OSError:
            return None

    def fields(self):
        """Of a request's header, beside what every client sends."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def head(self, method, path, length=0):
        """A request as it goes over the wire, without its body."""
        fields = {"Host": "x", "Content-Length": length, **self.fields()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode()

    def forget(self):
        """Close the connections that are kept."""
        for connection, _ in self.kept.values():
            connection.close()
        self.kept = {}

    @contextlib.contextmanager
    def connection(self):
        """This thread's. It is kept unless something goes wrong, or the hypervisor has ended it."""
        connection, until = self.kept.pop(threading.get_ident(), (None, 0))
        if connection and (time.monotonic() > until or select.select([connection.sock], [], [], 0)[0]):
            connection.close()
            connection = None
        if not connection:
            connection = http.client.HTTPConnection(self.address)
            connection.sock = self.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.sock:  # not the last answer there
            self.kept[threading.get_ident()] = connection, time.monotonic() + KEPT

    def request(self, method, path, body=b"", **parameters):
        """(status, header, body) of the answer to a request."""
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        with self.connection() as connection:
            connection.request(method, f"{path}?{query}" if query else path, body or None, self.fields())
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def ask(self, method, path, body=b"", **parameters):
        """(status, body) of a request; a body of JSON is parsed."""
        status, header, body = self.request(method, path, body, **parameters)
        return status, json.loads(body) if header.get_content_type() == "application/json" else body

    def get(self, path, **parameters):
        status, body = self.ask("GET", path, **parameters)
        assert status == 200, (path, status, body)
        return body

    def post(self, path, **parameters):
        status, body = self.ask("POST", path, **parameters)
        assert status in (200, 202), (path, status, body)
        return body

    def refused(self, path, **parameters):
        """The words of a POST that must fail, with its status."""
        status, body = self.ask("POST", path, **parameters)
        return status, body["error"]

    def set(self, **parameters):
        """Settings of moves, by their names with _ for -."""
        for key, value in parameters.items():
            self.post("/v1/migrate-set-parameters", parameter=key.replace("_", "-"), value=value)

    def metric(self, name):
        """A number that /metrics shows."""
        return int(re.search(rf"^{re.escape(name)} (\d+)$", self.get("/metrics").decode(), re.M).group(1))

    def environment(self):
        """In which the godwit tool asks it."""
        there = {**os.environ, "GODWIT_HOST": self.address, "GODWIT_INSECURE": "1"}
        if self.ca:
            there |= {"GODWIT_TOKEN": self.token, "GODWIT_CACERT": str(self.ca.file), "GODWIT_INSECURE": "0"}
        return there

    def godwit(self, *arguments, timeout=PROGRAM):
        return subprocess.run([*self.net.enter, GODWIT, *arguments], stdout=subprocess.PIPE, env=self.environment(),
                              stderr=subprocess.PIPE, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
