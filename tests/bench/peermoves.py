# SPDX-License-Identifier: BSD-2-Clause
"""Moves by Godwit, and by Linux, KVM-AMD and QEMU on the very same emulated machines, below called the peer.

    prepare([case])
    move = MAKERS["peer"](case)        # an object of a run's JSON; raises one of FAILURES

The peer: two emulated machines without virtualization hardware under them (QEMU's TCG with SVM, a virtio card on one
bridge) each boot Debian's cloud kernel and, from memory, QEMU with KVM. The guest is the one that Godwit gets: same
kernel, initramfs, command line, memory and load. It moves with stock settings and no bandwidth limit, while a probe
outside pings it every 2 ms. Godwit: the same machines boot it from UEFI instead. Every move is made by freshly booted
machines, and is in the clear unless its case says TLS.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from loads import LOADS, PLAIN
from moves import GUEST, INTERVAL, ROOT, cmdline, linux, observed_move, two_hypervisors
from migration import alive
from network import Machine, Network
from probe import Probe, blackout_ms, gaps, lost

BUILD = ROOT / "build/bench"
SOURCE, DESTINATION = "10.9.0.2", "10.9.0.4"
BESIDE = 1280      # MiB of a machine beside its guest's memory
AROUND = 2.0       # s of probing before the move is asked for, and after it is done
BOOT_TIMEOUT, MOVE_TIMEOUT = 600, 300  # s; an emulator on a busy machine
NO_LIMIT = 10 << 30  # bytes/s: far beyond what the machines can
HEARD_TIMEOUT, PATIENCE = 120, 20  # s, until a guest that has moved answers; of each question
QUIET, QUIET_SECONDS, QUIET_TIMEOUT = 0.25, 2, 60  # below this part of a processor, for so long, a machine is idle; s
FAILURES = (AssertionError, OSError, RuntimeError, subprocess.SubprocessError)


# What QEMU is told to be capable of, by mode; Godwit's post-copy is the same in both.
CAPABILITIES = {"live": (), "post-copy": ("postcopy-ram",), "post-copy-preempt": ("postcopy-ram", "postcopy-preempt")}


class Case(NamedTuple):
    """What both sides of a pair have in common."""
    load: str
    memory: int  # MiB, of the guest
    cpus: int    # of each machine; the guest has one
    mode: str    # of CAPABILITIES
    tls: bool    # both sides encrypt


class Qmp:
    """QEMU's control connection: call it with a command and its arguments."""

    def __init__(self, net, host):
        self.file = self.connect(net, host).makefile("rw")
        self.file.readline()  # the greeting
        self("qmp_capabilities")

    @staticmethod
    def connect(net, host):
        """As soon as there is somebody."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while True:
            try:
                return net.connect(host, 4445)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def __call__(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline() or '{"error": "the connection ended"}')
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]  # what comes before it are events


def boot(net, case, tap, mac, words):
    """A machine of the peer's pair: what Godwit's machines are, RAM that is there from the beginning included, with a
    kernel and a root file system in place of Godwit."""
    load, size = LOADS[case.load], case.memory + BESIDE
    guest = cmdline(load.words()).replace(" ", ",")
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", str(case.cpus), "-m", str(size),
               "-object", f"memory-backend-ram,id=ram,size={size}M,prealloc=on", "-machine", "pc,memory-backend=ram",
               "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
               "-kernel", ROOT / "build/guest/vmlinuz", "-initrd", BUILD / f"peer-{load.archive}",
               "-append", f"console=ttyS0 quiet {words} guest-memory={case.memory} guest={guest}",
               "-netdev", f"tap,id=net0,ifname={tap},script=no,downscript=no",
               "-device", f"virtio-net-pci,disable-legacy=on,netdev=net0,mac={mac},romfile="]
    net.machines.append(Machine([str(word) for word in [*net.enter, *command]]))
    return net.machines[-1]


def cpu_seconds(machine):
    fields = Path(f"/proc/{machine.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_idle(machines):
    """Until each has been quiet for a while."""
    deadline = time.monotonic() + QUIET_TIMEOUT
    while True:
        before = [cpu_seconds(machine) for machine in machines]
        time.sleep(QUIET_SECONDS)
        used = [(cpu_seconds(machine) - start) / QUIET_SECONDS for machine, start in zip(machines, before)]
        if max(used) < QUIET:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the machines do not come to rest: {used} processors")


def encrypt(source, destination):
    """Both ends have the key of their archive (mkpeer)."""
    for machine, endpoint in ((source, "client"), (destination, "server")):
        machine("object-add", **{"qom-type": "tls-creds-psk", "id": "tls", "dir": "/psk", "endpoint": endpoint})
        machine("migrate-set-parameters", **{"tls-creds": "tls"})


def listen(source, destination, case):
    """Both ends know what they may do, and the destination waits for the guest."""
    wanted = CAPABILITIES[case.mode]
    for machine, names in ((source, wanted), (destination, (*wanted, "postcopy-blocktime") if wanted else ())):
        machine("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names])
    if case.tls:
        encrypt(source, destination)
    source("migrate-set-parameters", **{"max-bandwidth": NO_LIMIT, "max-postcopy-bandwidth": NO_LIMIT})
    destination("migrate-incoming", uri="tcp:0.0.0.0:4444")


def migrate(source, mode):
    """Move, and wait for the end: when it was asked for, and when the end was seen."""
    begin = time.monotonic()
    source("migrate", uri=f"tcp:{DESTINATION}:4444")
    if mode != "live":
        source("migrate-start-postcopy")
    while True:
        time.sleep(0.1)
        figures = source("query-migrate")
        end = time.monotonic()
        if figures.get("status") in ("completed", "failed", "cancelled"):
            return begin, end
        if end - begin > MOVE_TIMEOUT:
            raise RuntimeError(f"the move did not end: {figures}")


def probed_move(net, machines, source, mode):
    """A move under the eyes of the probe: QEMU's figures, with the emulators' CPU time added, and what was seen."""
    probe = Probe(net.socket)
    probe.start(GUEST, INTERVAL)
    try:
        time.sleep(AROUND)
        before = sum(map(cpu_seconds, machines))
        begin, end = migrate(source, mode)
        used = sum(map(cpu_seconds, machines)) - before
        wait_heard(net)
        time.sleep(AROUND)
    finally:
        samples = probe.stop()
    figures = source("query-migrate")  # only now: "completed" is said a moment before its times are there
    figures["cpu-time"] = round(used * 1000)  # ms, both machines; on a busy host it says more than the clock does
    return figures, {"interval": INTERVAL * 1000, "start": samples[0][0], "migrate-start": begin, "migrate-end": end,
                     "samples": samples}


def wait_heard(net):
    """Until the guest answers again: where all is slow, that is long after the move."""
    deadline = time.monotonic() + HEARD_TIMEOUT
    while not alive(net, count=1, patience=PATIENCE):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the guest was not heard within {HEARD_TIMEOUT} s of its move")


def check_alive(destination, probe):
    """The guest runs at the destination, and its answers go on: they arrive late where all is slow."""
    status = destination("query-status")["status"]
    end = probe["migrate-end"]
    heard = max((after for _, after in gaps(probe["samples"])), default=end) - end
    if status != "running" or heard < AROUND / 2:
        raise RuntimeError(f"the guest is {status}, and was last heard {heard:.1f} s after the move")


def waits(ram, there):
    """Of a move by post-copy: how often pages were asked for, and ms for which the guest's processor waited."""
    if "postcopy-vcpu-blocktime" not in there:
        return {}
    return {"waits": ram["postcopy-requests"], "blocktime": sum(there["postcopy-vcpu-blocktime"])}


def summary(figures, probe):
    """What a move has come to, with the names that Godwit's own moves have."""
    ram = figures["ram"]
    names = ("transferred", "total", "duplicate", "normal", "normal-bytes", "dirty-sync-count", "dirty-pages-rate",
             "mbps", "pages-per-second")
    return {
        "who": "peer", "vm": "linux", "from": SOURCE, "to": DESTINATION, "status": figures["status"],
        **{name: figures.get(name) for name in ("total-time", "setup-time", "downtime", "cpu-time")},
        "blackout": round(blackout_ms(probe["samples"], INTERVAL), 2), "lost": lost(probe["samples"]),
        **{name: ram.get(name) for name in names}, "probe": probe,
    }


def peer_move(case):
    """One move between two freshly booted machines of the peer, as an object of the run's JSON."""
    load = LOADS[case.load]
    with Network() as net:
        machines = [boot(net, case, "tap0", "52:54:00:12:34:56", f"address={SOURCE}/24"),
                    boot(net, case, net.tap(), "52:54:00:12:34:58", f"address={DESTINATION}/24 incoming")]
        try:
            machines[0].wait(load.begun(), BOOT_TIMEOUT)
            source, destination = Qmp(net, SOURCE), Qmp(net, DESTINATION)
            listen(source, destination, case)
            wait_idle(machines[1:] if load.run else machines)
            with load.outside(net, load) as done:
                figures, probe = probed_move(net, machines, source, case.mode)
            if figures["status"] != "completed":
                raise RuntimeError(f"the move: {figures}")
            check_alive(destination, probe)
            return {**summary(figures, probe), **waits(figures["ram"], destination("query-migrate")), **done}
        finally:
            for index, machine in enumerate(machines):
                (BUILD / f"peer-{index}.log").write_text(machine.log)


def godwit_move(case):
    """The same by Godwit."""
    load = LOADS[case.load]
    with tempfile.TemporaryDirectory() as directory, two_hypervisors(directory, secure=False) as site:
        keyring = Path(directory) / "keyring" if case.tls else None
        if keyring:
            subprocess.run([ROOT / "tools/mkkeys", "new", keyring], check=True)
        site.boot(linux(case.memory, load.words(), load.archive), mem=case.memory + BESIDE, cpus=case.cpus,
                  keyring=keyring)
        site.a.machine.wait(load.begun(), BOOT_TIMEOUT)
        machines = [site.a.machine, site.b.machine]
        time.sleep(QUIET_SECONDS)  # as long as the peer's machines must have been quiet
        before = sum(machine.cpu_seconds() for machine in machines)
        with load.outside(site.net, load) as done:
            move = observed_move(site, site.a, site.b, "live" if case.mode == "live" else "post-copy", around=AROUND)
            waited = waits(site.a.query("linux")["ram"], site.b.query("linux"))
        used = sum(machine.cpu_seconds() for machine in machines) - before
        return {**move, **waited, **done, "cpu-time": round(used * 1000)}


MAKERS = {"godwit": godwit_move, "peer": peer_move}


def prepare(cases):
    """Build what the machines boot."""
    BUILD.mkdir(parents=True, exist_ok=True)
    guest, modules = ROOT / "build/guest", ROOT / "build/deps/linux/modules"
    archives = sorted({LOADS[case.load].archive for case in cases})
    made = [f"build/guest/{archive}" for archive in archives if archive != PLAIN]
    subprocess.run(["make", "-s", "linux-guest", *made], cwd=ROOT, check=True)
    for archive in archives:
        subprocess.run([ROOT / "tests/bench/mkpeer", BUILD / f"peer-{archive}", modules, guest / "vmlinuz",
                        guest / archive], check=True)
