# SPDX-License-Identifier: BSD-2-Clause
"""What keeps the Linux guest busy while it moves: a program in it, clients outside, or both.

    load = LOADS["writer-2000"]
    site.boot(linux(256, load.words(), load.archive), ...)
    site.a.machine.wait(load.begun(), 240)
    with load.outside(site.net, load) as figures:
        ...                              # move it
    figures                              # what the load got done, and what its clients saw

A load of which both sides are to have the same is paced: it does so much a second and no more.
"""

import contextlib
import re
import threading
import time
from dataclasses import dataclass
from typing import Callable

from client import Client, longest_gap_ms
from moves import GUEST
from migration import Download, Upload

ECHO, WEB, WRITER = 7, 80, 4002  # ports of the guest
PLAIN, WORKLOADS = "initramfs.cpio", "traces.cpio"  # the guest's root file system; with tests/linux/workload
WRITER_MIB = 32
TICK = 50         # ms between the writes of the writer; it does not make up for a tick that a busy machine made late
BLOCK, PAUSE = 40 << 10, 0.01  # bytes and s: each of the two streams carries 4 MB/s


class Browsers(threading.Thread):
    """Clients outside that ask the guest's web server, one request after the other, until stop()."""

    def __init__(self, net):
        super().__init__(daemon=True)
        self.net, self.ended, self.answers = net, threading.Event(), 0

    def run(self):
        while not self.ended.is_set():
            with self.net.connect(GUEST, WEB) as sock:
                sock.sendall(b"GET /cgi-bin/status HTTP/1.0\r\n\r\n" if self.answers % 4 == 0
                             else b"GET / HTTP/1.0\r\n\r\n")
                while sock.recv(65536):
                    pass
            self.answers += 1

    def stop(self):
        self.ended.set()
        self.join()


@contextlib.contextmanager
def nobody(_net, _load):
    yield {}


@contextlib.contextmanager
def client(net, _load):
    """A client with the manners of a key-value store's (client.py); the longest time without an answer is a figure."""
    figures, asking, begin = {}, Client(lambda: net.connect(GUEST, ECHO)), time.monotonic()
    asking.start()
    try:
        yield figures
    finally:
        answers = asking.stop()
    figures["client-gap"] = round(longest_gap_ms(answers), 2)
    figures["work"] = sum(map(len, answers)) / (time.monotonic() - begin)


@contextlib.contextmanager
def streams(net, _load):
    """One into the guest and one out of it. No byte of that into it was lost or changed, or this fails."""
    figures, begin = {}, time.monotonic()
    upload, download = Upload(net, PAUSE, BLOCK), Download(net, PAUSE, BLOCK)
    upload.start()
    download.start()
    try:
        yield figures
    finally:
        carried = upload.check() + download.stop()
    figures["work"] = carried / 1e6 / (time.monotonic() - begin)


@contextlib.contextmanager
def browsers(net, _load):
    figures, asking, begin = {}, Browsers(net), time.monotonic()
    asking.start()
    try:
        yield figures
    finally:
        asking.stop()
    figures["work"] = asking.answers / (time.monotonic() - begin)


def told(net, request):
    """The guest's writer's answer to a line."""
    with net.connect(GUEST, WRITER) as sock:
        sock.sendall(request.encode() + b"\n")
        return sock.makefile().readline()


@contextlib.contextmanager
def writer(net, load):
    """The writer runs in the guest; it is asked how much it has written, and in the end whether all of it is there."""
    def written():
        return int(re.search(r" written (\d+) ", told(net, "stats"))[1])
    figures, before, begin = {}, written(), time.monotonic()
    yield figures
    done, seconds = written() - before, time.monotonic() - begin
    figures |= {"work": done / seconds, "pace": done / seconds / load.rate,
                "work-lost": (seconds - done / load.rate) * 1000}
    verdict = told(net, "verify")
    if not verdict.endswith(" errors 0\n"):
        raise RuntimeError(f"the writer's pages are not what it wrote: {verdict}")


@dataclass(frozen=True)
class Load:
    what: str           # in words
    run: str = ""       # a program that the guest runs from its boot on, NAME:ARGUMENT...
    says: str = ""      # what that prints when it is under way
    archive: str = PLAIN
    outside: Callable = nobody
    rate: int = 0       # pages a second that the guest is to write
    unit: str = ""      # of `work`, what it gets done around the move

    def words(self):
        """Of the guest's kernel command line."""
        return f"run={self.run}" if self.run else ""

    def begun(self):
        """A pattern: the guest is ready and its program is under way, in whichever order that is said."""
        return rf"(?s)\A(?=.*godwit-guest: ready)(?=.*{re.escape(self.says)})"


def writing(rate):
    return Load(f"the guest writes {rate} pages a second of {WRITER_MIB << 8}, at random",
                f"writer:{WRITER_MIB}:{rate * TICK // 1000}:{TICK}:uniform", outside=writer, rate=rate, unit="pages/s")


def workload(name, what, **more):
    return Load(what, f"workload:{name}", f"workload: {name} is under way", WORKLOADS, **more)


LOADS = {
    "idle": Load("the guest does nothing"),
    "client": Load("four connections outside ask the guest's echo, 64 bytes a time", outside=client, unit="answers/s"),
    "network": Load(f"a stream into the guest and one out of it, {BLOCK / PAUSE / 1e6:.0f} MB/s each", outside=streams,
                    unit="MB/s"),
    **{f"writer-{rate}": writing(rate) for rate in (500, 2000, 8000)},
    "web": workload("web", "clients outside ask the guest's web server, every fourth time a script", outside=browsers,
                    unit="answers/s"),
    "keyvalue": workload("keyvalue", "redis in the guest, under its own benchmark"),
    "compress": workload("compress", "bzip2 in the guest packs a text again and again"),
}
