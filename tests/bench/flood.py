# SPDX-License-Identifier: BSD-2-Clause
"""A flood of handshakes from strangers: clients of several addresses, who connect to ports of hypervisors as fast as
they can, begin a handshake of TLS and say no more, or go on with it without having a key.

    flood = Flood(net, [("10.9.0.2", 4900), ("10.9.0.4", 443)], identity)
    flood.start()
    ...
    flood.stop()      # {"seconds": ..., "processor": s, "begun": connections, "answered": of them, "wrong": ..., ...}

It runs in a process of its own, in the namespace of `net`, with the lowest priority: it takes what processor time the
emulators leave. `identity` is what a client of the group says (docs/keys.md "The connection"): whoever listens knows
it, and only with the right one does a server at port 4900 make its second multiplication.
"""

import errno
import json
import os
import resource
import select
import socket
import struct
import subprocess
import sys
import time

PEERS = 4900
SOURCES = [f"10.9.0.{last}" for last in range(101, 125)]  # more than strangers have places
AT_A_TIME = 40       # connections to each port, of each kind
HANDSHAKE, CHANGE_CIPHER, SERVER_HELLO_DONE = 22, 20, 14
PSK_SUITE, ECDSA_SUITE = 0xccac, 0xcca9  # with CHACHA20-POLY1305: ECDHE-PSK, ECDHE-ECDSA (RFC 7905)
POINT = bytes([9] + 31 * [0])            # of the curve x25519: its base


def record(kind, body):
    return struct.pack("!BHH", kind, 0x0303, len(body)) + body


def message(kind, body):
    return record(HANDSHAKE, bytes([kind]) + struct.pack("!I", len(body))[1:] + body)


def extension(kind, body):
    return struct.pack("!HH", kind, len(body)) + body


def client_hello(port):
    """The first words of a client, which are right: a server multiplies on its curve to answer them."""
    suite = PSK_SUITE if port == PEERS else ECDSA_SUITE
    extensions = (extension(10, b"\0\4\0\x1d\0\x17") + extension(11, b"\1\0") + extension(13, b"\0\4\4\3\5\3")
                  + extension(0xff01, b"\0"))
    return message(1, b"\3\3" + os.urandom(32) + b"\0" + struct.pack("!HH", 2, suite) + b"\1\0"
                   + struct.pack("!H", len(extensions)) + extensions)


def wrong_end(port, identity):
    """What a client says then that has no key: its part of the curve is right, and its Finished is not."""
    name = struct.pack("!H", len(identity)) + identity if port == PEERS else b""
    return (message(16, name + bytes([len(POINT)]) + POINT) + record(CHANGE_CIPHER, b"\1")
            + record(HANDSHAKE, os.urandom(32)))


class Connection:
    def __init__(self, source, to, wrong):
        self.to, self.wrong, self.heard = to, wrong, b""
        self.said = self.answered = self.ended = False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it ends by a reset
        self.socket.bind((source, 0))
        if (error := self.socket.connect_ex(to)) not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))

    def speak(self):
        self.said = True
        self.socket.send(client_hello(self.to[1]))

    def hear(self, identity):
        """Returns False if the server has ended the connection."""
        data = self.socket.recv(4096)
        self.answered |= data[:1] == bytes([HANDSHAKE])
        self.heard += data if self.wrong else b""
        if self.wrong and self.heard.endswith(message(SERVER_HELLO_DONE, b"")):
            self.socket.send(wrong_end(self.to[1], identity))
            self.heard, self.ended = b"", True
        return data and data[:1] != b"\x15"


class Flooder:
    """In the flood's process. So many connections to each port are under way, of each kind; when there are all, the
    oldest that has said all that it will say makes way for another one."""

    def __init__(self, targets, identity):
        self.identity, self.poll, self.open = identity, select.epoll(), {}
        self.lines = {(target, wrong): [] for target in targets for wrong in (False, True)}
        self.count = {"begun": 0, "answered": 0, "wrong": 0, "ended": 0}

    def begin(self, line):
        (to, wrong), source = line, SOURCES[self.count["begun"] % len(SOURCES)]
        try:
            one = Connection(source, to, wrong)
        except OSError:  # no port is free now
            return False
        self.open[one.socket.fileno()] = one
        self.lines[line].append(one)
        self.poll.register(one.socket, select.EPOLLOUT)
        self.count["begun"] += 1
        return True

    def end(self, one, by_server=False):
        self.count["answered"] += one.answered
        self.count["wrong"] += one.ended
        self.count["ended"] += by_server
        self.lines[one.to, one.wrong].remove(one)
        del self.open[one.socket.fileno()]
        one.socket.close()

    def happened(self, descriptor, what):
        one = self.open.get(descriptor)
        if not one:
            return
        try:
            if not one.said and what & select.EPOLLOUT:
                one.speak()
                self.poll.modify(one.socket, select.EPOLLIN)
            elif not one.hear(self.identity):
                self.end(one, by_server=True)
        except OSError:
            self.end(one, by_server=True)

    def fill(self):
        for line, under_way in self.lines.items():
            while len(under_way) >= AT_A_TIME and under_way[0].said and (under_way[0].ended or not line[1]):
                self.end(under_way[0])
            while len(under_way) < AT_A_TIME and self.begin(line):
                pass

    def run(self, control):
        began = time.monotonic()
        self.poll.register(control, select.EPOLLIN)
        while True:
            self.fill()
            for descriptor, what in self.poll.poll(0.05):
                if descriptor == control.fileno():
                    used = resource.getrusage(resource.RUSAGE_SELF)
                    return {"seconds": time.monotonic() - began, "processor": used.ru_utime + used.ru_stime,
                            **self.count}
                self.happened(descriptor, what)


class Flood:
    """The caller's side."""

    def __init__(self, net, targets, identity):
        self.net, self.process = net, None
        self.words = [identity.encode().hex(), *(f"{address}:{port}" for address, port in targets)]

    def addresses(self):
        """Before the first flood of a network."""
        self.net.ip(*(f"address add {source}/24 dev br0" for source in SOURCES))

    def start(self):
        self.process = subprocess.Popen([*self.net.enter, sys.executable, __file__, *self.words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self):
        output, _ = self.process.communicate(timeout=60)  # it ends when its input does
        if self.process.returncode:
            raise OSError(f"the flood ended with status {self.process.returncode}")
        return json.loads(output)


def main():
    identity, *targets = sys.argv[1:]
    os.nice(19)
    pairs = [target.rpartition(":")[::2] for target in targets]
    flooder = Flooder([(address, int(port)) for address, port in pairs], bytes.fromhex(identity))
    json.dump(flooder.run(sys.stdin), sys.stdout)


if __name__ == "__main__":
    main()
