# SPDX-License-Identifier: BSD-2-Clause
"""A man in the middle of a move, who understands records (docs/migration-stream.md) and stops at the one he was told.

    relay = Relay(net, "10.9.0.4")
    relay.stop_at(SOURCE, "COMMIT", relay.cut)     # or relay.hold, or a function of the test's own
    source.begin("linux", relay)
    relay.reached()
    relay.reopen()

Losing the connection before a given record is what no kill from outside could time. He can also keep what the source
said, for the tests that say it again. Where the hypervisors have keys he has the group's, and each end's TLS ends here.
"""

import contextlib
import socket
import struct
import threading

import psk
from network import CLIENT4

SOURCE, DEST = "source", "destination"  # who says it
PORT = 4900
HEADER, HEAD = 64, 16
TYPES = {"END": 1, "KEEPALIVE": 2, "RESERVE": 3, "ACCEPTED": 4, "REFUSED": 5, "PAGES": 6, "ZERO": 7, "ROUND": 8,
         "ROUND_DONE": 9, "STATE": 10, "PREPARE": 16, "PREPARED": 17, "COMMIT": 18, "RUNNING": 19, "QUERY": 20,
         "ABORT": 21, "ABORTED": 22, "UNKNOWN": 23, "MISSING": 26, "WANT": 27, "COMPLETE": 28, "OFFER": 30, "NEED": 31,
         "FILE": 32, "DIGEST": 33, "FILED": 34, "FRAME": 0x80000018}
NAMES = {number: name for name, number in TYPES.items()}
FORWARD, DROP = True, False


def read_exactly(sock, size):
    """So many bytes, or None at the end of the stream."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


def read_record(sock):
    """(name, bytes) of the next record; None at the end of the stream."""
    head = read_exactly(sock, HEAD)
    if not head:
        return None
    kind, length = struct.unpack_from("<II", head)
    body = read_exactly(sock, length - 8 + -(length - 8) % 8)
    return None if body is None else (NAMES.get(kind, str(kind)), head + body)


class Relay:
    def __init__(self, net, to, port=PORT):
        self.net, self.to, self.port = net, to, port
        self.listener = net.socket()
        self.listener.bind((CLIENT4, 0))
        self.listener.listen()
        self.address = f"{CLIENT4}:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        self.open, self.over, self.held = True, False, threading.Event()
        self.point, self.action, self.left, self.behind = None, None, 1, False
        self.record, self.late = None, None  # at the point: its bytes; where they would have gone
        self.at_point = threading.Event()
        self.said, self.passed = {SOURCE: [], DEST: []}, {SOURCE: [], DEST: []}
        self.kept = None  # of the connection that began last: the header and records of the source
        self.sockets = []
        self.key = psk.key_of(net.keyring)
        threading.Thread(target=self.accept, daemon=True).start()

    def stop_at(self, who, record, action, nth=1, behind=False):
        """Call `action` before the nth such record is passed on: it says whether it is, or what is in its place; or
        when it has been passed on."""
        self.at_point.clear()
        self.held.clear()
        self.left, self.behind = nth, behind
        self.point, self.action = (who, record), action

    def reached(self, seconds=180):
        assert self.at_point.wait(seconds), f"{self.point} was not said: {self.said}"

    def cut(self):
        """The connection breaks, and there is no other one until reopen()."""
        self.open = False
        self.close_all()
        return DROP

    def cut_behind(self):
        """The same, but the record arrives."""
        self.open = False
        return FORWARD

    def hold(self):
        """Silence: nothing passes in either direction any more, and nothing ends."""
        self.open = False
        with self.lock:
            self.held.set()
        return DROP

    def deliver_late(self):
        """The record that was held arrives after all, if anybody is there to hear it."""
        with contextlib.suppress(OSError):
            self.late.sendall(self.record)

    def reopen(self):
        self.close_all()
        self.held.clear()
        self.open = True

    def close_all(self):
        with self.lock:
            for sock in self.sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # its other side was faster
            self.sockets = []

    def close(self):
        self.over = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.close_all()

    def accept(self):
        while not self.over:
            try:
                source, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(source,), daemon=True).start()

    def serve(self, source):
        """A connection of the source, which gets one of its own to the destination."""
        try:
            if not self.open:
                raise ConnectionError
            source = psk.accept(source, self.key)
            dest = psk.connect(self.net.connect(self.to, self.port), self.key, psk.name(source), self.to)
        except OSError:
            source.close()
            return
        dest.settimeout(None)
        with self.lock:
            if not self.open:  # no more
                source.close()
                dest.close()
                return
            self.sockets += [source, dest]
        self.kept = []
        for who, ours, theirs in ((SOURCE, source, dest), (DEST, dest, source)):
            threading.Thread(target=self.pump, args=(who, ours, theirs, self.kept), daemon=True).start()

    def is_point(self, who, name):
        if self.point != (who, name):
            return False
        self.left -= 1
        if self.left == 0:
            self.point = None
        return self.left == 0

    def passes(self, who, name):
        """Is a record sent on? If so it counts as passed before anybody can act upon it."""
        with self.lock:
            if self.held.is_set():
                return False
            self.passed[who].append(name)
            return True

    def act(self):
        """What is passed on."""
        passes = self.action()
        self.at_point.set()
        return self.record if passes is FORWARD else passes

    def pump(self, who, ours, theirs, kept):
        """One direction of a connection, until it ends; then the other one ends too."""
        try:
            data = read_exactly(ours, HEADER)
            record = ("header", data) if data else None
            while record:
                name, data = record
                self.said[who].append(name)
                if who == SOURCE:
                    kept.append(record)
                here, behind = self.is_point(who, name), self.behind
                if here:
                    self.record, self.late = data, theirs
                    data = data if behind else self.act()
                if data and self.passes(who, name):
                    theirs.sendall(data)
                if here and behind:
                    self.act()
                if not self.open and not self.held.is_set():
                    self.close_all()
                record = read_record(ours)
            if not self.held.is_set():
                psk.end(theirs)
        except OSError:
            pass  # cut
        if self.held.is_set():
            return  # who is still there shall hear nothing, not even the end
        for sock in (ours, theirs):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        ours.close()
