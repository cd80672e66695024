# SPDX-License-Identifier: BSD-2-Clause
"""First words of TLS (RFC 5246, 7.4.1), made and read by hand: so a client offers what no library would, and what a
server takes of it is found out number by number.

    suites = taken(range(65536), lambda some: answer(net.connect(*to), hello(suites=some)), "suite")
"""

import struct
from dataclasses import dataclass, field

TLS1_2 = 0x0303
SUITES = [0xCCA9, 0xCCAC]  # ECDHE-ECDSA- and ECDHE-PSK-CHACHA20-POLY1305
X25519, P256 = 29, 23
ECDSA_SHA256 = 0x0403
ALERT, HANDSHAKE, DATA = 21, 22, 23  # records
SERVER_HELLO, SERVER_KEY, DONE = 2, 12, 14
# Extensions of whose answers nothing is to be seen: the length of fragments, OCSP, ALPN, encrypt-then-MAC, tickets.
MORE = {1: b"\1", 5: b"\1\0\0\0\0", 16: b"\0\3\2h2", 22: b"", 23: b"", 35: b"", 0xFF01: b"\0"}
AT_A_TIME = 1900  # numbers: a buffer of 4 KiB has room for so many


def numbers(some):
    return struct.pack(f"!H{len(some)}H", 2 * len(some), *some)


def hello(suites=SUITES, groups=(X25519, P256), signatures=(ECDSA_SHA256,), version=TLS1_2, more=()):
    """A client's. An empty list of groups or signatures is not sent at all; more: further extensions, by number."""
    said = {11: b"\1\0", **dict(more)}
    said |= {number: numbers(some) for number, some in ((10, groups), (13, signatures)) if some}
    extensions = b"".join(struct.pack("!HH", number, len(body)) + body for number, body in said.items())
    body = struct.pack("!H32s", version, b"\x17" * 32) + b"\0" + numbers(suites) + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    return struct.pack("!BHHB", HANDSHAKE, 0x0301, len(body) + 4, 1) + len(body).to_bytes(3) + body


@dataclass
class Answer:
    """What a server says. Only if it is `done` it goes on with what was offered."""
    version: int = 0
    suite: int = 0
    compression: int = 0
    extensions: set = field(default_factory=set)
    group: int = 0
    signature: int = 0
    done: bool = False
    alert: int = -1


def records(sock):
    """(type, body) of each, until the stream ends."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
        while len(data) >= 5 and len(data) >= 5 + (size := int.from_bytes(data[3:5])):
            yield data[0], data[5:5 + size]
            data = data[5 + size:]


def messages(sock):
    """(type, body) of each message of the handshake, and of an alert."""
    data = b""
    for kind, body in records(sock):
        if kind == ALERT:
            yield ALERT, body
        elif kind == HANDSHAKE:
            data += body
        while len(data) >= 4 and len(data) >= 4 + (size := int.from_bytes(data[1:4])):
            yield data[0], data[4:4 + size]
            data = data[4 + size:]


def read_hello(body, answer):
    answer.version, at = int.from_bytes(body[:2]), 35 + body[34]
    answer.suite, answer.compression = struct.unpack_from("!HB", body, at)
    at += 5
    while at < len(body):
        number, size = struct.unpack_from("!HH", body, at)
        answer.extensions.add(number)
        at += 4 + size


def read_key(body, answer):
    """Behind a hint, of which there is none, as a hypervisor's of PSK has it; else of ECDSA, with a signature."""
    at = 2 if body[:2] == b"\0\0" else 0
    answer.group = int.from_bytes(body[at + 1:at + 3])
    behind = at + 4 + body[at + 3]
    answer.signature = int.from_bytes(body[behind:behind + 2])


def answer(sock, words):
    """What the server at the other end answers to these; the connection is closed then."""
    said = Answer()
    with sock:
        sock.sendall(words)
        try:
            for kind, body in messages(sock):
                if kind == SERVER_HELLO:
                    read_hello(body, said)
                elif kind == SERVER_KEY:
                    read_key(body, said)
                elif kind == ALERT:
                    said.alert = body[1]
                elif kind == DONE:
                    said.done = True
                    break
        except ConnectionResetError:
            pass
    return said


def taken(offered, ask, what):
    """Which of these numbers a server takes: ask(some) is its answer to a hello with some of them."""
    found, offered = set(), list(offered)
    for at in range(0, len(offered), AT_A_TIME):
        left = offered[at:at + AT_A_TIME]
        while left and (said := ask(left)).done:
            found.add(getattr(said, what))
            left.remove(getattr(said, what))
    return found


def accept_hello(listener):
    """(socket, body) of the next client's first message."""
    sock, _ = listener.accept()
    sock.settimeout(listener.gettimeout())
    kind, body = next(messages(sock))
    assert kind == 1, kind
    return sock, body


def read_offer(body):
    """(version, suites, compressions, extensions by number) of a client's hello."""
    at = 35 + body[34]
    size = int.from_bytes(body[at:at + 2])
    suites = set(struct.unpack_from(f"!{size // 2}H", body, at + 2))
    at += 2 + size
    compressions = body[at + 1:at + 1 + body[at]]
    at += 3 + body[at]
    extensions = {}
    while at < len(body):
        number, size = struct.unpack_from("!HH", body, at)
        extensions[number] = body[at + 4:at + 4 + size]
        at += 4 + size
    return int.from_bytes(body[:2]), suites, compressions, extensions
