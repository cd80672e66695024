# SPDX-License-Identifier: BSD-2-Clause
"""Linux guests on a network: they serve, data arrives unharmed, and one guest's end is not another's."""

import json
import threading
import time

from api import GODWIT
from kernel_log import suspicious
from machine import PROGRAM, SOON, TIMEOUT, guest_lines, vm
from network import CLIENT4
from serving import BULK, GUEST, HOST, READY, pattern, ping, receive, send, serves, shell

LEASED = "10.9.0.50"
BASE = f"[net]\naddress = {HOST}/24\n[api]\naccess = open\ninsecure = yes\n"
STUMBLE = 15  # s: an emulator may wait for a processor, and TCP for 0.2, 0.4, 0.8 and 1.6 s before it sends again


def linux(name, cmdline, **keys):
    return vm(name, "vmlinuz", initrd="initramfs.cpio", memory="256M", cmdline=f"{SOON} {cmdline}", **keys)


def drops_in_its_driver(net, machine):
    """The guest's driver runs an XDP program, for which it gives up its offloads, and takes them up again."""
    shell(net, "linux", "xdp &")
    machine.wait(r"linux: \| xdp: ICMP is dropped in the driver of eth0", TIMEOUT["qemu"])
    assert "0 packets received" in net.run("busybox", "ping", "-c", 3, "-W", 1, GUEST).stdout
    send(net, GUEST, BULK["qemu"])
    receive(net, GUEST, BULK["qemu"])
    shell(net, "linux", "killall xdp; wait; expr 6 '*' 8000")
    machine.wait(r"linux: \| 48000", TIMEOUT["qemu"])
    ping(net, GUEST)
    send(net, GUEST, BULK["qemu"])
    assert not suspicious(guest_lines(machine.log, "linux"))


def test_serves(net, tmp_path):
    """On AMD-V and by virtio; test_migrate_bochs has VT-x and an e1000. At the end it powers off."""
    machine = net.boot(tmp_path, BASE + linux("linux", f"ip={GUEST}/24 gw={CLIENT4}"), "qemu", "virtio", cpus=2,
                       mem=512)
    serves(net, machine, "qemu", 1)
    drops_in_its_driver(net, machine)
    shell(net, "linux", "leave poweroff")
    machine.wait(r"vm: linux: passed: powered off", TIMEOUT["qemu"])


class Stream(threading.Thread):
    """A TCP stream from the guest that goes on until it is told to stop; keeps what went wrong, and the longest gap."""

    def __init__(self, sock):
        super().__init__()
        self.sock, self.size, self.gap, self.error, self.stop = sock, 0, 0, None, False
        sock.sendall(b"%d\n" % (1 << 40))

    def run(self):
        block, last = pattern(1 << 20), time.monotonic()
        try:
            while not self.stop:
                data = self.sock.recv(len(block))
                at = self.size % len(block)
                # Words go on growing: only the first block is known by heart, later ones by their length alone.
                assert data and (self.size + len(data) > len(block) or data == block[at:at + len(data)])
                self.size += len(data)
                self.gap, last = max(self.gap, time.monotonic() - last), time.monotonic()
        except (OSError, AssertionError) as error:
            self.error = error


def test_one_guest_ends_and_the_other_goes_on(net, tmp_path):
    """Two guests reach each other and the outside. One dies of a triple fault: the other's stream does not stumble."""
    with net.dhcp_server(tmp_path, LEASED):
        config = BASE + linux("stays", f"quiet ip={GUEST}/24")
        config += linux("dies", "quiet panic=-1 reboot=t", on_crash="stop")
        machine = net.boot(tmp_path, config, "qemu", "virtio", cpus=2, mem=1024)
        machine.wait(READY.format("dies"), TIMEOUT["qemu"])
        deadline = time.monotonic() + PROGRAM
        while "1 packets received" not in net.run("busybox", "ping", "-c", 1, "-W", 1, LEASED).stdout:
            assert time.monotonic() < deadline, "no address by DHCP"
    ping(net, GUEST)
    shell(net, "dies", f"wget -q -O - http://{GUEST}/ | grep -c Godwit; ping -c 1 -q {CLIENT4} | grep received")
    machine.wait(r"dies: \| 2\n(.|\n)*dies: \| 1 packets transmitted, 1 packets received", TIMEOUT["qemu"])
    with net.connect(GUEST, 19) as sock:
        stream = Stream(sock)
        stream.start()
        while stream.size < 1 << 20 and not stream.error:
            time.sleep(0.05)
        shell(net, "dies", "echo c >/proc/sysrq-trigger")
        machine.wait(r"vm: dies: crashed: triple fault", TIMEOUT["qemu"])
        before = stream.size
        while stream.size < before + (8 << 20) and not stream.error:
            time.sleep(0.05)
        stream.stop = True
        stream.join()
    assert stream.error is None
    assert stream.gap < STUMBLE, f"nothing came for {stream.gap} s"
    send(net, GUEST, BULK["qemu"])
    vms = net.run(GODWIT, "-H", HOST, "vms").stdout
    assert "stays  running" in vms and "dies   crashed" in vms


def look(net, machine):
    """When, the guest's exits, and the emulator's seconds of processor time."""
    exits = json.loads(net.run(GODWIT, "-H", HOST, "--json", "vm", "linux").stdout)["exits"]
    return time.monotonic(), exits, machine.cpu_seconds()


def test_idle_guest_sleeps(net, tmp_path):
    """Linux with nothing to do (docs/linux.md): at most 20 exits a second, and an emulator that sleeps, for 20 s. What
    its kernel puts off until after the boot takes longer on a busy machine, but not for ever."""
    config = BASE + linux("linux", f"quiet ip={GUEST}/24 tsc=nowatchdog")
    machine = net.boot(tmp_path, config, "qemu", "virtio", cpus=2, mem=512)
    machine.wait(READY.format("linux"), TIMEOUT["qemu"])
    looks, rate, busy = [look(net, machine)], None, None
    while len(looks) < 5 or rate > 20 or busy > 1:
        assert len(looks) < 36, f"still {rate:.1f} exits a second, and {busy:.1f} s of the emulator in 20"
        time.sleep(5)  # four of them are the length of the measurement
        looks.append(look(net, machine))
        begin, end = looks[-5:][0], looks[-1]
        rate, busy = (end[1] - begin[1]) / (end[0] - begin[0]), end[2] - begin[2]
    print(f"\n{rate:.1f} exits a second")
