# SPDX-License-Identifier: BSD-2-Clause
"""A guest protected between two hypervisors with an etcd as the witness, and a client outside that uses it.

    with Pair(directory) as pair:
        pair.protect(limit=SHORT)
        with Client(pair.net):
            with pair.struck() as (primary, secondary):
                primary.machine.kill()
            pair.runs_at(secondary)

A machine that many use may keep an emulator waiting for seconds, which the other machine takes for silence. Where none
is wanted, the limit is QUIET. Where one is, struck() sees to it that the guest had two copies when it began.
"""

import contextlib
import ctypes
import os
import re
import select
import signal
import socket
import struct
import time

from etcd import Etcd
from machine import LIFETIME
from migration import LINUX, OVER, Download, Ping, Site, Typist, Upload

RELEASED = 64  # frames at most that a round of the host loop lets go
QUIET = 60000  # ms, the highest heartbeat-limit: longer than any emulator waits for a processor
SHORT = 2000   # ms, where silence is wanted: such as streams of TCP have made up for by their next try
WITNESS_TIMEOUT = 3000  # ms at most
BLOCK = 8192   # bytes that it reads at a time
# What each stream of a client carries when it has moved on: bytes, bytes more than a socket holds unread, lines.
MOVED_ON = (4096, 4 * BLOCK, 5)


class Client:
    """Streams of bytes to and from the guest, lines that it sends back, and echo requests. In the end no byte was lost,
    doubled or changed, no request was answered twice, and each stream went on after the last failure. A protected guest
    that always has something to say takes all of an emulator's processor, so they take their time: `pace` s, from one
    block, line or request to the next. Who measures times has them hurry."""

    def __init__(self, net, pace=0.1):
        self.ping = Ping(net, pace=pace)
        self.checked = []  # in the end, how much each carried
        download = Download(net, pace, BLOCK)
        download.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)  # nothing comes long before it is read
        self.streams = [Upload(net, pace, 4096), download, Typist(net, pace)]

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
        while not all(now > then + more for now, then, more in zip(self.counts(), before, MOVED_ON)):
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
    """Hosts a, with a Linux guest, and b, which begins empty."""

    def __init__(self, directory, same="", limit=QUIET, guest=LINUX, lifetime=LIFETIME, secure=True, **machine):
        """same: sections that both have, in place of those; limit: heartbeat-limit of both when they boot; guest:
        another section of a's; secure: as of Site; lifetime and machine: as of Host.boot."""
        self.site, self.directory, self.same, self.guest = Site(directory / "site", secure), directory, same, guest
        self.limit, self.lifetime, self.key, self.standing = limit, lifetime, None, set()
        self.keys = {"heartbeat-limit": limit, "lifetime": lifetime, **machine}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.site)
            self.net, self.a, self.b = self.site.net, self.site.a, self.site.b
            # Its clients try again each second (where the kernel, as of Linux 6.15, lets them), and not after ever
            # longer times: else tests would wait for as long again as the guest was silent.
            self.net.run("sysctl", "-w", "net.ipv4.tcp_rto_max_ms=1000", "net.ipv4.tcp_retries2=255")
            self.etcd = stack.enter_context(Etcd(self.net, self.directory / "etcd", lifetime=self.lifetime,
                                                 ca=self.site.ca))
            self.config = self.same + self.etcd.config(timeout=min(self.limit * 2 // 3, WITNESS_TIMEOUT))
            if self.same:
                self.boot_again(self.a, self.b)
            else:
                self.site.boot(self.guest + self.config, b=self.config, **self.keys)
            self.context = stack.pop_all()
        return self

    def __exit__(self, *error):
        self.context.__exit__(*error)

    def set_limit(self, limit):
        """Of protections that begin from now on."""
        for host in self.site.hosts:
            if host.machine.process.poll() is None:
                host.set(heartbeat_limit=limit)

    def unprotect(self):
        """Returns (where it runs, the other host), which has no copy."""
        owner, other = self.owner()
        if self.shown(owner)["state"] != "unprotected":
            done = owner.godwit("unprotect", "linux")
            assert done.returncode == 0, done.stderr
        self.wait(owner, "unprotected")
        owner.wait_for("its copy is gone", lambda: "linux" not in other.guests())
        owner.wait_for("its move is over", lambda: self.move(owner).get("status") in {None, *OVER})
        return owner, other

    def move(self, host):
        """The last one from there, {}: none."""
        status, answer = host.ask("GET", "/v1/query-migrate", name="linux")
        return answer if status == 200 else {}

    def protect(self, *options, limit=QUIET):
        """Anew, by this limit. Returns (primary, secondary)."""
        self.set_limit(limit)
        owner, other = self.unprotect()
        done = owner.godwit("protect", "linux", other.address, *options)
        assert done.returncode == 0, done.stderr
        return self.protected()

    def protected(self):
        """(primary, secondary), as soon as both say that it has two copies."""
        def roles():
            shown = {host: self.shown(host) for host in self.site.hosts}
            if any(row["state"] != "protected" for row in shown.values()):
                return None
            return sorted(self.site.hosts, key=lambda host: shown[host]["role"])
        return self.a.wait_for("it is protected", roles)

    @contextlib.contextmanager
    def struck(self, moment=lambda *_: None):
        """For what is to happen at one moment, at which the guest has two copies and the witness knows it: both
        machines stand meanwhile. One that had waited for a processor just before could have given the other up. Gives
        (primary, secondary), with which moment is called to wait for it."""
        try:
            while True:
                primary, secondary = self.protected()
                before = self.deed()
                moment(primary, secondary)
                self.signal(signal.SIGSTOP)
                if before[:2] == (primary.address, secondary.address) and self.deed() == before:
                    break
                self.signal(signal.SIGCONT)
            yield primary, secondary
        finally:
            self.signal(signal.SIGCONT)

    def signal(self, number):
        """To the machines that have not died, and were not made to stand for longer."""
        for host in self.site.hosts:
            if host not in self.standing and host.machine.process.poll() is None:
                os.kill(host.machine.emulator(), number)

    def shown(self, host):
        """What query-protect says of the guest. Beside a copy may be one that has ended there, or was never started."""
        rows = [row for row in host.get("/v1/query-protect")["protection"] if row["vm"] == "linux"]
        return max(rows, key=lambda row: row["state"] != "unprotected", default={"state": "unprotected"})

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

    def mac(self):
        """The guest's, wherever it is."""
        hosts = [host for host in self.site.hosts if host not in self.standing and host.machine.process.poll() is None]
        return next(port["mac"] for host in hosts for port in host.get("/v1/net")["ports"] if port["port"] == "linux")

    def owner(self):
        """The host that runs it, of both, and the other one. One is asked after the other: if the guest goes over
        meanwhile, both say once that they run it."""
        def one():
            hosts = self.site.where("linux")
            return hosts[0] if len(hosts) == 1 else None
        host = self.a.wait_for("one runs it", one)
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
        """The deed, as the witness has it. Under which key, only the machines know."""
        if not self.key:
            [self.key] = {row["key"] for host in self.site.hosts if host.machine.process.poll() is None
                          for row in host.get("/v1/witness")["guests"] if row["name"] == "linux"}
        return self.etcd.members[0].get(self.key)

    def deed(self):
        """(owner's address, secondary's or "none", epoch)"""
        found = re.fullmatch(r"1 owner ([\d.]+):4900 \w+ secondary (?:([\d.]+):4900 \w+|(none)) epoch (\d+)",
                             self.text())
        return found[1], found[2] or found[3], int(found[4])

    def failover(self, host):
        """The last one to that host."""
        return self.shown(host)["failovers"][0]

    def stand(self, host):
        """The whole emulated machine stands still."""
        self.standing.add(host)
        os.kill(host.machine.emulator(), signal.SIGSTOP)

    def go_on(self, host):
        self.standing.discard(host)
        os.kill(host.machine.emulator(), signal.SIGCONT)

    def part(self, on=True):
        """Neither host reaches the other; both reach the rest."""
        for host in self.site.hosts:
            done = self.net.run("bridge", "link", "set", "dev", host.tap, "isolated", "on" if on else "off")
            assert done.returncode == 0, done.stdout


class Ear:
    """Frames that come out of a host with the guest's MAC, from now on."""

    OUTGOING, ATTACH_FILTER = 4, 26  # PACKET_OUTGOING: to the machine; SO_ATTACH_FILTER

    def __init__(self, net, tap, mac):
        """The kernel throws all others away, of which there are more than a socket holds."""
        mac = bytes.fromhex(mac.replace(":", ""))
        steps = [(0x20, 0, 0, 6), (0x15, 0, 3, int.from_bytes(mac[:4])), (0x28, 0, 0, 10),
                 (0x15, 0, 1, int.from_bytes(mac[4:])), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        self.socket = net.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.setsockopt(socket.SOL_SOCKET, self.ATTACH_FILTER,
                               struct.pack("HP", len(steps), ctypes.addressof(program)))
        self.socket.bind((tap, 3))

    def heard(self, seconds=0):
        """How many since it was asked last."""
        count, deadline = 0, time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            _, (_, _, kind, *_) = self.socket.recvfrom(2048)
            count += kind != self.OUTGOING
        return count

    def close(self):
        self.socket.close()
