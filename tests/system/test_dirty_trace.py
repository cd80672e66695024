# SPDX-License-Identifier: BSD-2-Clause
"""Which pages a guest writes, interval by interval: the trace of a guest, the tool that reads it, and moves that are
made on it without a machine."""

import random
import re
import signal
import subprocess

import pytest
import test_api
from api import GODWIT
from machine import PROGRAM, ROOT, run_to_end, started, tool, vm
from migration import Site, beats

REPLAY = ROOT / "build/tools/replay"
PAGES = 512  # that the guest writes, of 3072
MOVER = vm("mover", "mover.elf", memory="12M", cmdline=f"pages={PAGES} rate=8 tick=10000")
FULL = 4096 + 16  # bytes of a page on the wire


READER = tool("dirty-trace")


def varint(number):
    rest = number >> 7
    return bytes([number & 0x7F | (0x80 if rest else 0)]) + (varint(rest) if rest else b"")


def make(path, intervals, pages=1024, end=b"Ewhole\n"):
    """A trace of intervals (us, [(first page, count), ...])."""
    data = f"godwit-dirty-trace 1 vm=made pages={pages} page=4096 every-ms=10 for-ms=1000 producer=dbit\n".encode()
    for us, runs in intervals:
        at, data = 0, data + b"I" + varint(us)
        for first, count in runs:
            data += varint(first - at) + varint(count)
            at = first + count
        data += b"\0\0"
    path.write_bytes(data + end)
    return path


def replay(*arguments):
    return run_to_end([REPLAY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read(*arguments):
    return run_to_end([ROOT / "tools/dirty-trace", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                      text=True)


def link(pages_a_second):
    """--mbit of a link that carries so many pages a second."""
    return pages_a_second * FULL * 8 / 1e6


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("traced")) as site:
        site.boot(MOVER, mem=256)
        beats(site.a)
        yield site


def tracing(site, file, *options):
    return started([*site.net.enter, GODWIT, "dirty-trace", "mover", *options, "-o", file],
                   env=site.a.environment(), stdout=subprocess.PIPE, text=True)


def test_trace_of_a_guest(site, tmp_path):
    """It has the pages that the guest writes, all intervals follow each other, and the log is off afterwards."""
    file = tmp_path / "mover.trace"
    with tracing(site, file, "--every", "200", "--for", "600") as traced:
        # The guest draws its pages at random: after so many, however long that takes, hardly one is left.
        site.a.wait_for("it has written", lambda: site.a.get("/v1/query-dirty-trace").get("pages", 0) > 12 * PAGES)
        traced.send_signal(signal.SIGTERM)
        assert traced.wait(PROGRAM) == 0
        assert traced.stdout.read() == f"{file.stat().st_size} bytes in {file}\n"
    trace = READER.read(file)
    assert trace.end == "stopped" and trace.head["vm"] == "mover" and trace.pages == 3072
    assert all(interval.us >= 200000 for interval in trace.intervals[:-1])
    assert PAGES * 3 // 4 <= READER.different(trace) <= PAGES + 64  # its stack, tables and console are pages, too
    query = site.a.get("/v1/query-dirty-trace")
    assert (query["status"], query["reason"], query["vm"]) == ("ended", "stopped", "mover")
    assert query["intervals"] == len(trace.intervals)
    assert query["pages"] == sum(interval.pages for interval in trace.intervals)
    site.a.wait_for("the log is off", lambda: "mover: log off" in site.a.machine.log)
    # As fast a link as it takes to need no more of the trace than there is.
    moved = replay(file, "--mbit", link(3072), "--downtime-limit", "400")
    assert moved.returncode == 0 and re.search(r"\n    1 +3072 ", moved.stdout), moved.stdout + moved.stderr


def test_trace_to_its_end(site, tmp_path):
    done = site.a.godwit("dirty-trace", "mover", "--every", "100", "--for", "1", "-o", tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    trace = READER.read(tmp_path / "whole")
    assert trace.end == "whole" and sum(interval.us for interval in trace.intervals) >= 1000000


def test_one_user_of_the_log(site, tmp_path):
    """While a guest is traced, nobody else has its log; dirty-trace-stop ends that, and the file is whole."""
    (tmp_path / "other").write_text("kept")
    with tracing(site, tmp_path / "long", "--for", "600") as traced:
        site.a.wait_for("it is traced", lambda: site.a.get("/v1/query-dirty-trace").get("intervals")
                        and site.a.get("/v1/query-dirty-trace")["status"] == "tracing")
        for path in ("calc-dirty-rate", "dirty-trace?every=10&for=10"):
            status, error = site.a.refused(f"/v1/vms/mover/{path}")
            assert status == 409 and error == "mover is being traced, dirty-trace-stop ends that", error
        assert site.a.godwit("dirty-trace", "mover", "-o", tmp_path / "other").returncode == 1
        assert (tmp_path / "other").read_text() == "kept"
        status, body = site.a.ask("GET", "/v1/dirty-trace-data", number=1234)
        assert status == 409 and body["error"].startswith("trace 1234 is forgotten, the last one is "), body
        status, error = site.a.refused("/v1/vms/mover/migrate", dest=site.b.address)
        assert status == 409 and "dirty-trace" in error, error
        assert site.a.godwit("dirty-trace-stop").returncode == 0
        assert traced.wait(PROGRAM) == 0
    assert READER.read(tmp_path / "long").end == "stopped"
    assert site.a.godwit("dirty-trace-stop").stderr == "godwit: no virtual machine is being traced\n"


def test_usage(tmp_path):
    for target in test_api.host_target():
        done = target.godwit("dirty-trace", "web")
        assert done.returncode == 2 and done.stderr.startswith("usage: godwit dirty-trace VM "), done.stderr
        assert target.json("/v1/query-dirty-trace") == {"status": "unstarted"}
        done = target.godwit("dirty-trace", "web", "-o", tmp_path / "none" / "x")
        assert done.returncode == 1 and "No such file or directory" in done.stderr
        assert target.json("/v1/query-dirty-trace")["reason"] == "stopped"
        done = target.godwit("dirty-trace", "web", "--every", "0", "-o", tmp_path / "x")
        assert done.returncode == 1 and "every: '0' is wrong" in done.stderr, done.stderr
        assert target.ask("POST", "/v1/vms/web/dirty-trace?every=10&for=10")[0] == 202
        for method, taken in (("GET", 0), ("POST", 20)):  # to look takes nothing
            assert target.ask(method, "/v1/dirty-trace-data?offset=20")[0] == 200
            assert target.json("/v1/query-dirty-trace")["taken"] == taken
        assert target.ask("POST", "/v1/dirty-trace-stop")[0] == 200
        done = target.godwit("dirty-trace", "web", "-o", tmp_path / "x")
        assert done.returncode == 0, done.stderr
        assert [interval.runs for interval in READER.read(tmp_path / "x").intervals] == [[(3, 2), (37, 8)]]
        for wrong, why in (("x", b"expected a number"), ("9" * 20, b"expected a number"), ("9999", b"there are ")):
            status, _, body = target.ask("GET", f"/v1/dirty-trace-data?offset={wrong}")
            assert status == 400 and why in body
        assert "dirty-trace" in target.godwit("help", "dirty-trace").stdout


def test_reader(tmp_path):
    file = make(tmp_path / "t", [(10000, [(0, 1), (5, 2)]), (20000, []), (10000, [(1023, 1)])])
    shown = read(file).stdout
    assert "\nintervals          3 of 10 ms, 0.04 s in all\n" in shown
    assert "\nwritten            4 pages summed over the intervals, 4 different ones\n" in shown
    assert read(file, "--csv", tmp_path / "c", "--runs", tmp_path / "r").returncode == 0
    assert (tmp_path / "c").read_text() == "start_us,us,pages,runs\n0,10000,3,2\n10000,20000,0,0\n30000,10000,1,1\n"
    assert (tmp_path / "r").read_text() == "start_us,first_page,pages\n0,0,1\n0,5,2\n30000,1023,1\n"
    cells = READER.density(READER.read(file))
    assert cells[0] == [1, 0, 0] and cells[1] == [2, 0, 0] and cells[-1] == [0, 0, 1]
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert "\nend                cut off\n" in read(file).stdout
    for data, why in ((b"hello\n", "expected a first line"), (whole.replace(b"pages=1024", b"pages=1023"), "page 1023"),
                      (whole.replace(b"E", b"x"), "not the byte 120"), (whole + b"\x1b[2J", "END: of words"),
                      (whole.replace(b"pages=1024", b"pages=-1"), "pages: '-1' is wrong, expected a number from 1"),
                      (whole.replace(b"pages=1024", b"pages=%d" % 2**40), "expected a number from 1"),
                      (whole.replace(b"page=4096", b"page=abc"), "page: 'abc' is wrong"),
                      (whole[:whole.index(b"\n") + 1] + b"I" + b"\xff" * 1000000, "more than 64 bits")):
        file.write_bytes(data)
        done = read(file)
        assert why in done.stderr + done.stdout.replace("\nend                ", "END: "), done
        assert done.returncode == (not why.startswith("END")) and "Traceback" not in done.stderr
    # As much memory as there can be, all of it written: nothing is made for each page.
    make(file, [(10000, [(0, 1 << 28)])], pages=1 << 28)
    assert f"summed over the intervals, {1 << 28} different ones" in read(file).stdout
    assert sum(map(sum, READER.density(READER.read(file)))) == 1 << 28
    assert "No such file" in read(tmp_path / "none").stderr


def test_replay(tmp_path):
    """The arithmetic of a move: 1000 pages a second cross; the guest writes 10 of its pages in each 10 ms, the same
    half of the time and others else."""
    hot = [(10000, [(0, 10)])] * 400
    done = replay(make(tmp_path / "hot", hot), "--mbit", link(1000), "--rtt-ms", 0, "--downtime-limit", 25)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:] if line]
    assert rows[0] == ["1", "1024", "10", "10", "0", str(1024 * FULL), "1024.0", "0%"]
    assert "\nstatus             completed\ndowntime           20.0 ms (expected " in done.stdout
    assert f"\ntransferred        {1034 * FULL} bytes\n" in done.stdout

    rolling = [(10000, [(10 * i % 1000, 10)]) for i in range(2000)]  # as fast as the link
    file = make(tmp_path / "rolling", rolling)
    for stall, status in (("stop", "completed, above downtime-limit"), ("abort", "failed: it does not converge")):
        done = replay(file, "--mbit", link(1000), "--rtt-ms", 0, "--on-stall", stall)
        assert f"\nstatus             {status}\n" in done.stdout, done.stdout
        assert done.returncode == (stall == "abort")
    done = replay(file, "--mbit", link(1000), "--rtt-ms", 0, "--on-stall", "throttle", "--csv")
    rounds = [list(map(float, line.split(","))) for line in done.stdout.splitlines()[1:]]
    assert rounds[-1][7] > 0 and rounds[-1][2] < rounds[0][2], "a throttled guest writes less"
    done = replay(file, "--mbit", link(10000), "--rtt-ms", 0, "--used", 100, "--downtime-limit", 12, "--csv")
    assert done.stdout.splitlines()[1] == f"1,100,10,10,0,{100 * FULL},10.0,0"
    # Of the 1024 pages of the first round 128 are sent at once; in a round trip of 10 ms 10 more are saved up, of which
    # the downtime has the gain.
    done = replay(tmp_path / "hot", "--mbit", link(1000), "--rtt-ms", 10, "--burst-kb", 128 * FULL / 1024,
                  "--downtime-limit", 25)
    assert done.stdout.splitlines()[1].split() == ["1", "1024", "10", "10", "0", str(1024 * FULL), "906.0", "0%"]
    assert "\ndowntime           10.0 ms " in done.stdout, done.stdout


def test_hot_pages_are_left(tmp_path):
    """100 pages are written all the time, and 100 others a second. The third round leaves the hot ones out: it is
    short, and what else is written meanwhile is little."""
    file = make(tmp_path / "t", [(10000, [(0, 100), (100 + i % 900, 1)]) for i in range(400)])
    moves = {}
    for when in ("last", "each"):
        done = replay(file, "--mbit", link(1000), "--rtt-ms", 0, "--max-rounds", 3, "--hot-pages", when, "--csv")
        moves[when] = [tuple(map(int, line.split(",")[1:5])) for line in done.stdout.splitlines()[1:]]
    assert moves["last"] == [(1024, 202, 202, 0), (202, 120, 120, 100), (20, 102, 102, 100)]
    assert moves["each"] == [(1024, 202, 202, 0), (202, 120, 120, 0), (120, 112, 112, 0)]


def test_replay_predicts(tmp_path):
    """Of a guest that writes uniformly: what is said after 0.2 s of its trace is what the replayed move then is."""
    chance = random.Random(1)
    pages = [sorted({chance.randrange(1000) for _ in range(10)}) for _ in range(3000)]
    file = make(tmp_path / "t", [(5000, [(page, 1) for page in now]) for now in pages])
    options = ["--mbit", link(1000), "--rtt-ms", 0, "--fixed-ms", 10, "--on-stall", "stop"]
    said = replay(file, *options, "--predict")
    assert said.returncode == 0, said.stderr
    rate, set_ = (int(line.split()[1]) for line in said.stdout.splitlines()[:2])
    assert 1700 < rate < 2300 and 700 < set_ <= 1024, said.stdout
    rows = {line.split()[0]: line.split() for line in said.stdout.splitlines()[4:9]}
    made = replay(file, *options).stdout
    downtime = float(re.search(r"^downtime +([\d.]+)", made, re.M)[1])
    assert float(rows["live"][2]) == pytest.approx(downtime, rel=0.15), (said.stdout, made)
    assert rows["stop-copy"][1:4] == [f"{1024 / 1000 * 1000 + 10:.1f}"] * 2 + ["0"], rows
    assert "chosen             hybrid" in said.stdout or "chosen             post-copy" in said.stdout
    assert "the trace is over" in replay(make(tmp_path / "short", [(10000, [])]), "--predict").stderr


def test_policy_of_ones_own(tmp_path):
    """A policy that a student writes: five rounds, whatever they bring."""
    (tmp_path / "mine.c").write_text("""
        #include "policy/policy.h"
        enum policy_verdict policy_decide(const struct policy_settings *settings, const struct policy_stats *stats,
                                          struct policy_prediction *prediction)
        {
            (void)settings;
            *prediction = (struct policy_prediction){ .downtime_us = 1000 };
            return stats->rounds < 5 ? POLICY_CONTINUE : POLICY_STOP;
        }
    """)
    run_to_end(["cc", "-shared", "-fPIC", f"-I{ROOT}", "-o", tmp_path / "mine.so", tmp_path / "mine.c"], check=True)
    file = make(tmp_path / "t", [(10000, [(0, 10)])] * 400)
    done = replay(file, "--mbit", link(1000), "--policy", tmp_path / "mine.so", "--csv")
    assert len(done.stdout.splitlines()) == 6, done.stdout + done.stderr
    assert "no such file" in replay(file, "--policy", tmp_path / "none.so").stderr.lower()


def score(tmp_path, source, file):
    """What docs/labs/score says of a policy."""
    library = tmp_path / "scored.so"
    run_to_end(["cc", "-shared", "-fPIC", f"-I{ROOT}", "-o", library, source], check=True)
    return run_to_end([ROOT / "docs/labs/score", library, file], stdout=subprocess.PIPE, text=True)


def test_score_of_a_policy(tmp_path):
    """The sheet's policy stops a guest that converges too early: it is worse at the slow link, and as good at the fast
    one. A policy that never stops has no score."""
    file = make(tmp_path / "t", [(10000, [(10 * i % 1000, 10)]) for i in range(400)])
    done = score(tmp_path, ROOT / "docs/labs/policy.c", file)
    slow, fast, mean = (float(line.split()[-1]) for line in done.stdout.splitlines()[1:])
    assert done.returncode == 0 and slow > 1 and fast == 1 and mean == pytest.approx((slow + fast) / 2, abs=0.001)
    endless = (ROOT / "docs/labs/policy.c").read_text().replace("POLICY_STOP", "POLICY_CONTINUE")
    (tmp_path / "endless.c").write_text(endless)
    done = score(tmp_path, tmp_path / "endless.c", file)
    assert done.returncode == 1 and done.stdout.count("no move: ") == 2, done.stdout


@pytest.mark.parametrize("arguments, status, why", [
    (["{whole}", "--mbit", "0"], 2, "--mbit: '0' is wrong"), (["{whole}", "--on-stall", "wait"], 2, "expected stop"),
    (["{whole}", "--hot-pages", "never"], 2, "expected last or each"),
    ([], 2, "usage: "), (["{none}"], 1, "No such file"), (["{other}"], 1, "expected a file of godwit dirty-trace"),
    (["{whole}", "--mbit", "1"], 1, "the trace is over before the move is"), (["{whole}", "--at", "9"], 1, "--at"),
    (["{cut}", "--mbit", "1"], 1, "the trace has no end"), (["{inside}", "--mbit", "1"], 1, "the trace has no end"),
    (["{huge}"], 1, "pages is wrong"), (["{wrap}"], 1, "more than 64 bits"),
    (["{whole}", "--max-rounds", "4294967296"], 2, "expected a number"),
    (["{whole}", "--used", "2000"], 1, "fewer pages"),
])
def test_replay_says_what_is_wrong(tmp_path, arguments, status, why):
    files = {"whole": make(tmp_path / "whole", [(10000, [(0, 10)])]), "none": tmp_path / "none",
             "cut": make(tmp_path / "cut", [(10000, [(0, 10)])], end=b""), "other": ROOT / "README.md",
             "inside": make(tmp_path / "inside", [(10000, [(0, 10)])], end=b"I\x10\x01"),
             "huge": make(tmp_path / "huge", [(10000, [(0, 10)])], pages=1 << 40),
             "wrap": make(tmp_path / "wrap", [(10000, [])], end=b"I\x10" + b"\xff" * 9 + b"\x02\x01")}
    done = replay(*[argument.format(**files) for argument in arguments])
    assert done.returncode == status and why in done.stderr + done.stdout, done.stderr
