# SPDX-License-Identifier: BSD-2-Clause
"""A network of its own for a test: a namespace with a bridge, taps for emulators, and sockets for the test.

Nothing of the machine's own network is touched. As root the namespace is a plain one; anybody else gets one inside a
user namespace, where the kernel allows that. What is missing is said by Unavailable, which skips a test (conftest.py).

    with Network() as net:
        machine = net.boot(directory, config, "qemu", model="virtio")
        machine.wait("net: up")
        sock = net.socket()
        sock.connect(("10.9.0.2", 9))

The bridge is the test's own place: it has 10.9.0.1/24 and fd09::1/64.
"""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from machine import LIFETIME, PROGRAM, ROOT, RUN, run_name, run_to_end, started

CLIENT4, CLIENT6 = "10.9.0.1", "fd09::1"
BOCHS_ALONE_IPS = 50_000_000  # more than it reaches: it never waits for the clock


def checksum(data):
    """Of the Internet: RFC 1071."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Unavailable(Exception):
    """This machine cannot make the network; the message says what is missing."""


class Late(AssertionError):
    """What was waited for has not come; the first line says what, and where all of the console is."""


class Machine:
    """A running emulator on a tap of the network. Its console is always read: a full pipe would make it stand. `file`
    has it all, too."""

    def __init__(self, command, file="the console"):
        self.file = file
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
                                        stdin=subprocess.DEVNULL)
        self.log, self.seen, self.ended = "", 0, False
        self.more = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self.more:
                self.log += data.decode("latin-1")
                self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def wait(self, pattern, timeout):
        """Wait until the console says `pattern`; returns the match. Looks at what has not been matched before."""
        deadline = time.monotonic() + timeout
        with self.more:
            while not (found := re.search(pattern, self.log[self.seen:self.log.rfind("\n") + 1])):  # whole lines only
                if self.ended:
                    raise Late(f"the machine ended without {pattern!r}, see {self.file}:\n{self.log[-4000:]}")
                if not self.more.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise Late(f"no {pattern!r} within {timeout} s, see {self.file}:\n{self.log[-4000:]}")
            self.seen += found.end()
        return found

    def emulator(self):
        """Process id of the emulator, the runner's only child."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def cpu_seconds(self):
        """CPU time of the emulator."""
        fields = Path(f"/proc/{self.emulator()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        """As if its power failed: no word to anybody."""
        os.kill(self.emulator(), signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self.reader.join(30)
        self.process.stdout.close()


class Network:
    def __enter__(self):
        unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PROGRAM)
        self.asking = threading.Lock()
        self.machines, self.taps = [], 0
        self.keyring = None  # of its hypervisors, if they have keys
        # It ends, and the namespace with it, when our end of the socket is closed, however we end.
        self.keeper = subprocess.Popen([*unshare, sys.executable, __file__, str(theirs.fileno())],
                                       pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        theirs.close()
        if not self.control.recv(1):
            raise Unavailable("no network namespace: " + self.keeper.communicate()[1].decode().strip())
        self.enter = ["nsenter", "--target", str(self.keeper.pid), "--net"]
        if os.geteuid() != 0:
            self.enter += ["--user", "--preserve-credentials"]
        try:
            self.ip("link set lo up", "link add br0 type bridge forward_delay 0", "link set br0 up",
                    f"address add {CLIENT4}/24 dev br0", f"address add {CLIENT6}/64 dev br0 nodad")
            self.tap()
        except Unavailable:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.ExitStack() as stack:  # one that does not end leaves no others
            stack.callback(self.keeper.communicate, timeout=60)
            stack.callback(self.control.close)
            for machine in self.machines:
                stack.callback(machine.stop)

    def run(self, *command, **options):
        """A command in the namespace; its output and status."""
        return run_to_end([*self.enter, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)

    def ip(self, *commands):
        for command in commands:
            done = self.run("ip", *command.split())
            if done.returncode:
                raise Unavailable(f"ip {command}: {done.stdout.strip()}")

    def tap(self):
        """A tap on the bridge; returns its name. Its queue outlasts an emulator that waits for a processor."""
        name = f"tap{self.taps}"
        self.taps += 1
        self.ip(f"tuntap add {name} mode tap", f"link set {name} txqueuelen 10000 master br0", f"link set {name} up")
        return name

    @contextlib.contextmanager
    def dhcp_server(self, directory, address):
        """One that has this address to give, while the context lasts."""
        (directory / "leases").touch()
        (directory / "udhcpd.conf").write_text(
            f"start {address}\nend {address}\ninterface br0\noption subnet 255.255.255.0\noption router {CLIENT4}\n"
            f"lease_file {directory}/leases\npidfile {directory}/pid\n")
        with started([*self.enter, "busybox", "udhcpd", "-f", directory / "udhcpd.conf"], LIFETIME,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            yield

    def boot(self, directory, config, emu, model="e1000", mac="52:54:00:12:34:56", tap="tap0", cpus=1, mem=256,
             lifetime=LIFETIME, extra=(), options=(), alone=True):
        """Boot a machine; it is stopped after `lifetime` seconds.

        `extra` are further arguments of QEMU, `options` such of tools/run. In Bochs a machine that is not `alone` keeps
        pace with real time, so that others don't wait for it, nor it for them; its firmware takes longer for that.
        """
        if emu == "bochs" and alone:
            options = ("--ips", BOCHS_ALONE_IPS, *options)
        path = directory / "godwit.cfg"
        path.write_text(config)
        name = f"{run_name(directory)}-{emu}-{model}-{tap}"
        command = [*self.enter, RUN, "--emu", emu, "--cpus", cpus, "--mem", mem, "--timeout",
                   lifetime, "--net", f"{tap}:{mac}:{model}",
                   "--name", name, *options, path, *(["--", *extra] if extra else [])]
        self.machines.append(Machine([str(word) for word in command], f"build/run/{name}/serial.log"))
        return self.machines[-1]

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        """A socket that lives in the namespace and belongs to the test."""
        with self.asking:
            self.control.send(f"{int(family)} {int(kind)} {protocol}".encode())
            answer, descriptors, _, _ = socket.recv_fds(self.control, 100, 1)
        if not descriptors:
            raise OSError(answer.decode())
        return socket.socket(fileno=descriptors[0])

    def connect(self, address, port, own_port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = self.socket(family)
        sock.settimeout(PROGRAM)
        if own_port:
            sock.bind(("", own_port))
        sock.connect((address, port))
        return sock


def keep(control):
    """In the namespace: make sockets for whoever asks."""
    control.send(b"!")
    while request := control.recv(100):
        try:
            with socket.socket(*map(int, request.split())) as sock:
                socket.send_fds(control, [b"ok"], [sock.fileno()])
        except OSError as error:
            control.send(str(error).encode())


if __name__ == "__main__":
    keep(socket.socket(fileno=int(sys.argv[1])))
