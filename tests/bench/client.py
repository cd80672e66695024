# SPDX-License-Identifier: BSD-2-Clause
"""A client outside that behaves like one of a key-value store: small requests over a few TCP connections, each of which
asks again as soon as it is answered. What it waited longest for an answer is what a move costs its user.

    client = Client(lambda: net.connect("10.9.0.3", 7))    # the guest's echo
    client.start()
    ...
    answers = client.stop()             # for each connection the times of its answers, of time.monotonic()
    longest_gap_ms(answers)

It runs in a process of its own, with real-time priority where that is allowed, like the probe (probe.py).
"""

import json
import os
import select
import socket
import subprocess
import sys
import time

CONNECTIONS = 4
REQUEST = 64    # bytes; the answer is as long
THINK = 0.002   # s between an answer and the next request of that connection


class Connection:
    def __init__(self, sock):
        self.sock, self.due, self.missing, self.answers = sock, time.monotonic(), 0, []

    def ask(self):
        self.missing = REQUEST
        self.sock.sendall(os.urandom(REQUEST // 2).hex().encode())

    def hear(self):
        data = self.sock.recv(self.missing)
        if not data:
            raise ConnectionError("the guest has ended a connection")
        self.missing -= len(data)
        if not self.missing:
            self.answers.append(time.monotonic())
            self.due = self.answers[-1] + THINK


def run(connections, control):
    """In the client's process: until `control` says something or is closed."""
    while True:
        for one in connections:
            if not one.missing and time.monotonic() >= one.due:
                one.ask()
        waits = {one.sock: one for one in connections if one.missing}
        idle = [one.due for one in connections if not one.missing]
        left = max(0, min(idle) - time.monotonic()) if idle else None
        ready = select.select([control, *waits], [], [], left)[0]
        if control in ready:
            return [one.answers for one in connections]
        for sock in ready:
            waits[sock].hear()


class Client:
    """The caller's side. `connect` opens a connection to the guest's echo."""

    def __init__(self, connect):
        self.connect, self.process = connect, None

    def start(self):
        sockets = [self.connect() for _ in range(CONNECTIONS)]
        descriptors = [sock.fileno() for sock in sockets]
        self.process = subprocess.Popen([sys.executable, __file__, *map(str, descriptors)], pass_fds=descriptors,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for sock in sockets:
            sock.close()

    def stop(self):
        output, _ = self.process.communicate(timeout=30)  # it ends when its input does
        if self.process.returncode:
            raise OSError(f"the client ended with status {self.process.returncode}")
        return json.loads(output)


def longest_gap_ms(answers):
    """The longest time for which one of the connections had no answer."""
    return max((after - before) * 1000 for times in answers for before, after in zip(times, times[1:]))


def main():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass  # not allowed: then with what priority we have
    connections = [Connection(socket.socket(fileno=int(descriptor))) for descriptor in sys.argv[1:]]
    json.dump(run(connections, sys.stdin), sys.stdout)


if __name__ == "__main__":
    main()
