# SPDX-License-Identifier: BSD-2-Clause
"""Moves of Godwit's under the eyes of a probe outside, as objects of a run's JSON (tools/report draws them).

    with tempfile.TemporaryDirectory() as directory, two_hypervisors(directory) as site:
        site.boot(linux(256), mem=768, cpus=2)
        move = observed_move(site, site.a, site.b)
"""

import contextlib
import json
import math
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/system"), str(ROOT / "tests/bench")]

from api import GODWIT  # noqa: E402
from machine import vm  # noqa: E402
from migration import GUEST, Site, breaks  # noqa: E402
from probe import Probe, blackout_ms, gaps, longest_ms, lost  # noqa: E402

INTERVAL = 0.002  # s between probes, if nothing else is said
AROUND = 0.5      # s of probing before a move is asked for, and after it is done
SHUTDOWN = 600    # s for the guest, if it is to: an emulator that gets little of its processors takes 20 s and more
DEMAND = 3        # s after which the rest follows a guest that was moved by mode demand
CLOCK_SLACK = 0.02  # s by which the guest's clock may differ from what it was before the move
CLOCK_ASKS = 5    # how often that clock is asked for; the quickest answer is the most exact
RAM_MEMBERS = ("transferred", "total", "duplicate", "normal", "normal-bytes", "dirty-sync-count", "dirty-pages-rate",
               "mbps", "pages-per-second", "precopy-bytes", "postcopy-bytes", "postcopy-requests",
               "postcopy-recoveries")
NEEDS = """
The two hypervisors need a network namespace with taps:
- root, or a kernel where users may make namespaces (sysctl kernel.unprivileged_userns_clone=1);
- the device /dev/net/tun (modprobe tun; of a container --device /dev/net/tun).
Without them no guest moves, but one boots: make run CONFIG=guest/linux.cfg"""


def cmdline(words=""):
    """The Linux guest's kernel command line."""
    return f"console=ttyS0 quiet tsc=nowatchdog ip={GUEST}/24 gw=10.9.0.1 {words}".strip()


def linux(mib, words="", archive="initramfs.cpio"):
    """The section of the Linux guest with so much memory."""
    return vm("linux", "vmlinuz", initrd=archive, memory=f"{mib}M", cmdline=cmdline(words))


def need_release():
    """A benchmark of the build for tests would measure the tests."""
    if subprocess.run([ROOT / "tests/bench/release", Path(sys.argv[0]).name]).returncode:
        sys.exit(2)


def say(text):
    """A step of a demonstration."""
    print(f"\n--- {text}", flush=True)


def show(site, *command):
    """Run a command at the client's end and show it; it must succeed."""
    print("$ " + " ".join(map(str, command)).replace(str(GODWIT), "godwit"), flush=True)
    done = site.net.run(*command, env=site.a.environment())
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"{Path(sys.argv[0]).name}: {command[0]} ended with status {done.returncode}")


def p99(values):
    """What at least 99 of 100 of them do not exceed."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def judged(name, value, goal, unit, least=False):
    """Print a figure beside its goal; was it reached?"""
    good = value >= goal if least else value <= goal
    print(f"{name}: {value:.3g} {unit} (goal: at {'least' if least else 'most'} {goal}){'' if good else ': missed'}",
          flush=True)
    return good


def insecure_option(parser):
    """For a benchmark whose machines are as users have them, unless it is told otherwise."""
    parser.add_argument("--insecure", action="store_true", help="moves, the API and the witness in the clear")


def two_hypervisors(directory, secure=True):
    """A site without machines, to be entered, which raises network.Unavailable."""
    return Site(Path(directory) / "site", secure)


def boot(site, guests, **options):
    """Both hypervisors, the Linux guest on a, ready."""
    site.boot(guests, **options)
    site.a.machine.wait("godwit-guest: ready", 240)


def in_one_line(late):
    """What a wait says that was in vain (network.Late), without the console."""
    return f"{str(late).partition(chr(10))[0].rstrip(':')}; a machine that is busy is slow"


def wait_for_loop(net):
    """Until the guest's loop listens: it is started when the guest is nearly ready."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return breaks(net)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def pull_later(source, name, mode):
    """While a move goes on: one of mode demand gets all that it still misses, DEMAND s after this."""
    timer = threading.Timer(DEMAND, source.ask, ["POST", f"/v1/vms/{name}/pull"])
    if mode == "demand":
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def switch_over(move, zero, slack):
    """(begin, end) of the switch-over, s, on a clock that shows `zero` when the move is asked for, at most `slack` off:
    from the guest's stop at the source until it runs at the destination."""
    phases = move["phases"]
    return (zero + (phases["setup"] + phases["precopy"]) / 1000 - slack,
            zero + (move["total-time"] - phases.get("postcopy", 0) + phases["resume"]) / 1000 + slack)


def compute_downtime(net, move):
    """(the guest's break at the switch-over, its longest break elsewhere in the move), ms. None: none was noticed."""
    answers = [breaks(net) for _ in range(CLOCK_ASKS)]
    clock = min(answers, key=lambda answer: answer.within)
    begin = move["probe"]["migrate-start"] + clock.ahead
    away, here = switch_over(move, begin, max(CLOCK_SLACK, clock.within))
    during = [(at + length > away, length * 1000) for at, length, _ in answers[-1].breaks
              if begin < at + length and at < here]
    return tuple(max((length for switching, length in during if switching == wanted), default=None)
                 for wanted in (True, False))


def time_lost(net, begin, end):
    """ms of all the guest's breaks between two times of our clock."""
    seen = breaks(net)
    return sum(length * 1000 for at, length, _ in seen.breaks
               if begin + seen.ahead < at + length and at < end + seen.ahead)


def network_downtime(move):
    """(the gap between answers at the switch-over, the longest gap elsewhere), ms, less the probe's interval."""
    away, here = switch_over(move, move["probe"]["migrate-start"], CLOCK_SLACK)
    by_place = {True: [], False: []}
    for before, after in gaps(move["probe"]["samples"]):
        by_place[after > away and before < here].append((before, after))
    return tuple(longest_ms(by_place[wanted], move["probe"]["interval"] / 1000) for wanted in (True, False))


def move_of(source, dest, answers, probe, interval):
    """The object of a run's JSON out of what both ends say and the probe saw."""
    away, here = answers
    ram = away.pop("ram")
    move = {name: away[name] for name in ("vm", "mode", "status", "total-time", "setup-time", "downtime",
                                          "expected-downtime", "wire-bytes", "dirty-log", "rounds",
                                          "stopped-round", "epoch")}
    if away["postcopy-progress"]:
        end = {"ms": away["phases"]["postcopy"], "pages": ram["normal"] + ram["duplicate"],
               "requests": ram["postcopy-requests"]}
        move["postcopy-progress"] = away["postcopy-progress"] + [end]
        move |= {name: here[name] for name in ("postcopy-blocktime", "postcopy-latency")}
    return {"who": "godwit", "from": source.address, "to": dest.address, **move,
            **{name: ram[name] for name in RAM_MEMBERS}, "phases": {**away["phases"], **here["phases"]},
            "blackout": round(blackout_ms(probe["samples"], interval), 2), "lost": lost(probe["samples"]),
            "probe": probe}


def asked(source):
    """What the source says of its last move, and when that began, by our clock."""
    before = time.monotonic()
    answer = source.query("linux")
    return answer, (before + time.monotonic()) / 2 - answer["age"] / 1000


def observed_move(site, source, dest, mode="live", show=False, compute=False, interval=INTERVAL, around=AROUND,
                  arrived=None):
    """Move the Linux guest by the godwit tool; its output is shown, or kept. `compute`: ask the guest's loop, too. The
    probe goes on until arrived() returns."""
    command = [*site.net.enter, GODWIT, "-H", source.address, "migrate", "linux", dest.address, "--mode", mode]
    command += ["--timeout", SHUTDOWN] * (mode == "cold")
    probe = Probe(site.net.socket)
    probe.start(GUEST, interval)
    try:
        time.sleep(around)  # the length of what is measured before
        with pull_later(source, "linux", mode):
            done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                                  env=source.environment(), stdout=None if show else subprocess.PIPE,
                                  stderr=None if show else subprocess.STDOUT)
        end = time.monotonic()
        if arrived and done.returncode == 0:
            arrived()
        time.sleep(around)
    finally:
        samples = probe.stop()
    if done.returncode:
        raise RuntimeError(f"the move ended with status {done.returncode}: {done.stdout}")
    away, begin = asked(source)
    seen = {"interval": interval * 1000, "start": samples[0][0], "migrate-start": begin, "migrate-end": end,
            "samples": samples}
    move = move_of(source, dest, (away, dest.query("linux")), seen, interval)
    if compute:
        move["compute-downtime"], move["longest-break"] = compute_downtime(site.net, move)
        move["network-downtime"], move["longest-gap"] = network_downtime(move)
    return move


def save(moves, path):
    """A run's JSON: the last move's members, and all moves."""
    last = {name: value for name, value in moves[-1].items() if name != "probe"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**last, "moves": moves}, indent=1))


def report(path):
    """Draw it beside the JSON; returns where."""
    page = path.with_suffix(".html")
    subprocess.run([ROOT / "tools/report", path, "-o", page], check=True, stdout=subprocess.DEVNULL)
    return page
