# SPDX-License-Identifier: BSD-2-Clause
"""A probe from outside: echo requests to an address at a steady pace, and when each was answered.

    probe = Probe(net.socket)           # or socket.socket, for the network where we are
    probe.start("10.9.0.3", 0.002)
    ...
    samples = probe.stop()              # [[sent in s, round trip in ms or None], ...]

Times are of time.monotonic(), which all processes share. The probe runs in a process of its own with real-time
priority where that is allowed, so that neither the caller nor a busy machine makes it late.
"""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

ECHO_REQUEST, ECHO_REPLY = 8, 0
HEADER = struct.Struct("!BBHHH")   # type, code, checksum, identifier, sequence number
PAYLOAD = struct.Struct("!QQ")     # a number that says whose probe it is, the probe's index
GRACE = 1.0                        # seconds that the last probes have to come back


def checksum(data):
    """Internet checksum, of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def request(whose, index):
    payload = PAYLOAD.pack(whose, index)
    identifier, sequence = whose & 0xffff, index & 0xffff
    blank = HEADER.pack(ECHO_REQUEST, 0, 0, identifier, sequence)
    return HEADER.pack(ECHO_REQUEST, 0, checksum(blank + payload), identifier, sequence) + payload


def reply_index(packet, whose):
    """Which probe an IPv4 packet answers; None if none of ours."""
    start = (packet[0] & 15) * 4
    if len(packet) < start + HEADER.size + PAYLOAD.size or packet[start] != ECHO_REPLY:
        return None
    owner, index = PAYLOAD.unpack_from(packet, start + HEADER.size)
    return index if owner == whose else None


class Pace:
    """In the probe's process: send, and note what comes back."""

    def __init__(self, sock, address, interval):
        self.sock, self.address, self.interval = sock, address, interval
        self.whose = int.from_bytes(os.urandom(8), "big")
        self.samples = []

    def send(self):
        self.samples.append([time.monotonic(), None])
        try:
            self.sock.sendto(request(self.whose, len(self.samples) - 1), (self.address, 0))
        except OSError:
            pass  # no route, no neighbour, no buffer: for who is outside, a lost probe

    def receive(self):
        """All that has arrived."""
        while True:
            try:
                packet = self.sock.recv(2048)
            except OSError:  # nothing more, or a host-unreachable of an earlier probe
                return
            index = reply_index(packet, self.whose)
            if index is not None and index < len(self.samples) and self.samples[index][1] is None:
                self.samples[index][1] = (time.monotonic() - self.samples[index][0]) * 1000

    def run(self, control):
        """Until `control` says something or is closed, and the last answers had their time."""
        due, end = time.monotonic(), None
        while end is None or time.monotonic() < end:
            sources = [self.sock] + ([control] if end is None else [])
            wake = due if end is None else end
            ready = select.select(sources, [], [], max(0, wake - time.monotonic()))[0]
            if self.sock in ready:
                self.receive()
            if control in ready:
                end = time.monotonic() + GRACE
            if end is None and time.monotonic() >= due:
                self.send()
                late = time.monotonic() - due
                due += self.interval * (1 + late // self.interval)  # slots that we slept through are not made up for
        return self.samples


class Probe:
    """The caller's side. `opener` makes the socket, in whichever network the probe shall be."""

    def __init__(self, opener=socket.socket):
        self.opener, self.process = opener, None

    def start(self, address, interval):
        """Send to `address` every `interval` seconds from now on."""
        sock = self.opener(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        with sock:
            self.process = subprocess.Popen([sys.executable, __file__, str(sock.fileno()), address, str(interval)],
                                            pass_fds=[sock.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self):
        """The samples, oldest first."""
        output, _ = self.process.communicate(timeout=30)  # it ends when its input does
        if self.process.returncode:
            raise OSError(f"the probe ended with status {self.process.returncode}")
        return json.loads(output)


def gaps(samples):
    """(begin, end) of the times between an answer's arrival and the next one's, s."""
    heard = sorted(sent + rtt / 1000 for sent, rtt in samples if rtt is not None)
    return list(zip(heard, heard[1:]))


def longest_ms(chosen, interval):
    """The longest of some gaps, less the interval (s) between any two answers. None without a gap."""
    return max(0.0, (max(after - before for before, after in chosen) - interval) * 1000) if chosen else None


def blackout_ms(samples, interval):
    """The longest time in which no answer arrived, less the interval (s) between any two. None without two answers.

    By arrival, not by sending: a probe that was held while the guest moved and is answered late was not lost, yet
    whoever waits outside heard nothing meanwhile.
    """
    return longest_ms(gaps(samples), interval)


def lost(samples):
    """How many probes were never answered."""
    return sum(rtt is None for _, rtt in samples)


def main():
    descriptor, address, interval = sys.argv[1:]
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass  # not allowed: then with what priority we have
    with socket.socket(fileno=int(descriptor)) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        json.dump(Pace(sock, address, float(interval)).run(sys.stdin), sys.stdout)


if __name__ == "__main__":
    main()
