# SPDX-License-Identifier: BSD-2-Clause
"""Segments that nobody acknowledges: how long the hypervisor waits until it says them again."""

import socket
import struct
import time
from typing import NamedTuple

import pytest
from machine import PROGRAM, TIMEOUT
from network import checksum

pytestmark = pytest.mark.alone  # lwIP counts its waits in ticks of 50 ms, of which a machine that is late loses some

OURS, PEER = "10.9.0.2", "10.9.0.77"
CONFIG = f"[net]\naddress = {OURS}/24\n[api]\naccess = open\ninsecure = yes\n"
ETH_IP4, ETH_ARP = 0x0800, 0x0806
SO_TIMESTAMPNS = 35
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Segment(NamedTuple):
    when: float  # it came: s by time.time(), and not when the test got round to looking
    port: int
    sequence: int
    acknowledged: int
    data: bytes


class Deaf:
    """A TCP endpoint made of single frames: it acknowledges only what the test does."""

    def __init__(self, net, port):
        self.sock, self.port, self.sequence, self.next = net.socket(socket.AF_PACKET, socket.SOCK_RAW), port, 1000, 0
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.bind(("br0", ETH_IP4))
        self.mac = self.sock.getsockname()[4]
        self.theirs = self.resolve(net)

    def resolve(self, net):
        """The hypervisor's MAC; by the same question it learns ours."""
        with net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("br0", ETH_ARP))
            sock.settimeout(PROGRAM)
            sock.send(b"\xff" * 6 + self.mac + struct.pack(">HHHBBH", ETH_ARP, 1, ETH_IP4, 6, 4, 1) + self.mac
                      + socket.inet_aton(PEER) + bytes(6) + socket.inet_aton(OURS))
            while True:
                frame = sock.recv(2000)
                if frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(OURS):
                    return frame[22:28]

    def say(self, flags, to, data=b""):
        tcp = struct.pack(">HHIIBBHHH", self.port, to, self.sequence, self.next, 5 << 4, flags, 8192, 0, 0) + data
        ends = socket.inet_aton(PEER) + socket.inet_aton(OURS)
        tcp = tcp[:16] + struct.pack(">H", checksum(ends + struct.pack(">HH", 6, len(tcp)) + tcp)) + tcp[18:]
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + ends
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        self.sock.send(self.theirs + self.mac + struct.pack(">H", ETH_IP4) + ip + tcp)
        self.sequence += len(data) + (flags & (SYN | FIN) != 0)

    def hear(self, flags):
        """The next segment for us with all these flags; nobody may reset us."""
        self.sock.settimeout(PROGRAM)
        while True:
            frame, [(_, _, stamp)], _, _ = self.sock.recvmsg(2000, socket.CMSG_SPACE(16))
            now, ip = struct.unpack("q", stamp[:8])[0] + struct.unpack("q", stamp[8:])[0] / 1e9, frame[14:]
            tcp = ip[20:int.from_bytes(ip[2:4], "big")]
            if ip[9] != 6 or ip[16:20] != socket.inet_aton(PEER):
                continue
            port, to, sequence, acknowledged, offset, theirs = struct.unpack_from(">HHIIBB", tcp)
            assert not theirs & RST
            if to == self.port and theirs & flags == flags:
                return Segment(now, port, sequence, acknowledged, tcp[(offset >> 4) * 4:])


@pytest.fixture
def booted(net, tmp_path):
    """The network, with a hypervisor in it whose API answers."""
    net.boot(tmp_path, CONFIG, "qemu", "virtio").wait("api: port 80", TIMEOUT["qemu"])
    return net


def request(line):
    return f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


def gaps(segments):
    return [after.when - before.when for before, after in zip(segments, segments[1:])]


def test_lost_answer(booted):
    """The API says its answer again after a third of a second, then after ever longer times; a client that gets it
    after seconds only is no worse off than others."""
    deaf = Deaf(booted, 4001)
    deaf.say(SYN, 80)
    asked = deaf.hear(SYN | ACK)
    deaf.next = asked.sequence + 1
    deaf.say(ACK | PSH, 80, request("GET /v1/version"))
    late = time.time() - asked.when  # part of a round trip that it measures, and by which it waits longer
    said = [deaf.hear(PSH) for _ in range(5)]
    [(sequence, data)] = {(segment.sequence, segment.data) for segment in said}
    assert sequence == deaf.next and data.startswith(b"HTTP/1.1 200 OK")
    waits = gaps(said)
    assert waits[0] < 1.5 + 3 * late and waits[-1] > waits[0]
    assert 3 < sum(waits) < 15 + 45 * late  # 0.3, 0.6, 1.2, 2.4 s when nobody is late
    deaf.next += len(data) + 1  # the end of the connection
    deaf.say(ACK | FIN, 80)
    while deaf.hear(ACK).acknowledged != deaf.sequence:
        pass


def test_lost_syn(booted):
    """Who connects asks again after a second, and after another one."""
    deaf = Deaf(booted, 9)
    with booted.connect(OURS, 80) as api:
        api.sendall(request(f"POST /v1/net-test?dest={PEER}:9"))
        assert b" 202 " in api.recv(1000).split(b"\r\n")[0]
    assert 1.2 < sum(gaps([deaf.hear(SYN) for _ in range(3)])) < 5
