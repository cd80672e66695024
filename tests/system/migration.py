# SPDX-License-Identifier: BSD-2-Clause
"""Two hypervisors on one bridge, what their APIs say, and what an outside client sees of a guest that moves.

    with Site(directory) as site:
        site.boot(LINUX)
        move(site.a, site.b, "linux", "verify")
        assert site.where("linux") == [site.b]
"""

import contextlib
import ctypes
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import termios
import threading
import time
import zlib
from fcntl import ioctl
from typing import NamedTuple

from api import PATIENCE, Api
from https import Secrets
from machine import LIFETIME, SOON, TIMEOUT, vm
from network import CLIENT4, Late, Network, checksum

GUEST = "10.9.0.3"
ADDRESSES = {"a": "10.9.0.2", "b": "10.9.0.4", "c": "10.9.0.5", "b routed": "10.10.0.4"}
LINUX = vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M",
           cmdline=f"{SOON} quiet ip={GUEST}/24 gw=10.9.0.1")
OVER = {"completed", "failed", "cancelled"}
OF_SITE = object()  # the keyring that the network has
# KiB that a hypervisor's own heap may grow by, once, to hold a TCP window (2 MiB). The mover's RAM would be 8192.
SLACK = 4096


class Host(Api):
    """A hypervisor of the pair."""

    def __init__(self, site, name, tap):
        super().__init__()
        self.site, self.net, self.name, self.address, self.tap = site, site.net, name, ADDRESSES[name], tap
        self.gateway = ""
        self.machine, self.emu, self.boots, self.directory = None, None, 0, None  # the last: of the last boot
        self.read_to = {}  # numbers of the next byte of guests' consoles

    def boot(self, guests="", emu="qemu", cpus=1, mem=384, model=None, services=False, extra=(),
             options=(), alone=False, lifetime=LIFETIME, net="", keyring=OF_SITE, **keys):
        """Start it, with TCP test services or without; model is of its card, extra are further arguments of QEMU,
        options such of tools/run, alone as in Network.boot, lifetime in s, net further lines of [net], keyring a file,
        or None: in the clear, keys those of [migration]."""
        self.forget()
        self.boots, self.emu, self.read_to, secrets = self.boots + 1, emu, {}, self.site.secrets
        self.ca, self.token = (secrets.ca, secrets.token) if self.site.secure else (None, None)
        config = f"[net]\naddress = {self.address}/24\ntest-services = {'yes' if services else 'no'}\n"
        config += f"gateway = {self.gateway}\n" if self.gateway else ""
        config += net + self.sections(self.net.keyring if keyring is OF_SITE else keyring, keys)
        model = model or ("virtio" if emu == "qemu" else "e1000")
        self.machine = self.net.boot(self.directory, config + guests, emu, model, f"52:54:00:00:00:0{self.name}",
                                     self.tap, cpus, mem, lifetime, extra, options, alone)

    def sections(self, keyring, keys):
        """What the configuration says of API, moves and keys; its files are in a directory that is made here."""
        base, secrets = self.site.directory, self.site.secrets
        self.directory = base.with_name(f"{base.name}-{self.name}{self.boots}")
        self.directory.mkdir()
        api, files = "access = open\ninsecure = yes\n", {}
        if self.ca:
            api, files = "certificate = api.pem\ntokens = tokens\n", {"api.pem": secrets.certificate,
                                                                      "tokens": secrets.tokens,
                                                                      "ca.pem": secrets.ca.file}
        migration = "".join(f"{key} = {value}\n" for key, value in keys.items())
        if keyring:
            files["keyring"] = keyring
            migration += f"[keys]\nname = host-{self.name}\nkeyring = keyring\n"
        else:
            migration += "insecure = yes\n"
        for name, file in files.items():
            shutil.copy(file, self.directory / name)
        return f"[api]\n{api}[migration]\n{migration}"

    def answers(self):
        """Its API is there, and knows us: a stranger's handshake may get too little time of an emulator that waits for
        a processor."""
        self.machine.wait("api: port ", TIMEOUT[self.emu])
        self.wait_for("it knows us", self.knows_us)

    def ready(self):
        """Its API is there, and it has asked whether its guests are elsewhere."""
        self.answers()
        self.wait_for("its guests are started, or elsewhere", lambda: "created" not in self.guests().values())

    def guests(self):
        """Status by name."""
        return {row["name"]: row["status"] for row in self.get("/v1/vms")["vms"]}

    def query(self, name):
        return self.get("/v1/query-migrate", name=name)

    def wait_for(self, what, condition, seconds=None):
        """Ask until condition() is true; returns what it gave."""
        deadline = time.monotonic() + (seconds or PATIENCE[self.emu])
        while not (result := condition()):
            if time.monotonic() >= deadline:
                raise Late(f"{self.name}: {what}: not in time, see {self.machine.file}:\n{self.machine.log[-3000:]}\n"
                           + self.state())
            time.sleep(0.05)
        return result

    def state(self):
        """What its guests do, or don't, as far as it answers."""
        try:
            return "".join(self.godwit(*command, name).stdout
                           for name in self.guests() for command in (("vm",), ("trace", "--count", "40")))
        except (OSError, AssertionError, subprocess.SubprocessError) as error:
            return f"what its guests do is not known: {error}"

    def wait_status(self, name, *statuses, seconds=None):
        """Wait until the VM's last move has one of these; returns the answer."""
        def there():
            answer = self.query(name)
            assert answer["status"] in statuses or answer["status"] not in OVER, answer
            return answer if answer["status"] in statuses else None
        return self.wait_for(f"{name} {' or '.join(statuses)}", there, seconds)

    def begin(self, name, to, *options):
        return self.post(f"/v1/vms/{name}/migrate", dest=to.address, options=",".join(options) or "live")

    def printed(self, name):
        """What a guest has printed since the last call, as far as it is kept."""
        text = b""
        while True:
            status, header, body = self.request("GET", f"/v1/vms/{name}/console", offset=self.read_to.get(name, 0))
            assert status == 200, body
            self.read_to[name] = int(header["Console-Next"])
            text += body
            if not body:
                return text.decode("latin-1").replace("\r", "")

    def type(self, name, text):
        """Type a line on a guest's console."""
        status, body = self.ask("POST", f"/v1/vms/{name}/console", text.encode() + b"\n")
        assert status == 200, body

    def link(self, state):
        """The cable between it and the bridge."""
        self.site.net.ip(f"link set {self.tap} {state}")


class Site:
    """Hosts a and b on one bridge, in a network of their own, and c where three are wanted. They have a key in common,
    and certificates, unless the site is not to be secure: where that is what is tested, or in Bochs where much memory
    moves (docs/testing.md). Raises Unavailable where a network can't be made."""

    def __init__(self, directory, secure=True):
        self.directory, self.net, self.secure, self.hosts = directory, Network(), secure, []

    def __enter__(self):
        self.net.__enter__()
        self.secrets = Secrets(self.directory.with_name(f"{self.directory.name}-secrets"), *ADDRESSES.values())
        self.net.keyring = self.secrets.keyring if self.secure else None
        self.ca = self.secrets.ca if self.secure else None
        second = self.net.tap()
        self.a = Host(self, "a", "tap0")
        self.b = Host(self, "b", second)
        self.hosts = [self.a, self.b]
        return self

    def third(self):
        self.c = Host(self, "c", self.net.tap())
        self.hosts.append(self.c)

    def route(self):
        """Put b into a network of its own: neither hears the other's broadcasts, and the test's place is the router. It
        knows their MACs: else its search for one that still boots could fail later, for a connection made by then."""
        self.net.ip("link add br1 type bridge forward_delay 0", "link set br1 up", "address add 10.10.0.1/24 dev br1",
                    f"link set {self.b.tap} master br1")
        forward = self.net.run("sysctl", "-w", "net.ipv4.ip_forward=1")
        assert forward.returncode == 0, forward.stdout
        self.a.gateway, self.b.gateway, self.b.address = CLIENT4, "10.10.0.1", ADDRESSES["b routed"]
        for host, bridge in ((self.a, "br0"), (self.b, "br1")):
            mac = f"52:54:00:00:00:0{host.name}"
            self.net.ip(f"neighbour replace {host.address} lladdr {mac} dev {bridge} nud permanent")

    def __exit__(self, *_):
        for host in self.hosts:
            host.forget()
        self.net.__exit__()

    def boot(self, guests, b="", **options):
        """Both, guests on a."""
        self.a.boot(guests, **options)
        self.b.boot(b, **options)
        self.a.ready()
        self.b.ready()
        if guests.startswith(LINUX):
            self.a.machine.wait("godwit-guest: ready", TIMEOUT[self.a.emu])

    def where(self, name):
        """The hosts where the VM runs or is paused."""
        return [host for host in self.hosts if host.machine.process.poll() is None
                and host.guests().get(name) in ("running", "paused")]

    def ends(self, name):
        """(source, destination) of the VM's next move."""
        [source] = self.where(name)
        return source, self.b if source is self.a else self.a


def digested(done):
    """Bytes of memory, while the guest stood."""
    return done["ram"]["downtime-verify-bytes"]


def sent_standing(done):
    """Bytes of memory for which the guest stood, zero pages too: all, if it was not moved live."""
    return (done["stopped-round"]["pages"] + done["stopped-round"]["zero"]) * done["ram"]["page-size"]


def connected_standing(done):
    """The connections of a move that came to be, with keys by the end of a handshake, while the guest stood: ms."""
    phases = done["phases"]
    stop, run = phases["setup"] + phases["precopy"], done["total-time"] - phases["postcopy"]
    return [at for at in done["connections"] if stop <= at <= run]


def move(source, dest, name, *options, to=None, seconds=None, status=None):
    """Move it, or by way of a relay; returns what the source says in the end. It has arrived, and only there it is."""
    source.begin(name, to or dest, *options)
    done = source.wait_status(name, "completed", seconds=seconds)
    assert done["verify"] == ("verify" in options)
    assert digested(done) == (sent_standing(done) if done["verify"] else 0)
    assert name not in source.guests()
    assert dest.guests()[name] in ([status] if status else ("running", "paused"))
    there = dest.query(name)
    assert there["handoff"] == "running" and there["downtime-verify-bytes"] == digested(done)
    return done


def check(source, dest, name):
    """Would it be taken? What the source says, with the destination's warnings; nothing moves."""
    source.post(f"/v1/vms/{name}/migrate-check", dest=dest.address)
    done = source.wait_status(name, "completed")
    assert done["mode"] == "check" and name in source.guests()
    return done


def free_memory(host):
    """KiB."""
    return host.get("/v1/memory")["free_kib"]


def says(host, name, pattern):
    """Wait until a guest has printed it since we were last told; returns the match."""
    text = []

    def found():
        text.append(host.printed(name))
        return re.search(pattern, "".join(text))
    return host.wait_for(f"{name} says {pattern}", found)


def shell(host, command):
    """What a command prints on the guest's console."""
    mark = f"m{time.monotonic_ns()}"
    seen = [host.printed("linux")]
    host.type("linux", f"echo m''{mark[1:]}; {command}; echo end''{mark}")

    def printed():
        seen.append(host.printed("linux"))
        found = re.search(rf"\n{mark}\n(.*?)end{mark}", "".join(seen), re.S)
        return found and found.groups()
    return host.wait_for(f"console: {command}", printed)[0]


def beats(host, name="mover"):
    """The guest mover goes on and finds nothing wrong with itself. Returns the number of its beat."""
    host.printed(name)
    found = says(host, name, r"beat (\d+) at \d+ ms, \d+ writes, (.*)\n")
    assert found.group(2) == "0 wrong, 0 backwards, 0 strayed"
    return int(found.group(1))


def only_at(site, host):
    """The guest runs there, and its other copy is gone or stands still."""
    assert site.where("mover") == [host]
    return beats(host)


# --- What an outside client sees ----------------------------------------------------------------------------------

class Break(NamedTuple):
    """A time in which `downtime`, in the guest, was not run (guest/linux/downtime.c); s, by the guest's clocks."""
    at: float    # its begin, CLOCK_MONOTONIC
    length: float
    wall: float  # CLOCK_REALTIME at its end


class Seen(NamedTuple):
    """What the guest's `downtime` tells."""
    ahead: float   # how far the guest's CLOCK_MONOTONIC is ahead of ours, s
    within: float  # by how much that may be wrong at most, s
    breaks: list   # the last ones


def breaks(net):
    """Ask the guest's `downtime`."""
    before = time.monotonic()
    with net.connect(GUEST, 4001) as sock:
        text = sock.recv(65536)
        after = time.monotonic()
        text = (text + b"".join(iter(lambda: sock.recv(65536), b""))).decode()
    found = re.findall(r"^break \d+ at ([\d.]+) wall ([\d.]+) us (-?\d+)$", text, re.M)
    return Seen(float(re.search(r" now ([\d.]+) ", text).group(1)) - (before + after) / 2, (after - before) / 2,
                [Break(float(at), int(us) / 1e6, float(wall)) for at, wall, us in found])


class Asker:
    """Echo requests and ARP requests (a broadcast) to the guest, one at a time, and how often each was answered."""

    ASKS4 = "10.9.0.9"  # for whom ARP is asked: for its own address the kernel may ask, too, at any time

    def __init__(self, net):
        self.echo = net.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.link = net.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.link.bind(("br0", 0x0806))
        self.mac = self.link.getsockname()[4]
        self.asked, self.answers = 0, []

    def ask(self):
        self.asked += 1
        blank = struct.pack("!BBHHH", 8, 0, 0, 4711, self.asked)
        self.echo.sendto(blank[:2] + struct.pack("!H", checksum(blank)) + blank[4:], (GUEST, 0))

    def ask_all(self):
        """By a broadcast, which both hosts receive."""
        arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, self.mac, socket.inet_aton(self.ASKS4),
                          bytes(6), socket.inet_aton(GUEST))
        self.link.send(b"\xff" * 6 + self.mac + b"\x08\x06" + arp)

    def hear(self, count, seconds=60):
        """The answers so far, as soon as there are so many, and half a second for any that are too many."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for sock in select.select([self.echo, self.link], [], [], left)[0]:
                packet = sock.recv(2048)
                if sock is self.link and (packet[20:22], packet[28:32], packet[38:42]) == (
                        b"\0\2", socket.inet_aton(GUEST), socket.inet_aton(self.ASKS4)):
                    self.answers.append("arp")
                elif sock is self.echo and struct.unpack_from("!BBHH", packet, 20)[::3] == (0, 4711):
                    self.answers.append(struct.unpack_from("!H", packet, 26)[0])
            if len(self.answers) == count:
                deadline = min(deadline, time.monotonic() + 0.5)
        return sorted(map(str, self.answers))

    def close(self):
        self.echo.close()
        self.link.close()


class Ping(threading.Thread):
    """Echo requests at a steady pace. Two copies of a guest would answer twice."""

    def __init__(self, net, address=GUEST, pace=0.02):
        super().__init__(daemon=True)
        self.pace = pace
        self.sock = net.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.address, self.identifier = address, int.from_bytes(os.urandom(2), "big")
        self.sent, self.answered, self.doubles = [], {}, []
        self.over = threading.Event()

    def receive(self, until):
        while (left := until - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                packet = self.sock.recv(2048)
            except TimeoutError:
                return
            kind, _, _, identifier, number = struct.unpack_from("!BBHHH", packet, (packet[0] & 15) * 4)
            if kind != 0 or identifier != self.identifier:
                continue
            if number in self.answered:
                self.doubles.append(number)
            self.answered[number] = time.monotonic()

    def run(self):
        while not self.over.is_set():
            head = struct.pack("!BBHHH", 8, 0, 0, self.identifier, len(self.sent))
            packet = struct.pack("!BBHHH", 8, 0, checksum(head), self.identifier, len(self.sent))
            self.sent.append(time.monotonic())
            with contextlib.suppress(TimeoutError):  # a machine that stands takes none in the end
                self.sock.sendto(packet, (self.address, 0))
            self.receive(self.sent[-1] + self.pace)
        self.receive(time.monotonic() + 1)

    def stop(self):
        self.over.set()
        self.join()
        self.sock.close()

    def blackout(self):
        """Seconds of the longest time without an answer, between answers."""
        times = sorted(self.answered.values())
        return max(after - before for before, after in zip(times, times[1:]))

    def answers_after(self, moment):
        return sum(time_ > moment for time_ in self.answered.values())


def alive(net, address=GUEST, count=5, patience=60):
    """Does exactly one machine answer for the guest's address?"""
    done = net.run("busybox", "ping", "-c", count, "-i", "0.2", "-W", patience, address)
    assert "DUP" not in done.stdout, done.stdout
    return re.search(r"(\d+) packets received", done.stdout).group(1) == str(count)


class Sniffer:
    """What a hypervisor announces of guests: frames with our mark that come out of its tap, from now on."""

    PROTOCOLS = {0x0806: "ARP", 0x8035: "RARP", 0x86DD: "IPv6"}
    ALL, OUTGOING, ATTACH_FILTER = 3, 4, 26  # ETH_P_ALL; PACKET_OUTGOING: to the machine; SO_ATTACH_FILTER
    # The kernel throws others away, of which a move has more than a socket holds: load the type of the frame, accept
    # it if it is one of three.
    FILTER = [(0x28, 0, 0, 12), *((0x15, 3 - i, 0, protocol) for i, protocol in enumerate(PROTOCOLS)),
              (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF)]

    def __init__(self, net, tap):
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in self.FILTER))
        self.socket = net.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.setsockopt(socket.SOL_SOCKET, self.ATTACH_FILTER,
                               struct.pack("HP", len(self.FILTER), ctypes.addressof(program)))
        self.socket.bind((tap, self.ALL))
        self.socket.setblocking(False)
        self.said = set()

    def announced(self):
        """(protocol, MAC, address) of each: who has which; RARP has no address."""
        while frame := self.next():
            if b"GODWITAN" in frame:
                self.said.add(self.parse(frame))
        return self.said

    def next(self):
        while True:
            try:
                frame, (_, _, kind, *_) = self.socket.recvfrom(2048)
            except BlockingIOError:
                return b""
            if kind != self.OUTGOING:
                return frame

    def parse(self, frame):
        protocol = self.PROTOCOLS[struct.unpack_from("!H", frame, 12)[0]]
        mac, address = frame[6:12], ""
        if protocol == "ARP":
            assert frame[28:32] == frame[38:42] and frame[22:28] == mac  # sender's and target's are the same
            address = socket.inet_ntop(socket.AF_INET, frame[28:32])
        elif protocol == "IPv6":
            assert (frame[20], frame[54]) == (58, 136) and frame[80:86] == mac  # an advertisement, with the MAC
            address = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        else:
            assert frame[22:28] == frame[32:38] == mac
        return protocol, mac.hex(":"), address

    def close(self):
        self.socket.close()


class Stream(threading.Thread):
    """A TCP connection to a port of the guest, in use until it is over."""

    def __init__(self, net, port):
        super().__init__(daemon=True)
        self.sock, self.over = net.connect(GUEST, port), threading.Event()

    def run(self):
        try:
            self.use()
        except OSError:
            if not self.over.is_set():
                raise

    def give_up(self):
        """The guest is gone, or a test has failed: nobody wants to know what becomes of it."""
        self.over.set()
        with contextlib.suppress(OSError):  # it has ended
            self.sock.shutdown(socket.SHUT_RDWR)
        self.join()
        self.sock.close()


class Upload(Stream):
    """A TCP stream to the guest's discard, which in the end tells how much came and its CRC. Without a pause it is as
    fast as the guest takes it."""

    def __init__(self, net, pause=0.01, block=16384):
        super().__init__(net, 9)
        self.pause, self.block = pause, os.urandom(block)
        self.size = self.crc = 0

    def use(self):
        while not self.over.wait(self.pause):
            block = self.block[self.size % 251:]  # other contents each time
            self.sock.sendall(block)
            self.size += len(block)
            self.crc = zlib.crc32(block, self.crc)

    def waiting(self):
        """Bytes that the guest has not acknowledged yet."""
        return struct.unpack("i", ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]

    def arrived(self):
        """Bytes that it has, or a block more."""
        return self.size - self.waiting()

    def check(self):
        """End the stream: no byte was lost, doubled or changed, or this fails."""
        self.over.set()
        self.join()
        self.sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: self.sock.recv(100), b""))
        self.sock.close()
        assert answer.decode() == f"{self.size} {self.crc:08x}\n"
        return self.size


class Download(Stream):
    """A TCP stream from the guest, of a known pattern, until it is stopped or checked. Without a pause it is as fast as
    the guest sends it."""

    GOLDEN = 0x9E3779B97F4A7C15

    def __init__(self, net, pause=0, block=1 << 20):
        super().__init__(net, 19)
        self.pause, self.block = pause, block
        self.crc = self.got = 0

    def use(self):
        self.sock.sendall(b"%d\n" % (1 << 62))
        while not self.over.wait(self.pause) and (data := self.sock.recv(self.block)):
            self.got += len(data)
            self.crc = zlib.crc32(data, self.crc)

    def stop(self):
        """End the stream: how many bytes came."""
        self.over.set()
        self.join()
        self.sock.close()
        return self.got

    def check(self):
        """End the stream: what came is what the guest should have sent, without a gap, or this fails."""
        self.stop()
        crc = 0
        for at in range(0, self.got, 1 << 16):
            words = (i * self.GOLDEN & (1 << 64) - 1 for i in range(at // 8, (at + (1 << 16)) // 8))
            crc = zlib.crc32(b"".join(word.to_bytes(8, "little") for word in words)[:self.got - at], crc)
        assert self.crc == crc
        return self.got


class Typist(Stream):
    """A few bytes at a time to the guest's echo, as a person at a shell does: each answer is waited for."""

    def __init__(self, net, pause=0.02):
        super().__init__(net, 7)
        self.pause, self.lines, self.error = pause, 0, None

    def use(self):
        try:
            while not self.over.wait(self.pause):
                line = b"line %d\n" % self.lines
                self.sock.sendall(line)
                back = b""
                while len(back) < len(line):
                    piece = self.sock.recv(100)
                    assert piece, "the connection ended"
                    back += piece
                assert back == line
                self.lines += 1
        except (OSError, AssertionError) as error:
            self.error = error

    def check(self):
        self.over.set()
        self.join()
        self.sock.close()
        assert not self.error and self.lines, self.error
        return self.lines
