# SPDX-License-Identifier: BSD-2-Clause
"""The serial monitor, driven as a person drives it: through the machine's serial port."""

import datetime
import os
import re
import select
import subprocess
import time

import pytest
from https import tokens
from machine import LIFETIME, PROGRAM, ROOT, RUN, TIMEOUT, run_name, vm

GUESTS = vm("one", "echo.elf", memory="16M") + vm("two", "echo.elf", memory="16M")


class Terminal:
    """A running machine and its serial port. `extra` are further arguments of QEMU, `options` such of tools/run."""

    def __init__(self, directory, emu, cpus=2, config=GUESTS, options=(), extra=()):
        path = directory / "godwit.cfg"
        path.write_text(config)
        command = [RUN, "--serial-in", "--emu", emu, "--cpus", cpus, "--timeout", LIFETIME,
                   "--name", f"{run_name(directory)}-{emu}", *options, path, *(["--", *extra] if extra else [])]
        self.run = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, cwd=ROOT)
        self.emu, self.text, self.seen = emu, "", 0
        self.wait(r"two: \| echo: tick 1\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.run.poll() is None:
            self.run.terminate()
        self.run.communicate(timeout=PROGRAM)

    def read(self, timeout):
        if not select.select([self.run.stdout], [], [], timeout)[0]:
            raise AssertionError(f"time-out; after what has been matched:\n{self.text[self.seen:][-3000:]}")
        data = os.read(self.run.stdout.fileno(), 65536)
        self.text += data.decode("latin-1").replace("\r", "")
        return data

    def wait(self, pattern):
        """Read until the machine says `pattern`, after what has been matched before."""
        deadline = time.monotonic() + TIMEOUT[self.emu]
        while not (found := re.search(pattern, self.text[self.seen:], re.M)):
            assert self.read(deadline - time.monotonic()), f"ended without {pattern!r}:\n{self.text[-3000:]}"
        self.seen += found.end()
        return found

    def type(self, keys):
        self.run.stdin.write(keys.encode())
        self.run.stdin.flush()

    def command(self, line, pattern):
        """Type a line, wait for its echo and for what it must say."""
        self.type(line + "\r")
        self.wait(rf"godwit> {re.escape(line)}\n")
        return self.wait(pattern)


@pytest.fixture(params=["qemu", "bochs"], scope="module")
def terminal(request, tmp_path_factory):
    """A machine for all tests that leave it as it was: both guests run, and the monitor waits for a command."""
    with Terminal(tmp_path_factory.mktemp("control"), request.param) as machine:
        yield machine


def test_commands(terminal):
    terminal.command("help", r"^pause VM +stop its processors")
    terminal.command("help pause", r"^pause VM ")
    terminal.command("vms", r"^one +running +1 +1 +16 .*\ntwo +running")
    terminal.command("vm one", r"^status +running\n(.*\n)*exits_by_reason:\n(.*\n)*  cpuid +\d+")
    terminal.command("version", r"^name +Godwit\n")
    terminal.command("memory", r"^free_kib +[1-9]")
    terminal.command("stats", r"^  one +cpuid +\d+")
    terminal.command("trace one", r"^ *us +vcpu +event +rip\n( *\d+ +0 +[a-z-]+ +0x[0-9a-f]+\n){50}")
    terminal.command("trace one io,hlt 3", r"^ *us +vcpu +event +rip\n( *\d+ +0 +(io|hlt) +0x[0-9a-f]+\n){3}")
    terminal.command("net", r"^forwarded +0\n")
    terminal.command("log 3 info", r"^ +seq +time +level +text\n( +\d+ +20\d\d-\d\d-\d\dT\S+Z +info +\w+: .*\n){3}")


def test_the_date_is_that_of_this_machine(terminal):
    """In UTC, whatever this machine's zone. Bochs put it back by an hour when firmware set it, in some runs."""
    date = terminal.command("log 1", r"^ +seq +time .*\n +\d+ +(\S+Z) ").group(1)
    behind = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(date)
    assert abs(behind) < datetime.timedelta(minutes=LIFETIME / 60)


def test_errors_say_what_would_be_right(terminal):
    terminal.command("frobnicate", r"^error: no command 'frobnicate', see help\n")
    terminal.command("pause", r"^error: vm is missing, expected: pause VM\n")
    terminal.command("pause three", r"^error: no virtual machine 'three', there are: one, two\n")
    terminal.command("pause one two", r"^error: 'two' is one argument too many, expected: pause VM\n")
    terminal.command("log 0", r"^error: count: '0' is wrong, expected a number from 1 to 256\n")
    terminal.command("log 1 loud", r"^error: level: 'loud' is wrong, expected err, warn, info or debug\n")
    terminal.command("trace one io,cpu", r"^error: kinds: 'cpu' is wrong, expected all, turn, .* cpuid, .*\n")
    terminal.command("x" * 100, r"^error: no command 'x{32}', see help\n")
    terminal.command("migrate one 192.0.2.1", r"^error: one: .*has no network, expected a \[net\] section in its ")


def test_pause_stops_one_guest(terminal):
    """While one is paused it is not entered and prints nothing; the other goes on, and so does one after resume."""
    terminal.command("pause one", r"^status +paused\n")
    terminal.command("pause one", r"^error: one: cannot pause, it is paused, expected running\n")
    exits = terminal.command("vm one", r"^exits +(\d+)\n").group(1)
    tick = r"two: \| echo: tick \d+\n"
    while "vm: one: paused\n" not in terminal.text:  # the log is shown later than the answer, in its own order
        terminal.wait(tick)
    for _ in range(5):
        terminal.wait(tick)
    assert terminal.command("vm one", r"^exits +(\d+)\n").group(1) == exits
    assert " one: |" not in terminal.text.rsplit("vm: one: paused\n", 1)[1]
    terminal.command("resume one", r"^status +running\n")
    terminal.wait(r"one: \| echo: tick \d+\n")
    terminal.command("resume one", r"^error: one: cannot resume, it is running, expected paused or suspended\n")


def test_reset_starts_anew(terminal):
    terminal.command("reset one", r"one: reset\n")
    terminal.wait(r"one: \| echo: tick 0\n")
    terminal.command("vm one", r"^resets +1\n")


def test_reset_of_a_paused_one(terminal):
    """It is reset at once, and starts when it is resumed."""
    resets = int(terminal.command("vm one", r"^resets +(\d+)\n").group(1))
    terminal.wait(r"one: \| echo: tick [1-9]\d*\n")
    terminal.command("pause one", r"^status +paused\n")
    terminal.command("reset one", r"one: reset\n")
    terminal.command("vm one", rf"^status +paused\n(.*\n)*?resets +{resets + 1}\n")
    terminal.command("resume one", r"^status +running\n")
    terminal.wait(r"one: \| echo: tick 0\n")


def test_start_after_the_end(terminal):
    terminal.command("poweroff one", r"^status +off\n")
    terminal.command("start one", r"^status +running\n")
    terminal.wait(r"one: \| echo: tick 0\n")
    terminal.command("vm one", r"^status +running\n(.*\n)*?reason +\n")


@pytest.mark.parametrize("emu, memory", [("qemu", "192M"), ("bochs", "128M")])
def test_nobody_sees_what_was_left(tmp_path, emu, memory):
    """A guest that looks for zeros and fills its RAM takes a part of the machine's free RAM each time, until it has
    what it left itself; at once behind the end before, and when that has been zeroed meanwhile."""
    guests = vm("memory", "memory.elf", memory=memory, autostart="no") + vm("two", "echo.elf", memory="16M")
    with Terminal(tmp_path, emu, 2, guests, ("--mem", 512)) as terminal:
        free = int(terminal.command("memory", r"^free_kib +(\d+)").group(1)) // 1024
        for _ in range(free // int(memory[:-1]) + 2):
            terminal.command("start memory", r"^status +running\n")
            assert terminal.wait(r" vm: memory: (\w+): .*; ran ").group(1) == "passed", terminal.text[-3000:]


def test_console(terminal):
    """Both directions, with the log held back meanwhile; then the log catches up."""
    terminal.command("console two", r"^connected to two")
    start = terminal.seen
    terminal.type("k")
    terminal.wait(r"^echo: key K\n")
    terminal.wait(r"^echo: tick \d+\n")
    assert " cpu" not in terminal.text[start:terminal.seen]
    terminal.type("\x1d")
    terminal.wait(r"^disconnected\n")
    terminal.wait(r"two: \| echo: key K\n")
    terminal.command("version", r"^name +Godwit\n")


def test_line_editing(terminal):
    terminal.type("pazz\b\x7fuse thr\x15vmz\b")
    terminal.type("s\r")
    terminal.wait(r"^one +running")
    terminal.type("nonsense\x03")
    terminal.command("version", r"^name +Godwit\n")


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_poweroff_ends_the_machine(tmp_path, emu):
    with Terminal(tmp_path, emu) as terminal:
        terminal.command("pause two", r"^status +paused\n")
        terminal.command("poweroff one", r"^status +off\n")
        terminal.command("reset one", r"^error: one: cannot reset, it is off, expected running, paused or suspended\n")
        terminal.command("poweroff two", r"^status +off\n")
        terminal.wait(r"all guests have ended")
        terminal.wait(r"end status=0\n")
        assert terminal.run.wait(PROGRAM) == 0


def test_a_token(tmp_path):
    """Where the monitor asks for one, it is not shown, and says what the person may do."""
    tokens(tmp_path / "tokens", "secret")
    config = f"monitor = token\n[net]\naddress = 10.9.0.2/24\n[api]\ntokens = tokens\ninsecure = yes\n{GUESTS}"
    with Terminal(tmp_path, "qemu", config=config) as terminal:
        terminal.type("vms\r")
        terminal.wait(r"^error: that is no token of this hypervisor\n")
        terminal.wait(r"token: $")
        time.sleep(1.5)  # nobody is heard meanwhile
        terminal.type("operate-secret\r")
        terminal.wait(r"monitor: bob, operate; Ctrl-D leaves\n")
        terminal.command("pause one", r"^status +paused\n")
        terminal.command("failover one 7", r"^error: failover under an epoch takes a token of the role admin")
        terminal.type("\x04")
        terminal.wait(r"token: $")
        assert "secret" not in terminal.text


def quiet_while(terminal, command):
    """How long it takes until `one` ticks again, and how long `two` does not meanwhile, at most; seconds."""
    begin = terminal.seen
    before = terminal.wait(r"\[ *(\S+)\] .* two: \| echo: tick \d+\n")
    terminal.command(command, r"^status +running\n")
    ticks = terminal.wait(r"\[ *(\S+)\] .* one: \| .*tick 0\n")  # perhaps behind what it had begun to say
    terminal.wait(r"two: \| echo: tick \d+\n")
    times = re.findall(r"\[ *(\S+)\] .* two: \| echo: tick", terminal.text[begin:terminal.seen])
    silences = [float(later) - float(time) for time, later in zip(times, times[1:])]
    return float(ticks.group(1)) - float(before.group(1)), max(silences)


def test_one_processor(tmp_path):
    """The monitor's CPU is the guests' own. A big one is reset and started in slices: the other goes on to tick ten
    times a second, late by a quarter at most of what that takes. The clock counts instructions, one in two
    nanoseconds, so that a busy host makes no difference."""
    guests = vm("one", "echo.elf", memory="384M") + vm("two", "echo.elf", memory="16M")
    with Terminal(tmp_path, "qemu", 1, guests, ("--mem", 640), ("-icount", "shift=1")) as terminal:
        took, silence = quiet_while(terminal, "reset one")
        assert silence < 0.1 + took / 4
        terminal.command("pause one", r"^status +paused\n")
        terminal.command("poweroff one", r"^status +off\n")
        took, silence = quiet_while(terminal, "start one")
        assert silence < 0.1 + took / 4
        terminal.command("poweroff one", r"^status +off\n")
        terminal.command("console two", r"^connected to two")
        terminal.type("q")
        terminal.wait(r"^echo: PASS\n")
        terminal.wait(r"end status=0\n")
