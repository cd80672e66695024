# SPDX-License-Identifier: BSD-2-Clause
"""What the machine as a whole promises: its budgets, its counters, and clear words when it is used wrongly."""

import os
import re
import signal
import subprocess

import pytest
from machine import PROGRAM, ROOT, RUN, boot, budget, run_name, run_to_end, started, vm


def test_budgets(tmp_path):
    """Hand-over to first guest instruction within 100 ms; memory not given to guests within 8 MiB + 0.3 % of 1 GiB,
    or 12 MiB with the debug image, which is larger by itself.

    The clock counts instructions, one in two nanoseconds: the time is the emulated machine's and not that of a busy
    host. (With one a nanosecond firmware takes twice as long to get here.)
    """
    done = boot(tmp_path, vm("hello", "hello.elf"), "qemu", 1, 1024, extra=["-icount", "shift=1"])
    assert done.status == 0, done.errors
    assert done.number(r"hand-over to first guest instruction: (\d+) us") <= 100_000
    assert done.number(r"not for guests: (\d+) KiB") <= budget(8, debug=12) * 1024 + 1024 * 1024 * 3 // 1000


def test_cpuid_exit_costs_at_most_250_instructions(tmp_path):
    """Bochs executes one instruction a tick, so the guest's clock counts the hypervisor's instructions. The machine's
    clock is set by the 8254: HPET and PM timer are found by ACPI tables, which Bochs has none of; its CPUID is that of
    a faster processor."""
    done = boot(tmp_path, vm("hello", "hello.elf"), "bochs")
    assert "kHz by 8254, confirmed by none, error " in done.log, done.log[-4000:]
    assert done.end_of("hello") == ("passed", "verdict 0")
    ticks = done.number(r"cpuid exit: (\d+) ticks \(min\)")
    empty = done.number(r"empty loop: (\d+) ticks")
    assert 20 < ticks - empty <= budget(250, debug=1000)


def test_exits_are_counted(tmp_path):
    done = boot(tmp_path, vm("hello", "hello.elf"), "qemu")
    assert done.number(r"hello: exits:.* cpuid (\d+)") >= 1000
    assert done.number(r"hello: exits:.* io (\d+)") > len("".join(done.guest_lines("hello")))


def test_settings_of_the_machine(tmp_path):
    done = boot(tmp_path, "cpus = 1\n" + vm("hello", "hello.elf"), "qemu", 2)
    assert "1 of 2 processors" in done.log
    assert done.status == 0, done.errors
    done = boot(tmp_path, "log = warn\n" + vm("hello", "hello.elf"), "qemu")
    assert "hello: |" not in done.log
    assert done.status == 0, done.errors


def test_machine_without_virtualization_says_so(tmp_path):
    done = boot(tmp_path, vm("hello", "hello.elf"), "qemu", extra=["-cpu", "max,-svm"])
    assert "this processor offers neither VT-x nor AMD-V" in done.log
    assert done.status == 1, done.errors


def test_processor_whose_xsave_is_unusable(tmp_path):
    """QEMU takes CR4.OSXSAVE only from a processor that has more forms of XSAVE than this one. Guests do without it."""
    done = boot(tmp_path, vm("fpu", "fpu.elf"), "qemu", extra=["-cpu", "Opteron_G4"])
    assert "this processor shows XSAVE, but can't turn it on" in done.log
    assert done.status == 0 and "fpu: SKIP fxsave: xsave: not in CPUID" in done.guest_lines("fpu"), done.log[-3000:]


@pytest.mark.parametrize("text, words", [
    (vm("a", "missing.elf"), ["missing.elf"]),
    ("[vm a]\nkernel = hello.elf\nmemroy = 1M\n", [":3: memroy:", "memory"]),
    ("[vm a]\nkernel = hello.elf\nmemory = lots\n", [":3: memory:", "lots"]),
    ("[vm a]\nmemory = 64M\n", ["kernel"]),
    ("# nothing\n", ["vm"]),
])
def test_wrong_configuration_is_refused(tmp_path, text, words):
    done = boot(tmp_path, text, "qemu")
    assert done.status == 2
    assert all(word in done.errors for word in words), done.errors


def test_guest_that_cannot_start_does_not_stop_the_others(tmp_path):
    """An image that isn't one, and a guest larger than the machine: each is named with what is wrong."""
    (tmp_path / "text.elf").write_text("hello, this is no kernel\n" * 100)
    config = vm("text", "text.elf") + vm("huge", "hello.elf", memory="4G") + vm("good", "hello.elf")
    done = boot(tmp_path, config, "qemu")
    assert done.end_of("good") == ("passed", "verdict 0")
    assert "text: text.elf: this is of no format that we know, not a kernel" in done.log
    assert re.search(r"huge: hello.elf: not enough memory for 4096 MiB and 1 vcpus, \d+ MiB are free: expected less "
                     r"\(memory =\), or a larger machine \(make run MEM=\)", done.log)
    assert done.status == 1


def test_interrupt_stops_the_emulator(tmp_path):
    """Ctrl-C ends the run within seconds and leaves no emulator behind. A second signal, such as make sends to the
    programs that it runs, does not disturb that."""
    config = tmp_path / "godwit.cfg"
    config.write_text(vm("spin", "hostile.elf", cmdline="attack=loop"))
    # A shell has its background jobs, which these tests may be, ignore the signal.
    with started(["env", "--default-signal=INT", RUN, "--emu", "qemu", "--name", run_name(tmp_path), config],
                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as run:
        for line in run.stdout:
            if "first entry" in line:
                break
        children = run_to_end(["pgrep", "-P", run.pid], stdout=subprocess.PIPE, text=True).stdout.split()
        assert children
        run.send_signal(signal.SIGINT)
        for line in run.stdout:
            if "stopped" in line:
                break
        run.send_signal(signal.SIGTERM)
        words = run.communicate(timeout=PROGRAM)[0]
    assert run.returncode == 130
    assert "Traceback" not in words
    assert not any(os.path.exists(f"/proc/{child}") for child in children)
