# SPDX-License-Identifier: BSD-2-Clause
"""What a Linux guest does for clients on a network: it answers, serves pages, and data arrives unharmed.

    machine = net.boot(directory, config, "qemu", "virtio")     # with a guest "linux" at GUEST
    serves(net, machine, "qemu", 1)
"""

import os
import struct
import zlib

from kernel_log import suspicious
from machine import TIMEOUT, guest_lines

HOST, GUEST, GUEST6 = "10.9.0.2", "10.9.0.3", "fd09::3"
BULK = {"qemu": 8 << 20, "bochs": 256 << 10}
READY = r"{}: \| godwit-guest: ready"
WGET = ["busybox", "wget", "-q", "-O", "-"]
# Until the guest has found that nobody else has one of its addresses of IPv6.
NO_TENTATIVE = "while ip addr show eth0 | grep -q tentative; do sleep 0.1; done"
GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def shell(net, name, line):
    """Type a line at the guest's console; as many bytes arrive as were sent."""
    done = net.run(*WGET, "--post-data", line + "\n", f"http://{HOST}/v1/vms/{name}/console")
    assert done.stdout == '{"written":%d}' % (len(line) + 1)


def ping(net, address, size=56):
    done = net.run("busybox", "ping", "-c", 5, "-i", "0.2", "-W", 60, "-s", size, address)
    assert "5 packets received" in done.stdout, done.stdout


def send(net, address, size):
    """To the guest; it has received the same bytes."""
    data = os.urandom(size)
    with net.connect(address, 9) as sock:
        sock.sendall(data)
        sock.shutdown(1)
        assert sock.recv(100).decode().split() == [str(size), f"{zlib.crc32(data):08x}"]


def pattern(size):
    return b"".join(struct.pack("<Q", i * GOLDEN & MASK) for i in range(size // 8))


def receive(net, address, size):
    """From the guest; they are the bytes that it was to send."""
    expected = pattern(size)
    with net.connect(address, 19) as sock:
        sock.sendall(b"%d\n" % size)
        data = bytearray()
        while piece := sock.recv(1 << 20):
            data += piece
    assert data == expected


def serves(net, machine, emu, vcpus):
    """When it has booted, its kernel has nothing to complain of. Echo, HTTP and bulk TCP both ways with checksums, by
    IPv4 and IPv6; the console both ways."""
    machine.wait(READY.format("linux"), TIMEOUT[emu])
    lines = guest_lines(machine.log, "linux")
    assert any(f"Brought up 1 node, {vcpus} CPU" in line for line in lines) and not suspicious(lines)
    ping(net, GUEST)
    ping(net, GUEST, size=1472)
    assert "A Godwit guest" in net.run(*WGET, f"http://{GUEST}/").stdout
    send(net, GUEST, BULK[emu])
    receive(net, GUEST, BULK[emu])
    shell(net, "linux", f"ip addr add {GUEST6}/64 dev eth0; {NO_TENTATIVE}; expr 6 '*' 7000")
    machine.wait(r"linux: \| 42000\n", TIMEOUT[emu])
    ping(net, GUEST6)
    send(net, GUEST6, BULK[emu])
    receive(net, GUEST6, BULK[emu])
