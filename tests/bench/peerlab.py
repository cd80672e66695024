# SPDX-License-Identifier: BSD-2-Clause
"""The comparison of moves without its machines: in what order they are made, pairs, ratios, intervals and goals.
tests/bench/peer makes the moves; docs/peer.md defines the words.

A move is the object of a run's JSON, with the members `who`, `load`, `memory`, `cpus`, `mode`, `tls` (its case), `pair`
and `side` (0: the Godwit that is measured, 1: what it is compared with). One that failed has "failed" with the reason.
"""

import random
import statistics
from dataclasses import dataclass

CASE = ("load", "memory", "cpus", "mode", "tls")
COLUMNS = (*CASE, "against", "what", "unit", "pairs", "failed", "godwit", "peer", "ratio", "low", "high", "least",
           "most", "goal", "met")
UNITS = {"total-time": "ms", "downtime": "ms", "blackout": "ms", "client-gap": "ms", "gap-beyond": "ms",
         "waits": "", "blocktime": "ms", "wait": "ms", "transferred": "MB", "mbps": "Mbit/s", "cpu-time": "ms",
         "work": "", "pace": ""}
SCALE = {"transferred": 1e6}
PACE = 0.9     # a guest that wrote less than this part of what it should have tells nothing about a goal
DRAWS = 2000   # of the bootstrap


@dataclass(frozen=True)
class Goal:
    of: str      # what is judged: the ratio, or Godwit's own median
    most: float

    def __str__(self):
        return f"{self.of} <= {self.most:g}"


GOALS = {
    "live": {"total-time": Goal("ratio", 0.15), "blackout": Goal("ratio", 0.1), "downtime": Goal("godwit", 25),
             "gap-beyond": Goal("godwit", 30), "transferred": Goal("ratio", 0.85)},
    "post-copy": {"blackout": Goal("ratio", 0.1)},
    "post-copy-preempt": {"blackout": Goal("ratio", 0.1)},
}
GOALS_TLS = {"live": {"total-time": Goal("ratio", 0.125), "blackout": Goal("ratio", 0.2)}}


def plan(cases, pairs):
    """(case, pair, sides) in the order in which they are made: all cases by turns, and the sides of each ABBA."""
    return [(case, pair, (0, 1) if pair % 2 == 0 else (1, 0)) for pair in range(pairs) for case in cases]


def figure(move, what):
    """A number of the move, in its unit; None if it has none."""
    if what == "gap-beyond":
        return move["client-gap"] - move["blackout"] if "client-gap" in move else None
    if what == "wait":
        return move["blocktime"] / move["waits"] if move.get("waits") else None
    value = move.get(what)
    return None if value is None else value / SCALE.get(what, 1)


def pairs_of(moves):
    """({pair: [Godwit's move, the other]} of those pairs of which both arrived, how many did not)."""
    found = {}
    for move in moves:
        found.setdefault(move["pair"], [None, None])[move["side"]] = move
    good = {pair: both for pair, both in found.items() if all(both) and not any("failed" in one for one in both)}
    return good, len(found) - len(good)


def interval(ratios):
    """The bootstrap's 95 % interval of the median; the same numbers give the same interval."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(DRAWS))
    return medians[DRAWS // 40], medians[-1 - DRAWS // 40]


def compared(values):
    """Medians of both sides, and the median of the pairs' ratios with its interval and the pairs' least and most."""
    ratios = [ours / theirs for ours, theirs in values if theirs]
    row = {"godwit": statistics.median(ours for ours, _ in values),
           "peer": statistics.median(theirs for _, theirs in values), "ratio": None}
    if ratios:
        low, high = interval(ratios)
        row |= {"ratio": statistics.median(ratios), "low": low, "high": high, "least": min(ratios), "most": max(ratios)}
    return row


def goal_of(row):
    """What is to be reached, or None."""
    return (GOALS_TLS if row["tls"] else GOALS).get(row["mode"], {}).get(row["what"])


def met(row, pace):
    """Is the row's goal met? None: it has none, or cannot be judged."""
    goal = goal_of(row)
    if not goal or row["against"] == "godwit" or row[goal.of] is None or (pace is not None and pace < PACE):
        return None
    return row[goal.of] <= goal.most


def rows_of_case(case, moves, unit):
    good, failed = pairs_of(moves)
    against = next(move["who"] for move in moves if move["side"] == 1)
    head = {**dict(zip(CASE, case)), "against": against, "pairs": len(good), "failed": failed}
    if not good:
        return [{**head, "what": "total-time", "unit": UNITS["total-time"], "met": None}]
    rows = []
    for what in UNITS:
        values = [[figure(move, what) for move in both] for both in good.values()]
        if all(value is not None for both in values for value in both):
            rows.append({**head, "what": what, "unit": unit if what == "work" else UNITS[what], **compared(values)})
    pace = next((row["godwit"] for row in rows if row["what"] == "pace"), None)
    for row in rows:
        goal = goal_of(row)
        row |= {"goal": goal and str(goal), "met": met(row, pace)}
    return rows


def rows_of(moves, units):
    """A row for each figure of each case. `units` are those of each load's `work`."""
    cases = {}
    for move in moves:
        cases.setdefault(tuple(move[name] for name in CASE), []).append(move)
    return [row for case, made in cases.items() for row in rows_of_case(case, made, units[case[0]])]


def number(value, form=".1f"):
    return "-" if value is None else format(value, form)


def judged(row):
    return "" if row["met"] is None else ": met" if row["met"] else ": MISSED"


def lines(rows):
    """The rows as a table for a terminal."""
    told = None
    for row in rows:
        if (case := [row[name] for name in CASE]) != told:
            told = case
            yield (f"\n{row['load']}, {row['memory']} MiB, {row['cpus']} processors, {row['mode']}"
                   f"{' by TLS' if row['tls'] else ''}: {row['pairs']} pairs"
                   f"{', %d failed' % row['failed'] if row['failed'] else ''}")
            other = "godwit too" if row["against"] == "godwit" else "peer"
            yield (f"{'median':<22}{'godwit':>12}{other:>12}{'ratio':>8}  {'95 % interval':<16}{'all pairs':<16}goal")
        if "ratio" in row:
            name = f"{row['what']}{', ' + row['unit'] if row['unit'] else ''}"
            within, spread = (f"{number(row.get(low), '.3f')} to {number(row.get(high), '.3f')}"
                              for low, high in (("low", "high"), ("least", "most")))
            yield (f"{name:<22}{number(row['godwit']):>12}{number(row['peer']):>12}{number(row['ratio'], '.3f'):>8}  "
                   f"{within:<16}{spread:<16}{row['goal'] or ''}{judged(row)}")


def spread(rows):
    """Of a control, how far two of the same kind are apart: for each figure the widest interval and the worst pair."""
    for what in UNITS:
        chosen = [row for row in rows
                  if row["against"] == "godwit" and row["what"] == what and row.get("ratio")]
        if chosen:
            off = max(max(row["high"], 1 / row["low"]) for row in chosen if row["low"])
            worst = max(max(row["most"], 1 / row["least"]) for row in chosen if row["least"])
            yield f"{what:<14}the interval reaches {off - 1:.0%} from 1, the worst pair {worst - 1:.0%}"
