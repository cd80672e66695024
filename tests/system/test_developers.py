# SPDX-License-Identifier: BSD-2-Clause
"""What developers and students are given: gdb that knows VMs and vcpus, a compilation database, a model to change, and
machines that something has happened to."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from machine import ROOT, TIMEOUT, run_name, run_to_end
from network import Machine


@contextlib.contextmanager
def debugger(directory, script):
    """tools/gdb, which executes the script; each has a machine of its own."""
    (directory / "script").write_text(script)
    tool = Machine(["env", f"GDB_SCRIPT={directory / 'script'}", "tools/gdb", "--name", run_name(directory),
                    "guest/demo.cfg"])
    try:
        yield tool
    finally:
        tool.stop()


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb here; `make gdb` installs it")
def test_gdb_knows_vms_and_vcpus(tmp_path):
    """hello is stopped at its first output: its VM, its vcpu and its VMCB are shown; a wrong number gets words."""
    script = ("break exit_io\ncontinue\n"
              "vms\nvcpu hello\nvmcb hello\nvcpu hello 1\n")
    with debugger(tmp_path, script) as tool:
        tool.wait("hello has vcpus 0 to 0\n", TIMEOUT["qemu"])
    assert re.search(r"^hello +id 1  VM_RUNNING  \d+ MiB  vcpus 1 ", tool.log, re.M), tool.log
    rip = re.search(r"^rip ([0-9a-f]{16})  rflags", tool.log, re.M).group(1)
    assert re.search(r"^last exit: EXIT_IO; .*EXIT_IO=\d", tool.log, re.M)
    assert re.search(rf"^save\.rip +0x{rip.lstrip('0')}$", tool.log, re.M)


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb here; `make gdb` installs it")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_gdb_leaves_no_machine(tmp_path, number):
    """Whoever ends tools/gdb, or closes its terminal, ends its machine."""
    with debugger(tmp_path, "shell echo connected\npython import time; time.sleep(600)\n") as tool:
        tool.wait("connected\n", TIMEOUT["qemu"])
        children = Path(f"/proc/{tool.process.pid}/task/{tool.process.pid}/children").read_text().split()
        tool.process.send_signal(number)
        assert tool.process.wait(TIMEOUT["qemu"]) == 128 + number
    assert len(children) == 2 and not any(Path("/proc", child).exists() for child in children)


def test_compilation_database():
    """It names each source of the image once, with flags by which it compiles."""
    made = run_to_end(["tools/compile-commands", "make"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    database = {entry["file"]: entry for entry in json.loads(made.stdout)}
    rooms = subprocess.check_output(["tools/check", "--rooms"], cwd=ROOT, text=True).split()
    sources = {str(path.relative_to(ROOT)) for room in [*rooms, "boot"] for path in Path(ROOT, room).rglob("*.c")}
    assert sources - set(database) == set()
    command = database["hv/vm.c"]["arguments"]
    compile_only = [word for word in command[:command.index("-o")] if not word.startswith("-M")]  # no rules for make
    assert run_to_end([*compile_only, "-fsyntax-only"], cwd=ROOT).returncode == 0


@pytest.mark.skipif(not shutil.which("spin"), reason="no spin here; `make model` installs it")
def test_model_that_is_changed(tmp_path):
    """A source that says COMMIT and is not in doubt afterwards: spin finds two that run, and the way there is shown."""
    for name in ("tools/model", "tests/model/handoff.pml", "tests/model/beside_c.pml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    model = tmp_path / "tests/model/handoff.pml"
    text = model.read_text()
    model.write_text(text.replace("source = SOURCE_IN_DOUBT; say", "say"))
    assert model.read_text() != text
    done = subprocess.run([tmp_path / "tools/model", "handoff"], stdout=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 1 and "never_two: broken" in done.stdout, done.stdout
    assert re.search(r"^source SOURCE_OWNER .*dest DEST_(RUNNING|INCOMPLETE)$", done.stdout, re.M), done.stdout


def test_shell_beside_a_dead_machine():
    """tools/proof --shell: the source is dead, the operator at the destination finds a prepared copy and adopts it. The
    source has said COMMIT, and nobody has heard it: one that has just heard PREPARED may say it before it dies."""
    point = "before source's COMMIT 1: source killed"
    script = ("until godwit -H $B vms | grep -q prepared; do ((SECONDS < 300)) || exit 8; sleep 0.5; done\n"
              "godwit -H $B resolve mover adopt 2\ngodwit -H $B vms\nexit 7\n")
    done = subprocess.run(["tools/proof", "--only", point, "--shell"], cwd=ROOT, input=script, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=4 * TIMEOUT["qemu"])
    if "no test network" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 7 and point in done.stdout, done.stdout
    assert re.search(r"^mover +running +2 ", done.stdout, re.M), done.stdout
