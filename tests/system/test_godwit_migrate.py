# SPDX-License-Identifier: BSD-2-Clause
"""What `godwit migrate` shows and how it exits, against the API's code as a program of this machine: no guest moves."""

import os
import re
import select
import signal
import subprocess
import time

import pytest
from api import GODWIT
from machine import PROGRAM, ROOT, started

MOVE = ["migrate", "web", "192.0.2.11"]
BAR = (r"\r\x1b\[Kactive, round 3 +\[#{6}\.{18}\] +48\.0 MiB left +8\.0 Mbit/s +expected downtime 15 ms")


class Host:
    """An API whose moves have `status` at once, and keep it until they are cancelled."""

    def __init__(self, status):
        self.program = subprocess.Popen([ROOT / "build/host/api_host", "open", status], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        port = int(self.program.stdout.readline())
        self.environment = dict(os.environ, GODWIT_HOST=f"127.0.0.1:{port}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, errors = self.program.communicate("", timeout=PROGRAM)
        assert self.program.returncode == 0 and "Sanitizer" not in errors, errors

    def begin(self, *arguments, stderr=subprocess.PIPE):
        return started([GODWIT, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True, env=self.environment)

    def run(self, *arguments):
        """(exit status, standard output, standard error) of a call that ends by itself."""
        with self.begin(*arguments) as tool:
            out, errors = tool.communicate(timeout=PROGRAM)
        return tool.returncode, out, errors


def read_until(fd, pattern, patience=PROGRAM):
    text, deadline = "", time.monotonic() + patience
    while not re.search(pattern, text):
        assert select.select([fd], [], [], max(0, deadline - time.monotonic()))[0], text
        text += os.read(fd, 4096).decode()
    return text


def test_cancelled_on_a_terminal():
    """A bar that is redrawn in its line; another person's cancel ends it with status 5, and the line is wiped."""
    ours, theirs = os.openpty()
    with Host("active") as host, host.begin(*MOVE, stderr=theirs) as tool:
        os.close(theirs)
        read_until(ours, f"{BAR}{BAR}")
        assert host.run("migrate_cancel", "web")[0] == 0
        text = read_until(ours, r"\r\x1b\[Kgodwit: web: cancelled\r\n")
        assert re.search(r"\r\x1b\[Kcancelled +\[", text)
        out, _ = tool.communicate(timeout=PROGRAM)
        assert tool.returncode == 5
        assert re.search(r"^status +cancelled\nreason +cancelled \(cancel\)\n", out)
    os.close(ours)


def test_cancelled_without_a_terminal():
    """A line whenever a stage or round begins, and no other."""
    with Host("active") as host, host.begin(*MOVE) as tool:
        assert tool.stderr.readline() == "active, round 3: 48.0 MiB left at 8 Mbit/s, expected downtime 15 ms\n"
        time.sleep(0.5)
        assert host.run("migrate_cancel", "web")[0] == 0
        _, errors = tool.communicate(timeout=PROGRAM)
        assert tool.returncode == 5
        assert errors == "godwit: web: cancelled\n"


@pytest.mark.parametrize("status, code, words", [
    ("completed", 0, ""),
    ("failed", 1, "godwit: web: "),
])
def test_ends(status, code, words):
    with Host(status) as host:
        got, out, errors = host.run(*MOVE)
    assert (got, words in errors) == (code, True), errors
    assert re.search(rf"^status +{status}\n", out) and "total-time" in out
    assert re.search("^warning +its clock would be another$", out, re.M)


def test_in_doubt():
    """Every move is in doubt for a moment, which is nothing to tell; for seconds it is, and in the end it is left."""
    began = time.monotonic()
    with Host("in-doubt") as host, host.begin(*MOVE) as tool:
        assert tool.stderr.readline().startswith("in-doubt: 48.0 MiB left")
        assert time.monotonic() - began > 2.5
        out, errors = tool.communicate(timeout=PROGRAM)
    assert tool.returncode == 6 and "web is in doubt under epoch 2" in errors
    assert re.search("^status +in-doubt\n", out)


def test_its_memory_does_not_come():
    """How much of it is missing at the destination is said, not how much was not sent yet."""
    with Host("postcopy-paused") as host:
        code, _, errors = host.run(*MOVE)
    assert code == 6 and "\ngodwit: web runs at the destination, which misses 0.0 MiB of its memory and does" in errors


def test_rounds_are_counted_from_one():
    """And what was sent while the guest stood has its line behind them."""
    with Host("completed") as host:
        table = host.run(*MOVE)[1].partition("\nround ")[2].splitlines()[1:]
    assert [row.split()[:2] for row in table] == [["1", "100"], ["stop", "7"]]


def test_nothing_is_told_of_what_was_not_sent():
    with Host("failed") as host:
        out = host.run(*MOVE)[1]
    assert re.fullmatch(r"status +failed\nreason +no connection to the destination \(link\)\nwarning .*\nmode +live\n"
                        r"total-time .*\n", out)


def test_check():
    """Would it be taken, and of what does the destination warn? It shows no progress: nothing moves."""
    with Host("completed") as host:
        assert host.run(*MOVE, "--check") == (
            0, "it would be taken\nwarning            its clock would be another\n", "")


def test_check_of_nobody():
    """Who does not answer has not refused."""
    with Host("failed") as host:
        code, out, errors = host.run(*MOVE, "--check")
    assert (code, errors) == (1, "godwit: web: no connection to the destination\n")
    assert out.startswith("it is not known: the destination has not answered\n")


def test_detached():
    """It comes back while the move goes on, and says nothing."""
    with Host("active") as host:
        assert host.run(*MOVE, "--detach") == (0, "", "")
        assert re.search(r"^status +active$", host.run("query-migrate", "web")[1], re.M)


def test_interrupted():
    """Ctrl-C ends the command; the move goes on, and that is said."""
    with Host("active") as host, host.begin(*MOVE) as tool:
        tool.stderr.readline()
        tool.send_signal(signal.SIGINT)
        _, errors = tool.communicate(timeout=PROGRAM)
        assert tool.returncode == 130
        assert "interrupted; the move of web goes on: godwit query-migrate web" in errors
        assert "godwit migrate_cancel web ends it unless it runs there already" in errors
        assert re.search(r"^status +active$", host.run("query-migrate", "web")[1], re.M)


@pytest.mark.parametrize("arguments, words", [
    (["migrate", "web"], "usage: godwit migrate VM DEST"),
    ([*MOVE, "--fast"], "unknown option, or one without its value: '--fast'"),
    ([*MOVE, "--mode", "warm"],
     "--mode wants live, stop-copy, post-copy, hybrid, demand, cold or auto, not 'warm'"),
    ([*MOVE, "--mode"], "not 'nothing'"),
    ([*MOVE, "192.0.2.12"], "one argument too many: '192.0.2.12'"),
])
def test_wrong_usage(arguments, words):
    """Refused before anything is begun."""
    with Host("active") as host:
        got, _, errors = host.run(*arguments)
        assert (got, words in errors) == (2, True), errors
        assert host.run("query-migrate", "web")[0] == 1
