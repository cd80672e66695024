# SPDX-License-Identifier: BSD-2-Clause
"""The ground floor, seen from outside: QEMU's monitor shows the page tables in use, and rings the machine's alarm."""

import json
import re
import socket

import pytest
from machine import PROGRAM, RUN, TIMEOUT, boot, run_name, vm
from network import Machine

LOOP = vm("spin", "hostile.elf", cmdline="attack=loop", memory="32M")

# docs/memory.md
HIGHER_HALF = 0xffff_8000_0000_0000
STACKS, STACK_SLOT = range(0xffff_c000_0000_0000, 0xffff_d000_0000_0000), 64 << 10
IMAGE = range(0xffff_ffff_8000_0000, 1 << 64)
RUN_STACK, EXCEPTION_STACK = 16 << 10, 8 << 10


class Qemu(Machine):
    """A machine that runs until it is stopped, with QEMU's monitor beside it."""

    def __init__(self, directory, cpus):
        config, path = directory / "godwit.cfg", directory / "qmp"
        config.write_text(LOOP)
        command = [RUN, "--emu", "qemu", "--cpus", cpus, "--mem", 1024, "--timeout", TIMEOUT["qemu"], "--name",
                   f"{run_name(directory)}-{cpus}", config, "--", "-qmp", f"unix:{path},server=on,wait=off"]
        super().__init__([str(word) for word in command])
        self.wait(r"spin: \| .*attack loop", TIMEOUT["qemu"])
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT["qemu"])
        self.socket.connect(str(path))
        self.replies = self.socket.makefile()
        self.replies.readline()  # the greeting
        self.execute("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.stop()

    def execute(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "return" not in (reply := json.loads(self.replies.readline())):
            assert "error" not in reply, reply
        return reply["return"]

    def pages(self):
        """(address, size, flags) of every page that processor 0 has mapped."""
        text = self.execute("human-monitor-command", **{"command-line": "info tlb"})
        for address, flags in re.findall(r"^([0-9a-f]{16}): [0-9a-f]{16} (\S+)", text, re.M):
            yield int(address, 16), flags


def runs(addresses):
    """(begin, end) of neighbouring 4 KiB pages."""
    found = []
    for address in sorted(addresses):
        if found and found[-1][1] == address:
            found[-1][1] += 4096
        else:
            found.append([address, address + 4096])
    return found


def test_page_tables(tmp_path):
    """Nothing of the lower half, nothing both writable and executable, and a gap below every stack."""
    with Qemu(tmp_path, 2) as machine:
        pages = dict(machine.pages())
    assert all(address >= HIGHER_HALF for address in pages)
    writable = {address for address, flags in pages.items() if "W" in flags}
    executable = {address for address, flags in pages.items() if "X" not in flags}  # X: execution is disabled
    assert writable and executable and not writable & executable
    assert all(address in IMAGE for address in executable)
    stacks = runs(address for address in pages if address in STACKS)
    assert sorted(end - begin for begin, end in stacks) == [EXCEPTION_STACK] * 6 + [RUN_STACK] * 2
    assert all(end % STACK_SLOT == 0 for _, end in stacks)


@pytest.mark.parametrize("cpus", [1, 2])
def test_alarm_is_a_panic(tmp_path, cpus):
    """The machine's NMI, in the guest or beside it: what it was, the registers, who called, and what happened last."""
    with Qemu(tmp_path, cpus) as machine:
        machine.execute("inject-nmi")
        machine.wait(r"panic: NMI \(vector 2\)", TIMEOUT["qemu"])
        machine.wait(r"rip 0008:ffffffff8\w+ rflags .*\n.* rax \w{16} ", TIMEOUT["qemu"])
        machine.wait(r"at, and called from:\n(.*\n)*.* boot\+0x\w+\n", TIMEOUT["qemu"])
        event = r"vm\d+/\d+ (?!turn)[a-z-]+ [0-9a-f]+"
        machine.wait(rf"last events of cpu{cpus - 1}:\n(.*\n)*.* {event}\n", TIMEOUT["qemu"])
        machine.wait(r"end status=3\n", TIMEOUT["qemu"])
        assert machine.process.wait(PROGRAM) == 3


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_four_processors(tmp_path, emu):
    done = boot(tmp_path, vm("hello", "hello.elf"), emu, 4)
    assert "4 of 4 processors" in done.log
    assert done.end_of("hello") == ("passed", "verdict 0")
    assert done.status == 0, done.errors
