# SPDX-License-Identifier: BSD-2-Clause
"""A guest protected between two hypervisors with an etcd as the witness, and a client outside that uses it.

    with Pair(directory) as pair:
        pair.protect()
        with Client(pair.net):
            pair.a.machine.kill()
            pair.runs_at(pair.b)
"""

import contextlib
import os
import re
import select
import signal
import socket
import time

from etcd import Etcd
from machine import LIFETIME
from migration import LINUX, Download, Ping, Site, Typist, Upload

RELEASED = 64  # frames at most that a round of the host loop lets go


class Client:
    """Streams of bytes to and from the guest, lines that it sends back, and echo requests. In the end no byte was lost,
    doubled or changed, no request was answered twice, and each stream went on after the last failure."""

    def __init__(self, net):
        self.ping = Ping(net)
        self.checked = []  # in the end, how much each carried
        self.streams = [Upload(net, 0.02, 4096), Download(net, 0.02, 8192), Typist(net)]

    def __enter__(self):
        for thread in [self.ping, *self.streams]:
            thread.start()
        return self

    def counts(self):
        upload, download, typist = self.streams
        return upload.arrived(), download.got, typist.lines

    def goes_on(self, seconds=180):
        """Each stream has moved on since now."""
        before, deadline = self.counts(), time.monotonic() + seconds
        while not all(now > then + 20 for now, then in zip(self.counts(), before)):
            assert time.monotonic() < deadline, (before, self.counts())
            time.sleep(0.05)

    def __exit__(self, kind, *_):
        self.ping.stop()
        if kind is None:
            self.checked = [stream.check() for stream in self.streams]
            assert self.ping.doubles == []
        else:
            self.give_up()

    def give_up(self):
        """There is nothing more to be compared: the guest is gone, or something else is wrong."""
        for stream in self.streams:
            stream.give_up()
        self.streams.clear()


class Pair:
    """Hosts a, with a Linux guest, and b, which begins empty. A machine that many use may keep an emulator waiting for
    longer than the limit of a real one: so `limit`, in ms, is."""

    def __init__(self, directory, same="", limit=1500, guest=LINUX, lifetime=LIFETIME, **machine):
        """same: sections that both have, in place of those; guest: another section of a's; lifetime and machine: as of
        Host.boot."""
        self.site, self.directory, self.same, self.guest = Site(directory / "site"), directory, same, guest
        self.limit, self.lifetime = limit, lifetime
        self.keys = {"heartbeat-limit": limit, "lifetime": lifetime, **machine}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.site)
            self.net, self.a, self.b = self.site.net, self.site.a, self.site.b
            self.etcd = stack.enter_context(Etcd(self.net, self.directory / "etcd", lifetime=self.lifetime))
            self.config = self.same + self.etcd.config(timeout=self.limit * 2 // 3)
            if self.same:
                self.boot_again(self.a, self.b)
            else:
                self.site.boot(self.guest + self.config, b=self.config, **self.keys)
            self.context = stack.pop_all()
        return self

    def __exit__(self, *error):
        self.context.__exit__(*error)

    def protect(self, *options):
        done = self.a.godwit("protect", "linux", self.b.address, *options)
        assert done.returncode == 0, done.stderr
        self.wait(self.a, "protected")
        self.wait(self.b, "protected")

    def shown(self, host):
        """What query-protect says of the guest; {}: nothing."""
        rows = host.get("/v1/query-protect")["protection"]
        return next((row for row in rows if row["vm"] == "linux"), {"state": "unprotected"})

    def wait(self, host, state):
        return host.wait_for(f"it is {state}", lambda: (shown := self.shown(host))["state"] == state and shown)

    def boot_again(self, *hosts):
        """Machines that have died come back, with the same addresses and empty memories."""
        for host in hosts:
            host.boot(self.config, **self.keys)
        for host in hosts:
            host.ready()

    def other(self, host):
        return self.b if host is self.a else self.a

    def owner(self):
        """The host that runs it, of both, and the other one."""
        [host] = self.a.wait_for("one runs it", lambda: self.site.where("linux"))
        return host, self.other(host)

    def runs_at(self, host):
        """It runs there, and nowhere else."""
        host.wait_for("it runs here", lambda: host.guests().get("linux") == "running")
        assert self.site.where("linux") == [host]

    def elsewhere(self, host, reason):
        """It is not started there, for a reason of that pattern."""
        def is_so():
            [row] = host.get("/v1/vms")["vms"]
            return row["status"] == "elsewhere" and re.match(reason, row["reason"])
        host.wait_for(reason, is_so)

    def text(self):
        """The deed, as the witness has it."""
        member = self.etcd.members[0]
        keys = {row["key"] for host in self.site.hosts if host.machine.process.poll() is None
                for row in host.get("/v1/witness")["guests"] if row["name"] == "linux"}
        return member.get(keys.pop())

    def deed(self):
        """(owner's address, secondary's or "none", epoch)"""
        found = re.fullmatch(r"1 owner ([\d.]+):4900 \w+ secondary (?:([\d.]+):4900 \w+|(none)) epoch (\d+)",
                             self.text())
        return found[1], found[2] or found[3], int(found[4])

    def failover(self, host):
        """The last one to that host."""
        return self.shown(host)["failovers"][0]

    def stand(self, host, on=True):
        """The whole emulated machine stands still, or goes on."""
        os.kill(host.machine.emulator(), signal.SIGSTOP if on else signal.SIGCONT)

    def part(self, on=True):
        """Neither host reaches the other; both reach the rest."""
        for host in self.site.hosts:
            done = self.net.run("bridge", "link", "set", "dev", host.tap, "isolated", "on" if on else "off")
            assert done.returncode == 0, done.stdout


class Ear:
    """Frames that come out of a host with the guest's MAC, from now on."""

    OUTGOING = 4

    def __init__(self, net, tap, mac):
        self.socket, self.mac = net.socket(socket.AF_PACKET, socket.SOCK_RAW), bytes.fromhex(mac.replace(":", ""))
        self.socket.bind((tap, 3))

    def heard(self, seconds=0):
        """How many."""
        count, deadline = 0, time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            frame, (_, _, kind, *_) = self.socket.recvfrom(2048)
            count += kind != self.OUTGOING and frame[6:12] == self.mac
        return count

    def close(self):
        self.socket.close()
