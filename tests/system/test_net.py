# SPDX-License-Identifier: BSD-2-Clause
"""The hypervisor on a network: it answers, carries bulk data unharmed, gets an address, sleeps when nobody calls."""

import datetime
import random
import re
import socket
import struct
import threading
import time

import pytest
from machine import TIMEOUT, vm
from network import CLIENT4, Network

OURS4, OURS6 = "10.9.0.2", "fd09::2"
STATIC = f"[net]\naddress = {OURS4}/24\naddress6 = {OURS6}/64\ntest-services = yes\n"
CARDS = [pytest.param(("qemu", "e1000"), marks=pytest.mark.smoke), ("qemu", "virtio"), ("bochs", "e1000")]
MASK = (1 << 64) - 1
SYSLOG = re.compile(r'<(\d+)>1 (\S+)Z 10\.9\.0\.2 godwit - - \[meta sequenceId="(\d+)"\] (.*)')
PRIORITIES = {"err": "27", "warn": "28", "info": "30", "debug": "31"}


def up(net, directory, emu, model, config=STATIC, **options):
    """Boot and wait until the interface is there."""
    machine = net.boot(directory, config, emu, model, **options)
    found = machine.wait(r" net: up (\S+) mac (\S+) uplink (\w+)", TIMEOUT[emu])
    assert found.group(3) == model
    machine.address, machine.mac = found.group(1), found.group(2)
    return machine


def ping(net, address, count=5, size=56):
    done = net.run("busybox", "ping", "-c", count, "-i", "0.2", "-W", 60, "-s", size, address)
    assert f"{count} packets received" in done.stdout, done.stdout


def hears_log(server, machine, last):
    """What a syslog server receives up to the line `last` is what the machine has logged, from its first line on, each
    line once, in order, numbered, with its level and the time of the event. Returns that of the first one."""
    server.settimeout(60)
    heard = []
    while not heard or last not in heard[-1][3]:
        heard.append(SYSLOG.fullmatch(server.recv(2048).decode()).groups())
    said = re.findall(r"^\[ *(\d+\.\d+)\] cpu\d+ (\w+) +(.*)$", machine.log, re.M)[:len(heard)]
    assert [(number, priority, text) for priority, _, number, text in heard] == \
        [(str(i), PRIORITIES[level], text) for i, (_, level, text) in enumerate(said, 1)]
    times = [datetime.datetime.fromisoformat(time) for _, time, _, _ in heard]
    for time, (stamp, _, _) in zip(times, said):
        assert abs((time - times[0]).total_seconds() - (float(stamp) - float(said[0][0]))) < 0.00001
    return times[0]


def claim_address(net, machine):
    """Somebody says by ARP to have the machine's address. It warns, contradicts, and keeps it."""
    other, ours = bytes.fromhex("525400998877"), socket.inet_aton(OURS4)
    mac = bytes.fromhex(machine.mac.replace(":", ""))
    with net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.settimeout(60)
        sock.bind(("br0", 0x0806))
        sock.send(b"\xff" * 6 + other + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) +
                  other + ours + bytes(6) + ours)
        machine.wait(f"{other.hex(':')} says to have our address, too", TIMEOUT["qemu"])
        while True:
            frame = sock.recv(2048)
            if frame[22:32] == mac + ours and frame[38:42] == ours:  # an announcement
                break
    ping(net, OURS4)


def mislead(net):
    """A move's announcement says that another MAC has our own address: nobody but switches is to believe it."""
    other, ours = bytes.fromhex("525400998877"), socket.inet_aton(CLIENT4)
    with net.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("br0", 0x0806))
        sock.send((b"\xff" * 6 + other + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) +
                   other + ours + bytes(6) + ours).ljust(60, b"\0") + b"GODWITAN")
    ping(net, OURS4)


@pytest.fixture(scope="module", params=CARDS, ids="-".join)
def card(tmp_path_factory, request):
    """(emulator, model of its card, network, machine, server of its log)"""
    emu, model = request.param
    with Network() as net:
        server = net.socket(kind=socket.SOCK_DGRAM)
        server.bind(("10.9.0.1", 5514))
        machine = up(net, tmp_path_factory.mktemp("card"), emu, model, STATIC + "syslog = 10.9.0.1:5514\n")
        yield emu, model, net, machine, server


def test_ping(card):
    """Echo by IPv4 and IPv6, small and of a full frame, without a loss; the MAC is a local one beside the card's. Who
    claims its address by ARP does not get it; what is announced of a move does not change whom it answers. A syslog
    server has its log."""
    emu, _, net, machine, server = card
    assert (machine.address, machine.mac) == (OURS4, "56:54:00:12:34:56")
    ping(net, OURS4)
    ping(net, OURS4, size=1472)
    ping(net, OURS6)
    claim_address(net, machine)
    mislead(net)
    net.connect(OURS4, 9).close()  # one more line
    machine.wait(r"discard: 0 bytes", TIMEOUT[emu])
    began = hears_log(server, machine, "discard: 0 bytes")
    if emu == "qemu":  # whose clock is the machine's
        assert abs((datetime.datetime.utcnow() - began).total_seconds()) < 300


def sum_of(block, times):
    """The sum that discard logs, of a block of whole words sent several times."""
    words = struct.unpack(f"<{len(block) // 8}Q", block)
    first = second = block_first = block_second = 0
    for word in words:
        block_first = (block_first + word) & MASK
        block_second = (block_second + block_first) & MASK
    for _ in range(times):
        second = (second + len(words) * first + block_second) & MASK
        first = (first + block_first) & MASK
    return f"{second:016x}{first:016x}"


def discard(net, machine, size, timeout, address=OURS4):
    """Send at least size bytes; the hypervisor has counted and summed the same."""
    block = random.Random(1).randbytes(65536)
    times = -(-size // len(block))
    with net.connect(address, 9) as sock:
        for _ in range(times):
            sock.sendall(block)
    found = machine.wait(r"discard: (\d+) bytes in \d+ us, (\d+) kB/s, sum (\w+)", timeout)
    assert int(found.group(1)) == times * len(block)
    assert found.group(3) == sum_of(block, times)
    return int(found.group(2))


def source(net, size, address=OURS4):
    """Read size bytes of the pattern; returns kB/s."""
    pattern = b"".join(struct.pack("<Q", n) for n in range(2048))
    start, position = time.monotonic(), 0
    with net.connect(address, 19) as sock:
        while position < size:
            data = sock.recv(1 << 20)
            assert data
            at = position % len(pattern)
            expected = (pattern * (len(data) // len(pattern) + 2))[at:at + len(data)]
            assert data == expected, f"wrong byte after {position}"
            position += len(data)
    return int(position / (time.monotonic() - start) / 1000)


def echo(net, size, address=OURS4):
    """What goes there comes back, while both directions are busy."""
    data = random.Random(2).randbytes(size)
    with net.connect(address, 7) as sock:
        def send():
            sock.sendall(data)
            sock.shutdown(1)
        sender = threading.Thread(target=send)
        sender.start()
        back = bytearray()
        while piece := sock.recv(1 << 20):
            back += piece
        sender.join()
    assert back == data


# Bytes: some seconds' worth each.
BULK = {("qemu", "e1000"): 32 << 20, ("qemu", "virtio"): 64 << 20, ("bochs", "e1000"): 2 << 20}


def test_bulk_tcp(card):
    emu, model, net, machine, _ = card
    size = BULK[emu, model]
    rate_in = discard(net, machine, size, TIMEOUT[emu])
    rate_out = source(net, size // 2)
    echo(net, size // 32)
    print(f"\n{emu} {model}: {rate_in} kB/s in, {rate_out} kB/s out")


def test_tcp_over_ipv6(net, tmp_path):
    machine = up(net, tmp_path, "qemu", "virtio")
    discard(net, machine, 16 << 20, TIMEOUT["qemu"], OURS6)
    source(net, 8 << 20, OURS6)
    echo(net, 1 << 20, OURS6)


def test_dhcp(net, tmp_path):
    with net.dhcp_server(tmp_path, "10.9.0.50"):
        machine = up(net, tmp_path, "qemu", "e1000", "[net]\nmac = 02:00:00:00:00:99\n")
        assert (machine.address, machine.mac) == ("10.9.0.50", "02:00:00:00:00:99")
        ping(net, machine.address)


@pytest.mark.parametrize("model", ["e1000", "virtio"])
def test_idle_host_sleeps(net, tmp_path, model):
    """With its network up and nothing to do, the emulator uses less than a twentieth of a processor. What others do to
    this machine can only make it more: of a few measurements the least counts."""
    machine = up(net, tmp_path, "qemu", model)
    ping(net, OURS4)
    used = [1.0]
    while min(used) >= 0.2 and len(used) < 6:
        before = machine.cpu_seconds()
        time.sleep(4)  # the length of a measurement
        used.append(machine.cpu_seconds() - before)
    assert min(used) < 0.2, f"s of processor time in 4 s: {used[1:]}"
    ping(net, OURS4)


@pytest.mark.parametrize("cpus", [1, 2])
def test_answers_beside_a_busy_guest(net, tmp_path, cpus):
    """A guest that never halts, on the host loop's processor or on another one."""
    config = STATIC + vm("busy", "hostile.elf", cmdline="attack=loop")
    machine = up(net, tmp_path, "qemu", "e1000", config, cpus=cpus)
    machine.wait("busy: first entry", TIMEOUT["qemu"])
    ping(net, OURS4, count=10)
    discard(net, machine, 4 << 20, TIMEOUT["qemu"])


def test_no_card(net, tmp_path):
    """A card of the wrong kind is left alone, and said to be missing."""
    machine = net.boot(tmp_path, STATIC + "uplink = virtio\n", "qemu", "e1000")
    machine.wait("net: no network card", TIMEOUT["qemu"])
    machine.wait(f"net: up {OURS4} .* uplink none", TIMEOUT["qemu"])
