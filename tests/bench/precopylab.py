# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of pre-copy without its machines: the experiment in numbers, what a move of it should be, and how a
move is compared with that. tests/bench/lab-precopy runs it; docs/lab-precopy.md defines the words.

A move is predicted by build/tools/replay, so by policy/policy.c, on a trace of the writes that the guest would make.
"""

import random
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = 4096
ENTRY = 16            # bytes before each page on the wire (stream/wire.h)
OWN = 5               # pages of the guest that it writes all the time: stack, data, three page tables
IMAGE = 20            # further pages with contents: the guest's program and what it was started with
EXPECTED, SET = 512, 1024  # the first page of what its pages should hold, and of the pages (tests/guests/writer)
US_PER_S = 1_000_000
RHOS = (0, 0.1, 0.3, 0.5, 0.8, 1.2, 2)
QUICK_RHOS = (0, 0.5, 1.2)
ON_STALL = ("stop", "abort", "throttle")
STALLING = 2          # rho of the moves that show what on-stall does
SLACK = 0.1           # a move whose guest or link was off by more than this part is rejected
PHASES = ("setup", "precopy", "stop", "final-ram", "device-state", "commit")
GOALS = {"pages": 0.10, "rounds": 1, "downtime": 0.20}


@dataclass(frozen=True)
class Scale:
    """How large and how fast the experiment is, so that an emulator can keep up."""

    pages: int = 4096     # W: pages that the guest writes, uniformly
    link: int = 2000      # R, pages a second
    tick: int = 5000      # us between the guest's writes
    pattern: str = "uniform"  # of its writes: that, or hot (nine of ten into a tenth of the pages)
    hot: str = "each"     # hot-pages
    keep: bool = True     # it makes up for ticks that it took late
    limit: int = 80       # downtime-limit, ms: for each rho of RHOS up to 0.5, far from what a round leaves
    rtt: float = 2        # what is assumed of round trips, ms
    fixed: float = 13     # and of the downtime without pages, ms
    cold: float = 11      # and by how much a machine's first move is longer, ms: its emulator has the code to translate
    seconds: int = 120    # of the trace: longer than any move

    def memory(self):
        """MiB of the guest."""
        return (SET + self.pages) * PAGE // 2**20 + 4

    def used(self):
        """Pages with contents when the move begins."""
        return self.pages + -(-self.pages // 1024) + OWN + IMAGE

    def bandwidth(self):
        """max-bandwidth, bytes/s."""
        return self.link * (PAGE + ENTRY)

    def burst(self):
        """KiB that the source sends at once after a pause (BURST of migrate/source.c): two records."""
        return 2 * 64 * (PAGE + ENTRY) / 1024

    def step(self):
        """The least rho: a page each tick."""
        return US_PER_S / self.tick / self.link

    def possible(self, rho):
        """Is it a whole number of pages each tick?"""
        return 0 <= rho <= 4 and abs(rho / self.step() - self.rate(rho)) < 1e-6

    def rate(self, rho):
        """Pages that the guest writes each tick."""
        return round(rho / self.step())

    def cmdline(self, rho):
        return (f"pages={self.pages} rate={self.rate(rho)} tick={self.tick} ticks=0 pattern={self.pattern} fill=1 "
                f"keep={int(self.keep)} say={US_PER_S // self.tick // 5}")


# --- Prediction ---

def varint(number):
    data = b""
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


def write_trace(path, scale, rho, seed=1):
    """What the guest writes, an interval for each of its ticks, as godwit dirty-trace would say it."""
    chance = random.Random(seed)
    total, rate = scale.memory() * 2**20 // PAGE, scale.rate(rho)
    data = [f"godwit-dirty-trace 1 vm=writer pages={total} page={PAGE} every-ms={scale.tick // 1000} "
            f"for-ms={scale.seconds * 1000} producer=dbit\n".encode()]
    for _ in range(scale.seconds * US_PER_S // scale.tick):
        few = scale.pages // 10 if scale.pattern == "hot" else scale.pages
        numbers = {chance.randrange(few if chance.random() < 0.9 else scale.pages) for _ in range(rate)}
        pages = {*range(OWN), *(SET + number for number in numbers), *(EXPECTED + number // 1024 for number in numbers)}
        data.append(b"I" + varint(scale.tick))
        at = 0
        for page in sorted(pages):
            data.append(varint(page - at) + varint(1))
            at = page + 1
        data.append(b"\0\0")
    path.write_bytes(b"".join(data) + b"Ewhole\n")


def replayed(text):
    """The prediction in what replay prints."""
    rounds = [{"pages": int(pages), "dirtied": int(dirtied), "left": int(left), "ms": float(ms),
               "throttle": int(throttle)} for pages, dirtied, left, ms, throttle in
              re.findall(r"^ +\d+ +(\d+) +(\d+) +(\d+) +\d+ +\d+ +([\d.]+) +(\d+)%$", text, re.M)]
    found = re.search(r"^downtime +([\d.]+) ms", text, re.M)
    last = rounds[-1]["left"] if found else 0
    return {"rounds": len(rounds), "pages": sum(one["pages"] for one in rounds) + last, "last": last,
            "downtime": float(found[1]) if found else None,
            "total": float(re.search(r"^total-time +([\d.]+) ms", text, re.M)[1]),
            "throttle": max((one["throttle"] for one in rounds), default=0), "each": rounds}


def predict(directory, scale, rho, on_stall):
    """What the move should be, from D, R, W, the number of pages and what is assumed of fixed costs."""
    trace = Path(directory) / "predicted.trace"
    write_trace(trace, scale, rho)
    command = [ROOT / "build/tools/replay", trace, "--mbit", scale.bandwidth() * 8 / 1e6, "--burst-kb", scale.burst(),
               "--rtt-ms", scale.rtt, "--fixed-ms", scale.fixed, "--used", scale.used(),
               "--downtime-limit", scale.limit, "--on-stall", on_stall, "--hot-pages", scale.hot]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1) or "total-time" not in done.stdout:
        raise RuntimeError(f"replay: {done.stderr}")
    return replayed(done.stdout)


def of_first(scale, predicted):
    """The same of a machine's first move."""
    longer = {name: predicted[name] + scale.cold for name in ("downtime", "total") if predicted["downtime"]}
    return {**predicted, **longer}


# --- A move ---

def row_of(scale, rho, predicted, answer, before, after):
    """One move. `answer` is what query-migrate says in the end; before and after are the guest's progress, after being
    that before it stood."""
    rounds, stopped = answer["rounds"], answer["stopped-round"]
    us, ticks = max(after[1] - before[1], 1), after[0] - before[0]
    bytes_, ms = sum(one["bytes"] for one in rounds), sum(one["ms"] for one in rounds)
    row = {"rho": rho, "status": answer["status"],
           "D": scale.rate(rho) * US_PER_S / scale.tick, "D_seen": ticks * scale.rate(rho) / us * US_PER_S,
           "pace": ticks * scale.tick / us, "R": scale.link, "R_seen": bytes_ / (PAGE + ENTRY) / ms * 1000 if ms else 0}
    row["rho_seen"] = row["D_seen"] / row["R_seen"] if row["R_seen"] else None
    measured = {"pages": sum(one["pages"] for one in rounds) + stopped["pages"], "rounds": len(rounds),
                "last": stopped["pages"], "downtime": answer["downtime"] or None, "total": answer["total-time"],
                "throttle": answer["cpu-throttle-percentage"]}
    for name, value in measured.items():
        row[f"{name}_predicted"], row[name] = predicted[name], value
    row |= {"expected_downtime": answer["expected-downtime"], "round_trip": answer["round-trip"],
            "fixed": fixed_of(answer)}
    row |= {f"{name}_ms": answer["phases"][name] for name in PHASES}
    row["rejected"] = rejected(row)
    row["each"] = [{name: one[name] for name in ("pages", "dirtied", "bytes", "ms")} for one in rounds]
    row["each_predicted"] = predicted["each"]
    return row


def fixed_of(answer):
    """ms of the downtime in which no page was sent."""
    return answer["downtime"] - answer["phases"]["final-ram"] if answer["downtime"] else None


def rejected(row):
    """Why the move tells nothing about the prediction: its guest or its link was not as asked for. "" if it does."""
    if not row["throttle"] and abs(row["pace"] - 1) > SLACK:
        return f"the guest made {row['pace']:.0%} of its ticks"
    if not row["R_seen"]:
        return "no round tells what the link carries"
    if abs(row["R_seen"] / row["R"] - 1) > SLACK:
        return f"the link carried {row['R_seen'] / row['R']:.0%} of its rate"
    return ""


def errors(row):
    """By how much the prediction was off: pages and downtime as parts of what was measured, rounds as a number.
    "expected" is what the hypervisor itself expected of the downtime when it stopped the guest."""
    found = {"pages": row["pages_predicted"] / row["pages"] - 1, "rounds": row["rounds_predicted"] - row["rounds"]}
    if row["downtime"] and row["downtime_predicted"]:
        found["downtime"] = row["downtime_predicted"] / row["downtime"] - 1
        found["expected"] = row["expected_downtime"] / row["downtime"] - 1
    return found


def sweep(rows, first):
    """The moves that judge the prediction, by rho: first ones of a machine, or later ones."""
    chosen = {}
    for row in rows:
        if row["part"] == "sweep" and row["first"] == first and not row["rejected"]:
            chosen.setdefault(row["rho"], []).append(row)
    return chosen


def goals(rows):
    """G10: the worst of the medians of each rho, of first moves and of later ones."""
    judged = []
    for first in (True, False):
        chosen = sweep(rows, first)
        for what in ("pages", "rounds", "downtime", "expected") if chosen else ():
            worst, rho = max((abs(statistics.median(errors(row)[what] for row in same)), rho)
                             for rho, same in chosen.items())
            wanted = GOALS["downtime" if what == "expected" else what]
            judged.append({"goal": "G10", "moves": "first" if first else "later", "what": what, "wanted": wanted,
                           "measured": worst, "rho": rho, "met": worst <= wanted})
    return judged


def stalls(rows):
    """What each on-stall has cost: its last move that was not rejected."""
    return {row["on_stall"]: row for row in rows if row["part"] == "stall" and not row["rejected"]}


PAIRS = ("rounds", "pages", "last", "downtime", "total", "throttle")
COLUMNS = ("part", "rho", "pair", "number", "first", "on_stall", "status", "D", "D_seen", "R", "R_seen", "rho_seen",
           "pace", *(f"{name}{end}" for name in PAIRS for end in ("_predicted", "")), "expected_downtime",
           "round_trip", "fixed", *(f"{name}_ms" for name in PHASES), "load", "rejected")
