# SPDX-License-Identifier: BSD-2-Clause
"""Boot Godwit with a configuration in an emulator and read what it said."""

import contextlib
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tools/run"
DEBUG = os.environ.get("DEBUG", "0") != "0"
IMAGES = ROOT / "build/debug" if DEBUG else ROOT / "build"  # where the hypervisor is that tools/run boots

# Seconds of real time for one boot: a generous multiple of what it takes, to end a hang and nothing else.
TIMEOUT = {"qemu": 240, "bochs": 600}
# For a Linux guest whose boot is not what is tested: tests of its cryptography are two fifths of it in Bochs, and an
# eighth of the rest is the making of files that describe tracepoints and slabs, which no test reads. It clears what it
# frees: a third less is to be moved.
SOON = ("console=ttyS0 cryptomgr.notests init_on_free=1 "
        "initcall_blacklist=trace_eval_init,init_kprobe_trace,tracer_init_tracefs,slab_sysfs_init")

os.environ["GODWIT_INSECURE"] = "1"  # most machines of tests have no certificate

PROGRAM = 300  # s, a generous multiple of what a program takes that is no machine
LIFETIME = 1200  # s, of machines of which tests ask something, each time with a time-out of its own


def budget(release, debug):
    """What the image in use may cost. The nets of the debug image cost instructions and memory (docs/debug.md)."""
    return debug if DEBUG else release


def guest_lines(log, name):
    """What the guest `name` printed, without the log's stamp."""
    return re.findall(rf" {re.escape(name)}: \| (.*)", log)


@dataclass
class Outcome:
    status: int
    log: str     # the hypervisor's console
    errors: str  # the runner's own messages

    def guest_lines(self, name):
        """What the guest `name` printed, without the log's stamp."""
        return guest_lines(self.log, name)

    def end_of(self, name):
        """(status, reason) with which the VM ended."""
        found = re.search(rf" vm: {re.escape(name)}: (passed|failed|crashed|halted): ([^;\n]*)", self.log)
        return found.groups() if found else (None, self.log[-3000:])

    def number(self, pattern):
        """The first group of pattern as a number; the log is shown if it isn't there."""
        found = re.search(pattern, self.log)
        assert found, f"no {pattern!r} in:\n{self.log[-4000:]}"
        return int(found.group(1))


def tool(name):
    """A Python program of tools/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def run_to_end(command, **options):
    """subprocess.run of a program that ends by itself, soon. It has nothing to read unless something is told."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(word) for word in command], **{"timeout": PROGRAM, **options})


def end(program):
    """See that it ends: if it is asked, it also ends what it has started."""
    program.terminate()  # of one that has ended: nothing
    try:
        program.wait(30)
    except subprocess.TimeoutExpired:
        program.kill()


@contextlib.contextmanager
def started(command, seconds=PROGRAM, **options):
    """subprocess.Popen of a program that runs beside the test. It is ended with the context, however that is left; and
    after so many seconds, so that nobody waits without end for it, or for what it says."""
    with subprocess.Popen([str(word) for word in command], **{"stdin": subprocess.DEVNULL, **options}) as program:
        watchdog = threading.Timer(seconds, end, [program])
        watchdog.daemon = True
        watchdog.start()
        try:
            yield program
        finally:
            watchdog.cancel()
            end(program)


def vm(name, kernel, **keys):
    """One [vm] section."""
    lines = [f"[vm {name}]", f"kernel = {kernel}"]
    lines += [f'{key} = "{value}"' if key == "cmdline" else f"{key.replace('_', '-')} = {value}"
              for key, value in keys.items()]
    return "\n".join(lines) + "\n\n"


def run_name(directory):
    """Of the run directory; pytest's parallel workers each number their directories, so the worker is in it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")
    return f"test-{worker}-{directory.parent.name}-{directory.name}"


def boot(directory: Path, config: str | None, emu: str, cpus: int = 1, mem: int | None = 512, stop_when=(),
         until=None, extra=(), options=(), image: Path | None = None):
    """Boot `config`, or the disk `image`, and wait for the end, or until each VM named in stop_when has ended, or until
    the log has a match of the expression `until`.

    The log stays in build/run/NAME. With mem None the runner says how much is needed. `extra` are further arguments of
    QEMU, `options` such of tools/run.
    """
    source = ["--image", image]
    if not image:
        source = [directory / "godwit.cfg"]
        source[0].write_text(config)
    name = f"{run_name(directory)}-{emu}-{cpus}"
    command = [RUN, "--emu", emu, "--cpus", str(cpus), *(["--mem", str(mem)] if mem else []),
               "--timeout", str(TIMEOUT[emu]), "--name", name, *options, *source, *(["--", *extra] if extra else [])]
    waiting, seen = set(stop_when), ""
    with started(command, TIMEOUT[emu] + PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                 errors="replace") as run:
        for line in run.stdout:
            if until:
                seen += line
                if re.search(until, seen):
                    until = None
                    run.terminate()
            ended = re.search(r" vm: (\S+): (passed|failed|crashed|halted): ", line)
            if ended and ended.group(1) in waiting:
                waiting.discard(ended.group(1))
                if not waiting:
                    run.terminate()
        errors = run.stderr.read()
        status = run.wait()
    log = ROOT / "build/run" / name / "serial.log"
    return Outcome(status, log.read_text(errors="replace") if log.exists() else "", errors)
