# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of the dirty log without its machines: what is measured, how a machine's log is read, and what is
computed from it. tests/bench/lab-dirty runs it; docs/lab-dirty.md defines the words.

A row is a dictionary of one round. `burst` and `harvest` are ticks, which under Bochs are instructions.
"""

import itertools
import math
import re
from dataclasses import dataclass

ALL_LOGS = ("off:lazy", *(f"{producer}:{tables}" for producer in ("write-protect", "dbit", "pml")
                          for tables in ("lazy", "eager", "small")))
FEW_LOGS = ("off:lazy", "write-protect:lazy", "dbit:lazy", "pml:lazy")
PRODUCERS = ("write-protect", "dbit", "pml")
PAGES = 256  # of a MiB
# Exits whose number depends on the clock of the machine, so that only an emulator that counts instructions repeats it.
CLOCKED = ("interrupt", "preempt", "reenter", "window")
EVENTS = ("pages", "hypervisor", "faults", "drains", "flushes", "regions", "entries")
ORACLE = ("compared", "missed", "residue", "tables")  # only in rounds that compare
KEYS = ("boot", "emulator", "ram_mib", "producer", "split", "step", "pattern", "set_mib", "writes", "work", "round")
COMPUTED = ("lost", "instructions", "per_page", "slowdown", "density", "rate")


@dataclass(frozen=True)
class Boot:
    """One machine: its guest makes all steps under each of the logs."""

    name: str
    emulator: str
    ram: int  # MiB of the guest
    steps: tuple
    logs: tuple = ALL_LOGS
    rounds: int = 3

    def config(self):
        words = f"steps={','.join(self.steps)} rounds={self.rounds} compare=log"
        if self.logs != ALL_LOGS:
            words += f" logs={','.join(self.logs)}"
        return (f'[vm lab]\nkernel = lab.elf\nmemory = {self.ram}M\ncmdline = "{words}"\ndirty-log = guest\n')

    def machine_mib(self):
        """The guest and the rest of the machine; and twice the guest's copy, which is one block, of a power of two."""
        return self.ram + 2 * 2 ** math.ceil(math.log2(self.ram)) + 192


def sweep(mib, writes):
    return tuple(f"uniform:{mib}:{number}" for number in writes)


SMALL = (*sweep(12, (16, 64, 256, 1024, 4096, 16384)), "seq:12:512", "hot:12:512", "bytes:12:512",
         *(f"spread:12:{n}" for n in (1, 2, 4, 6)), *(f"uniform:12:256:{work}" for work in (100, 1000, 5000)),
         "uniform:4:256")
MIDDLE = (*sweep(60, (16, 64, 256, 1024, 4096, 16384)), "seq:60:2048", "hot:60:2048", "bytes:60:2048",
          *(f"spread:60:{n}" for n in (1, 8, 16, 30)), "uniform:4:256")
LARGE = (*sweep(252, (16, 256, 1024, 4096, 16384, 65536)), "seq:252:8192", "hot:252:8192", "bytes:252:8192",
         *(f"spread:252:{n}" for n in (1, 8, 32, 64, 126)), "uniform:4:256")
BRIEF = (*sweep(12, (16, 256, 4096)), "bytes:12:512", *(f"spread:12:{n}" for n in (1, 6)), "uniform:12:256:1000",
         "uniform:4:256")

FULL = (Boot("bochs-16", "bochs", 16, SMALL), Boot("bochs-64", "bochs", 64, MIDDLE, FEW_LOGS, 2),
        Boot("bochs-256", "bochs", 256, LARGE, FEW_LOGS, 2), Boot("qemu-16", "qemu", 16, SMALL),
        Boot("qemu-64", "qemu", 64, MIDDLE, FEW_LOGS, 2))
QUICK = (Boot("bochs-16", "bochs", 16, BRIEF, FEW_LOGS, 2), Boot("qemu-16", "qemu", 16, BRIEF, FEW_LOGS, 2))
# What `make test` repeats.
GATE = (Boot("bochs-8", "bochs", 8, ("seq:4:700", "bytes:4:100", "spread:4:2"),
             (*FEW_LOGS, "write-protect:eager", "pml:small"), 2),
        Boot("qemu-8", "qemu", 8, ("seq:4:700", "bytes:4:100", "spread:4:2"), rounds=2))


class Strange(Exception):
    """A machine's log that is not what the experiment writes."""


# --- Reading a log ---

def pairs(text):
    """"name number name number": a dictionary. Names may have dashes."""
    words = text.split()
    if len(words) % 2:
        raise Strange(f"not pairs: {text}")
    return {name: int(number) for name, number in zip(words[::2], words[1::2])}


def step_of(words):
    """"PATTERN set MIB writes N work N" """
    pattern, *rest = words.split()
    values = pairs(" ".join(rest))
    return {"pattern": pattern, "set_mib": values["set"], "writes": values["writes"], "work": values["work"]}


class Reader:
    """Goes through a log and gathers the rounds, and what starts and stops cost."""

    def __init__(self, boot):
        self.boot, self.rows, self.logs = boot, [], []
        self.log, self.step, self.number, self.round = None, None, -1, 0

    def feed(self, line):
        found = re.search(r" lab: \| lab: (log|step) (.*)| dirty: lab: (start|round|compared|stop) ?(.*)", line)
        if not found:
            return
        what, text = (found.group(1), found.group(2)) if found.group(1) else (found.group(3), found.group(4))
        getattr(self, f"on_{what}")(text.strip())

    def on_log(self, text):
        self.log = dict(zip(("producer", "split"), text.split()))
        self.number = -1

    def on_start(self, text):
        ticks, frames = re.fullmatch(r"(\d+) by \S+ tables (\d+)", text).groups()
        self.logs.append({"boot": self.boot.name, **self.log, "start": int(ticks), "frames": int(frames)})

    def on_step(self, text):
        self.step, self.round = step_of(text), -1
        self.number += 1

    def on_round(self, text):
        self.round += 1
        if self.round == 0:
            return  # what the guest wrote to print the step
        values = pairs(text)
        row = {"boot": self.boot.name, "emulator": self.boot.emulator, "ram_mib": self.boot.ram, **self.log,
               "step": self.number, **self.step, "round": self.round}
        row |= {name: values.pop(name, 0) for name in ("burst", "harvest", *EVENTS)}
        self.rows.append(row | {f"exit_{name}": number for name, number in values.items()})

    def on_compared(self, text):
        self.rows[-1] |= pairs("compared " + text)

    def on_stop(self, text):
        self.logs[-1]["stop"] = int(text)


def read(boot, log):
    """(rows, starts and stops) of a machine's console. Raises Strange if it did not come to its end."""
    reader = Reader(boot)
    if "lab: PASS all logs are done" not in log:
        raise Strange(f"{boot.name}: the guest has not done all logs:\n{log[-2000:]}")
    for line in log.splitlines():
        reader.feed(line)
    logs = [log for log in boot.logs if boot.emulator == "bochs" or not log.startswith("pml")]
    wanted = len(logs) * len(boot.steps) * boot.rounds
    if len(reader.rows) != wanted:
        raise Strange(f"{boot.name}: {len(reader.rows)} rounds where {wanted} were asked for")
    return reader.rows, reader.logs


# --- What is computed ---

def same_round(row):
    return row["boot"], row["step"], row["round"]


def compute(rows):
    """Add to each round of a log what the log cost. In QEMU, whose ticks are real time, only what is exact stays."""
    base = {same_round(row): row["burst"] for row in rows if row["producer"] == "off"}
    for row in rows:
        row["density"] = row["pages"] / (row["ram_mib"] * PAGES)
        if row["emulator"] != "bochs":
            for name in ("burst", "harvest", *(f"exit_{kind}" for kind in CLOCKED)):
                row.pop(name, None)
        elif row["producer"] != "off":
            own = base[same_round(row)]
            row["lost"] = row["burst"] - own
            row["instructions"] = row["lost"] + row["harvest"]
            row["per_page"] = row["instructions"] / row["pages"] if row["pages"] else None
            row["slowdown"] = row["lost"] / own
            row["rate"] = row["pages"] / own * 1e6
    return rows


def steady(rows):
    """The last round of each step: by then a lazy split has been made."""
    last = {}
    for row in rows:
        last[row["boot"], row["producer"], row["split"], row["step"]] = row
    return list(last.values())


def curve(rows, producer, ram, value, split="lazy"):
    """[(density, value)] of the sweep over the whole memory by one producer; value is a function of a row."""
    chosen = [row for row in steady(rows) if "lost" in row and row["producer"] == producer and row["ram_mib"] == ram and
              row["split"] == split and row["pattern"] == "uniform" and row["work"] == 0 and row["set_mib"] == ram - 4]
    return sorted((row["density"], value(row)) for row in chosen)


def crossings(first, second):
    """The densities at which two curves cross, between two measured points on straight lines in logarithms."""
    points = [(math.log(x), math.log(a / b)) for (x, a), (_, b) in zip(first, second) if a > 0 and b > 0]
    found = []
    for (x0, d0), (x1, d1) in itertools.pairwise(points):
        if d0 == 0 or d0 * d1 < 0:
            found.append(math.exp(x0 + (x1 - x0) * d0 / (d0 - d1)) if d0 != d1 else math.exp(x0))
    return found


def all_crossings(rows, value):
    """A dictionary for each crossing of two producers, by the guest's memory."""
    found = []
    for ram in sorted({row["ram_mib"] for row in rows}):
        for first, second in itertools.combinations(PRODUCERS, 2):
            curves = [curve(rows, producer, ram, value) for producer in (first, second)]
            for density in crossings(*curves):
                found.append({"ram_mib": ram, "first": first, "second": second, "density": density,
                              "pages": density * ram * PAGES})
    return found


def linear(points):
    """(slope, constant) of the straight line with the smallest squares."""
    n, sx, sy = len(points), sum(x for x, _ in points), sum(y for _, y in points)
    sxx, sxy = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return slope, (sy - slope * sx) / n


def goals(rows):
    """The goals that these rounds can judge, with what was measured."""
    logged = [row for row in rows if row["producer"] != "off"]
    exact = [row for row in steady(logged) if row["emulator"] == "bochs" and row["pages"] > 100]
    by = {name: [row for row in exact if row["producer"] == name] for name in PRODUCERS}
    found = []

    def judge(name, what, goal, value, met):
        found.append({"goal": name, "what": what, "wanted": goal, "measured": value, "met": met})

    judge("G1", "pages missed", "0", sum(row.get("missed", 0) for row in logged),
          all(row.get("missed", 0) == 0 for row in logged))
    protect = [row["exit_npf"] / row["pages"] for row in by["write-protect"]]
    buffers = [row.get("exit_log-full", 0) / math.ceil(row["pages"] / 512) for row in by["pml"]]
    if protect and buffers:
        judge("G2", "write-protect exits of a page", "<= 1.02", max(protect), max(protect) <= 1.02)
        judge("G2", "pml exits of 512 pages", "<= 1.05", max(buffers), max(buffers) <= 1.05)
        ratios = [pml["lost"] / protect["lost"] for pml, protect in zip(by["pml"], by["write-protect"])
                  if same_round(pml) == same_round(protect) and not pml["faults"]]  # splits cost both the same
        judge("G4", "instructions of a page, pml by write-protect, without the harvest", "<= 0.1", max(ratios),
              max(ratios) <= 0.1)
    flushes = [row["flushes"] for row in logged if row["round"] > 1]
    judge("G3", "flushes of a round", "1", max(flushes), set(flushes) == {1})
    return found


# --- Projection ---

COSTS = {"exit": 1300, "cpi": 0.7, "walk": 60, "dirty": 150, "flush": 200}
# What else they may be, for the sensitivity: the costs of an exit are those of three generations of processors.
SPREAD = {"exit": (800, 1700), "cpi": (0.4, 1.5), "walk": (20, 200), "dirty": (30, 500), "flush": (50, 1000)}
ABOUT = {"exit": "an exit and the next entry", "cpi": "each instruction of the hypervisor",
         "walk": "a walk of two dimensions, for each page after a flush or a fault",
         "dirty": "setting a D bit or logging a page, by hardware", "flush": "an INVEPT or its like"}


def logging_exits(row):
    return row.get("exit_npf", 0) + row.get("exit_log-full", 0)


def modelled(row, costs):
    """Cycles that hardware might need for the log in this round. A model: nobody has measured it."""
    by_hardware = row["pages"] if row["producer"] in ("dbit", "pml") else 0
    walks = row["pages"] * (row["flushes"] > 0) + row.get("exit_npf", 0)
    return (logging_exits(row) * costs["exit"] + row["instructions"] * costs["cpi"] + walks * costs["walk"] +
            by_hardware * costs["dirty"] + row["flushes"] * costs["flush"])


def modelled_page(costs):
    return lambda row: modelled(row, costs) / row["pages"]


def sensitivity(rows, costs):
    """For each cost, at its least and its most: where the producers cross. The first entry has the costs as given."""
    cases = [("as given", costs)]
    cases += [(f"{name} {value}", costs | {name: value}) for name in SPREAD for value in SPREAD[name]]
    return [{"case": name, "crossings": all_crossings(rows, modelled_page(case))} for name, case in cases]


# --- Files ---

def columns(rows):
    exits = sorted({name for row in rows for name in row if name.startswith("exit_")})
    return [*KEYS, "burst", "harvest", *COMPUTED, *EVENTS, *exits, *ORACLE]


def differences(first, second, keys=KEYS):
    """Where two lists of rows differ, in words: at most five, then how many more."""
    found = [f"row {number} ({', '.join(f'{name} {a.get(name)}' for name in keys)}): {name} is {a.get(name)}, then "
             f"{b.get(name)}"
             for number, (a, b) in enumerate(zip(first, second)) for name in {**a, **b} if a.get(name) != b.get(name)]
    if len(first) != len(second):
        found.append(f"{len(first)} rows, then {len(second)}")
    return found[:5] + ([f"and {len(found) - 5} more"] if len(found) > 5 else [])


# --- The gate ---

def expected_of(rows):
    """What `make test` compares with its file: events exactly, instructions nearly. What is zero is not written."""
    found = {}
    for row in (row for row in rows if row["producer"] != "off"):
        names = ("boot", "producer", "split", "pattern", "set_mib", "writes", "round")
        key = " ".join(str(row[name]) for name in names)
        found[key] = {name: row[name] for name in (*EVENTS, "lost", "harvest", *ORACLE) if row.get(name)}
        found[key] |= {name: number for name, number in row.items()
                       if name.startswith("exit_") and name.removeprefix("exit_") not in CLOCKED}
    return found


def gate(expected, found, slack):
    """What is not as expected, in words. Instructions may differ by the part `slack`: compilers do."""
    wrong = [f"{key}: {'not expected' if key in found else 'expected, and not there'}"
             for key in sorted({*expected} ^ {*found})]
    for key in expected.keys() & found.keys():
        for name in {**expected[key], **found[key]}:
            want, have = expected[key].get(name, 0), found[key].get(name, 0)
            room = slack * want + 100 if name in ("lost", "harvest") else 0
            if abs(have - want) > room:
                wrong.append(f"{key}: {name} is {have}, expected {want}")
    return sorted(wrong)
