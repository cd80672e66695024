# SPDX-License-Identifier: BSD-2-Clause
"""`make lab`: what it says can be typed works as printed, and nothing of it is left, however its shell ends."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from machine import PROGRAM, ROOT, TIMEOUT, end
from network import Network

PROMPT = "lab$ "


class Laboratory:
    """tools/lab, whose shell's input and output are a pipe each, or a terminal. It has 15 minutes."""

    def __init__(self, directory, emu="qemu", terminal=False):
        self.directory, self.text, self.seen = directory, "", 0
        ours, theirs = os.openpty() if terminal else (None, None)
        self.process = subprocess.Popen(
            ["setsid", *(["--ctty"] if terminal else []), ROOT / "tools/lab", "--emu", emu],
            stdin=theirs or subprocess.PIPE, stdout=theirs or subprocess.PIPE, stderr=theirs or subprocess.STDOUT,
            env=dict(os.environ, TMPDIR=str(directory)))
        if terminal:
            os.close(theirs)
            self.input = self.output = open(ours, "r+b", buffering=0)
        else:
            self.input, self.output = self.process.stdin, self.process.stdout
        self.watchdog = threading.Timer(900, end, [self.process])
        self.watchdog.daemon = True
        self.watchdog.start()

    def type(self, text):
        self.input.write(text.encode())
        self.input.flush()

    def wait(self, pattern):
        """Read until its output, behind what was found before, matches; returns that part of it."""
        while not (found := re.search(pattern, self.text[self.seen:], re.M)):
            data = os.read(self.output.fileno(), 65536)
            assert data, f"it ended without {pattern!r}: {self.text}"
            self.text += data.decode(errors="replace").replace("\r\n", "\n")
        part = self.text[self.seen:self.seen + found.end()]
        self.seen += found.end()
        return part

    def run(self, command, interact=None):
        """What a command prints; it must succeed. What it reads comes by `interact`."""
        self.type(f"{command}; printf '\\nstatus %d\\n' $?\n")  # the guest's prompt may stand before it
        if interact:
            interact(self)
        part = self.wait(r"^status (\d+)$")
        assert part.endswith("\nstatus 0"), f"{command}: {part}"
        return part

    def end(self):
        """Its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.input.close()
        return self.process.wait(60)

    def alive(self):
        """The processes that it has made and that are left, by what their environment says: command lines by ID."""
        mark, alive = f"TMPDIR={self.directory}".encode(), {}
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    alive[int(pid)] = Path(f"/proc/{pid}/cmdline").read_bytes()
        return alive


@pytest.fixture
def laboratory(tmp_path):
    """Makes one, and in the end nothing is left of it: no process, no file but those of build/lab."""
    with Network():  # raises Unavailable, where there can be none
        made = []

    def make(**options):
        made.append(Laboratory(tmp_path, **options))
        return made[0]

    yield make
    made[0].watchdog.cancel()
    end(made[0].process)
    made[0].input.close()
    deadline = time.monotonic() + PROGRAM
    while (alive := made[0].alive()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive and not list(tmp_path.iterdir())


def use_console(laboratory):
    """Say something to the guest's shell, and leave."""
    laboratory.type("echo ty''ped\r")
    laboratory.wait(r"^typed$")
    laboratory.type("\x1d")


def typed(lab, command):
    """What a line prints. Who asks for a measurement too early asks again."""
    said = lab.run(command, use_console if " console " in command else None)
    while "query-dirty-rate" in command and "measuring" in said:
        time.sleep(0.5)
        said = lab.run(command)
    return said


@pytest.mark.parametrize("emu, guests", [("qemu", ["linux", "writer"]), ("bochs", ["writer"])])
def test_each_line_works_as_printed(laboratory, emu, guests):
    lab = laboratory(emu=emu)
    shown = lab.wait("^exit or Ctrl-D ends the shell.*$")
    commands = [line.split("  #")[0].strip() for line in shown.splitlines() if line.startswith("    ")]
    assert len(commands) > 10
    said = {command: typed(lab, command) for command in commands}
    assert re.findall(r"^(\w+) +running ", said["godwit vms"], re.M) == guests
    assert "\nstatus      measured\n" in said["godwit query-dirty-rate writer"]
    assert said["lab-set downtime-limit 50"].split("\n")[1:3] == ["10.9.0.2: downtime-limit = 50",
                                                                  "10.9.0.4: downtime-limit = 50"]
    if "linux" in guests:
        assert "linux sleeps; godwit resume linux wakes it" in said["godwit suspend linux"]
    for move in "godwit migrate writer $B", "godwit -H $B migrate writer $A":
        assert re.search("^status +completed$", said[move], re.M)
    assert re.search("^downtime-limit +50$", lab.run("godwit -H $B query-migrate-parameters"), re.M)
    lab.type("lab-set downtime-limit none; exit 7\n")
    assert lab.end() == 7


def test_terminal_goes_away(laboratory):
    """With jobs that would outlive the shell."""
    lab = laboratory(terminal=True)
    lab.wait(re.escape(PROMPT))
    lab.type("setsid sleep 1000 & godwit log --follow\n")
    lab.wait("net: up")
    assert lab.end() == 128 + signal.SIGHUP


def test_ctrl_c_while_it_boots(laboratory):
    lab = laboratory(terminal=True)
    lab.wait("two hypervisors boot")
    lab.type("\x03")
    assert lab.process.wait(TIMEOUT["qemu"]) == 128 + signal.SIGINT


def test_no_hypervisor_comes(laboratory):
    """It says so in a sentence, with the log to look at."""
    lab = laboratory()
    lab.wait("two hypervisors boot")
    deadline = time.monotonic() + TIMEOUT["qemu"]
    while not (emulators := [pid for pid, command in lab.alive().items() if command.startswith(b"qemu-system")]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(emulators[0], signal.SIGKILL)
    lab.wait(r"^lab: the machine ended without 'api: port ', see build/run/\S+/serial.log; a machine that is busy")
    assert "Traceback" not in lab.text and lab.process.wait(TIMEOUT["qemu"]) == 1
