# SPDX-License-Identifier: BSD-2-Clause
"""What a newcomer meets: `make run` gives a machine what its configuration needs, and says what it lacks."""

import contextlib
import mmap
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from machine import ROOT, RUN, TIMEOUT, boot, run_name, run_to_end, tool, vm
from network import Machine


@contextlib.contextmanager
def free_port():
    """A port of this machine. Nobody else is given it: a socket is bound to it, which the emulator's may be, too."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_memory_follows_the_configuration(tmp_path):
    """Guests of more than the usual 512 MiB run without a word about memory. And who is served without a network card
    is told that nobody will come."""
    config = "[net]\n[api]\naccess = open\ninsecure = yes\n" + vm("one", "hello.elf", memory="512M") + \
        vm("two", "hello.elf", memory="256M")
    done = boot(tmp_path, config, "qemu", mem=None)
    assert done.status == 0, done.errors
    assert "api: port 80, open to everybody; but there is no network card" in done.log
    assert "warn  keys: [api] is insecure, as it says: anybody can steer guests\n" in done.log


def test_memory_of_a_machine_before(tmp_path, monkeypatch):
    """A machine in QEMU takes RAM over that no other has now, and what stands there does not disturb it."""
    small, full = (os.memfd_create("ram") for _ in range(2))
    left = bytes(range(256)) * 4096
    os.truncate(small, 64 << 20)
    for _ in range(256):
        os.write(full, left)
    paths = [f"/proc/{os.getpid()}/fd/{file}" for file in (small, full)]
    monkeypatch.setenv("RAM_POOL", " ".join(paths))
    done = boot(tmp_path, vm("hello", "hello.elf", memory="64M"), "qemu", mem=256)
    assert done.status == 0, done.errors
    assert os.pread(full, len(left), 1 << 20) != left  # where the hypervisor is
    take_over = tool("run").take_over
    assert take_over(64)[0] == paths[0]
    assert take_over(64)[0] == paths[1]
    assert take_over(64) is None
    for file in (small, full):
        os.close(file)


def test_variables_of_a_machine_before(tmp_path, monkeypatch):
    """The firmware finds nothing of the variables that the machine before it had: it would believe their heads,
    whatever another machine has written behind them meanwhile."""
    work_space = bytes.fromhex("2b29589e687c7d49a0ce6500fd9f1b95")  # EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER
    file = os.memfd_create("ram")
    os.truncate(file, 256 << 20)
    monkeypatch.setenv("RAM_POOL", f"/proc/{os.getpid()}/fd/{file}")
    guest = vm("hello", "hello.elf", memory="64M")
    assert boot(tmp_path, guest, "qemu", mem=256).status == 0
    with mmap.mmap(file, 0) as ram:
        head = ram.rfind(work_space)
        assert head > 240 << 20
        ram[head + 0x20] = 0xFC  # a write that has begun
        ram[head + 0x38:head + 0x48] = b'{"setup":87.747,'  # parts of it, of this length
    done = boot(tmp_path, guest, "qemu", mem=256)
    assert done.status == 0, done.log
    os.close(file)


def test_network_without_rights(tmp_path):
    """NET=user: QEMU's own network gives the hypervisor an address, and a port of this machine leads to its API."""
    (tmp_path / "godwit.cfg").write_text("[net]\n[api]\naccess = open\ninsecure = yes\n")
    with free_port() as port:
        machine = Machine([str(RUN), "--emu", "qemu", "--net", f"user:{port}-80", "--name", run_name(tmp_path),
                           "--timeout", str(TIMEOUT["qemu"]), str(tmp_path / "godwit.cfg")])
        try:
            machine.wait(rf"run: 127.0.0.1:{port} is port 80 of the hypervisor", TIMEOUT["qemu"])
            machine.wait(r"net: up 10\.0\.2\.15 .* uplink virtio", TIMEOUT["qemu"])
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.settimeout(TIMEOUT["qemu"])
                sock.sendall(b"GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK")
        finally:
            machine.stop()


def test_macs_of_two_machines():
    """Machines on two taps, which one bridge may join, have two MACs, each the same at every boot."""
    macs = [tool("run").Card(tap).mac for tap in ("tap0", "tap1", "tap0:52:54:00:12:34:56", "tap0::virtio")]
    assert macs[0] == macs[3] and len(set(macs)) == 3 and macs[2] == "52:54:00:12:34:56"


def test_directory_of_another_run(tmp_path):
    """A second run under one name is refused while the first is there, and is not afterwards."""
    config = tmp_path / "godwit.cfg"
    config.write_text(vm("hello", "hello.elf"))
    command = [RUN, "--emu", "qemu", "--name", run_name(tmp_path), "--timeout", TIMEOUT["qemu"]]
    with free_port() as port:
        first = Machine([str(word) for word in (*command, "--net", f"user:{port}-80", config, "--", "-S")])
        try:
            first.wait("is port 80 of the hypervisor", TIMEOUT["qemu"])
            done = run_to_end([*command, config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            words = f"run: another run is in build/run/{run_name(tmp_path)}: end it, or give a --name\n"
            assert (done.returncode, done.stdout) == (2, words)
        finally:
            first.stop()
    done = run_to_end([*command, config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def test_images_stay_their_owners(tmp_path, monkeypatch):
    """There may be a keyring on the disk that a machine gets, whether it was made for it or is a copy."""
    emulator, disk, config = (tmp_path / name for name in ("qemu-system-x86_64", "disk.img", "godwit.cfg"))
    emulator.write_text("#!/bin/sh\nfor word; do case $word in file=*esp.img,*) word=${word#file=}\n"
                        "    stat -c %a ${word%%,*} ;; esac; done\n")
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config.write_text("[net]\n")
    disk.write_bytes(b"")
    for source in ("--image", disk), (config,):
        name = run_name(tmp_path)
        run_to_end([RUN, "--emu", "qemu", "--name", name, *source], capture_output=True, umask=0o022)
        assert (ROOT / "build/run" / name / "emulator.out").read_text() == "600\n"


def test_missing_file(tmp_path):
    """It is named, and no directory of logs is left that has none."""
    (tmp_path / "nowhere.cfg").write_text("[vm x]\nkernel = nowhere.elf\n")
    done = subprocess.run([RUN, "--emu", "qemu", tmp_path / "nowhere.cfg"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=60)
    assert done.returncode == 2 and "cannot find nowhere.elf in " in done.stdout
    assert "logs are in" not in done.stdout
    assert not list((ROOT / "build/run").glob("nowhere-qemu-*"))


def test_kvm_is_not_there(tmp_path):
    """EMU=kvm on a machine without virtualization says so at once, instead of a silent machine."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    if flags & {"vmx", "svm"}:
        pytest.skip("this machine has virtualization")
    (tmp_path / "none.cfg").write_text("[vm x]\nkernel = hello.elf\n")
    done = subprocess.run([RUN, "--emu", "kvm", tmp_path / "none.cfg"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=60)
    assert done.returncode == 2 and "this machine has no virtualization for us" in done.stdout
    assert "try EMU=qemu" in done.stdout


@pytest.mark.parametrize("tool, unless, words", [
    ("unshare", "", "no network namespace: this machine has none"),
    ("ip", f'[ "$1" = tuntap ] || exec {shutil.which("ip")} "$@"',
     "ip tuntap add tap0 mode tap: this machine has none")], ids=["no namespace", "no tap"])
@pytest.mark.parametrize("program", ["demo", "lab"])
def test_demo_without_a_network(request, tmp_path, program, tool, unless, words):
    """It says what is missing, and ends; the laboratory, too."""
    if unless:
        request.getfixturevalue("net")  # namespaces there are
    (tmp_path / tool).write_text(f"#!/bin/sh\n{unless}\necho this machine has none >&2\nexit 1\n")
    (tmp_path / tool).chmod(0o755)
    began = time.monotonic()
    done = subprocess.run([ROOT / "tools" / program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"), timeout=120)
    assert done.returncode == 2, done.stdout
    assert words in done.stdout
    assert "/dev/net/tun" in done.stdout and "make run CONFIG=guest/linux.cfg" in done.stdout
    assert time.monotonic() - began < 60
