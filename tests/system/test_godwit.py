# SPDX-License-Identifier: BSD-2-Clause
"""What the godwit tool says without a hypervisor."""

import http.server
import subprocess
import threading

import pytest
from api import GODWIT
from machine import PROGRAM, run_to_end, started


@pytest.mark.parametrize("arguments, status, words", [
    (["help"], 0, "  forget VM\n      remove one that is new, has ended or is elsewhere\n"),
    (["help", "resolve"], 0, "  resolve VM ACTION [EPOCH]\n      one in doubt, "),
    (["help", "trace"], 0, "  trace VM [--kinds KIND,...] [--count N] [--chrome FILE]\n"),
    (["-H", "x", "trace", "web", "--chrome"], 2, "usage: godwit trace VM "),
    (["help", "frobnicate"], 2, "no command 'frobnicate'"),
    (["help", "migrate"], 0, "Ctrl-C ends the command, not the move"),
    (["help", "migrate-cancel"], 0, "  migrate_cancel VM\n"),
    (["-H", "::1", "vms"], 3, "http://[::1]: "),  # and no port
    (["-H", "[::1]:1", "vms"], 3, "http://[::1]:1: "),
    (["-H", "127.0.0.1:1", "vms"], 3, "http://127.0.0.1:1: "),
    (["-H", "127.0.0.1:99999", "vms"], 2, "host '127.0.0.1:99999' is wrong, expected HOST, HOST:PORT, "),
    (["-H", "[fd09::2", "vms"], 2, "host '[fd09::2' is wrong"),
    (["-H", "127.0.0.1:1", "create", "web", "cmdline=" + "x" * 490], 2, "create: the arguments are too long"),
    (["-H", "127.0.0.1:1", "pause", "x" * 512], 2, "pause: the arguments are too long"),
    (["-X", "vms"], 2, "see godwit help"),
])
def test_help(arguments, status, words):
    done = run_to_end([GODWIT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode, words in done.stdout) == (status, True), done.stdout


def test_completion_script():
    script = run_to_end([GODWIT, "completion", "bash"], stdout=subprocess.PIPE, text=True).stdout
    check = script + '\nCOMP_WORDS=(godwit powero); COMP_CWORD=1; _godwit; echo "${COMPREPLY[@]}"'
    assert run_to_end(["bash", "-c", check], stdout=subprocess.PIPE, text=True).stdout.strip() == "poweroff"


class Silent(http.server.BaseHTTPRequestHandler):
    """A hypervisor whose guest says nothing, and is in the state that the server has."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        for name, value in (("Content-Length", 0), ("Console-Next", 0), ("Console-Guest", self.server.state)):
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("state, words", [
    *((state, f"godwit: web is {state}: its console has come to an end\n")
      for state in ("passed", "failed", "crashed", "off", "halted")),
    *((state, f"godwit: web is {state}: it does not run here\n")
      for state in ("created", "superseded", "prepared", "elsewhere", "in-doubt")),
    ("running", ""),
    ("paused", ""),
])
def test_console_of_a_guest_that_stands(state, words):
    """Who looks at a console that is silent for good is told why, once."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.state = state
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with started([GODWIT, "-H", f"127.0.0.1:{server.server_port}", "console", "web"], text=True,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tool:
            said = tool.stderr.readline() if words else ""
            output, more = tool.communicate("", timeout=PROGRAM)
        server.shutdown()
    assert (tool.returncode, output, said + more) == (0, "", words)


class Busy(http.server.BaseHTTPRequestHandler):
    """A hypervisor that begins a trace, and then has no place for a request."""

    def do_POST(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/v1/dirty-trace-data"):
            self.answer(503, b'{"error":"there are too many connections"}')
        else:
            self.answer(200, b'{"number":7}')

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_trace_that_cannot_be_taken(tmp_path):
    """The hypervisor ends it after 10 s; so the command ends, too, and says why."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run_to_end([GODWIT, "-H", f"127.0.0.1:{server.server_port}", "dirty-trace", "web", "-o", tmp_path / "t"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        server.shutdown()
    assert done.returncode == 1 and "there are too many connections" in done.stdout, done.stdout
    assert server.asked[-1] == "/v1/dirty-trace-stop"


@pytest.mark.parametrize("token, words", [
    ("x" * 256, "it has 256 characters, expected at most 255"), ("x" * 5000, "it has 5000 characters"),
    ("x\r\nHost: y", "a blank or an odd character"), ("x y", "a blank or an odd character"),
], ids=["long", "very-long", "lines", "blank"])
def test_a_token_that_is_none(token, words):
    """It is refused before anything is sent, and not cut."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run_to_end([GODWIT, "-H", f"127.0.0.1:{server.server_port}", "-t", token, "pause", "web"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        server.shutdown()
    assert done.returncode == 2 and words in done.stdout and "Host" not in done.stdout and server.asked == [], done


class Odd(Busy):
    """Something at that address that is no hypervisor."""

    def do_GET(self):
        self.answer(200, b"<html>It works!</html>")

    do_POST = do_GET


@pytest.mark.parametrize("arguments", [
    ["vms"], ["log"], ["log", "--follow"], ["completion", "names"], ["trace", "web"],
    ["trace", "web", "--chrome", "file"],
    ["dirty-trace", "web", "-o", "file"], ["shutdown", "web"], ["migrate", "web", "192.0.2.1"], ["pause", "web"],
], ids=" ".join)
def test_an_answer_that_is_not_json(tmp_path, arguments):
    """Each command says so, once, and fails."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run_to_end([GODWIT, "-H", f"127.0.0.1:{server.server_port}", *arguments], cwd=tmp_path,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        server.shutdown()
    assert (done.returncode, done.stdout) == (1, "godwit: the answer is not JSON\n"), done
