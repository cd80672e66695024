# SPDX-License-Identifier: BSD-2-Clause
"""The laboratory of all modes without its machines: what is noted of a move, and what the moves of one guest, one dirty
rate and one mode have in common. tests/bench/lab-modes runs it; docs/lab-modes.md defines the words.
"""

import statistics

PAGE = 4096
MODES = ("live", "stop-copy", "post-copy", "hybrid", "demand")
COLD = "cold"         # of a guest that shuts down when it is asked to
SPLIT = ("post-copy", "hybrid", "demand")  # the guest runs at the destination before its memory is there
RHOS = (0, 0.5, 1.2, 2)
IDLE, BUSY = 0, 2     # rho of what the goals compare
CALM = 0.9            # a guest that did less than this part of its work before the moves tells nothing
GOALS = {"downtime": 1.3, "blackout": 1.3, "bytes": 1.02, "fault p50": 2, "fault p99": 5, "total time": 1.15}
FIGURES = ("total", "downtime", "blackout", "pages", "zero", "transferred", "wire_bytes", "lost", "slowdown",
           "blocktime", "round_trip", "rounds")
FORECAST = {"total": "total-time", "downtime": "downtime", "transferred": "bytes", "slowdown": "slowdown",
            "faults": "waits"}  # what a check says before the move of what is measured then
PREDICTED = tuple(f"predicted_{name}" for name in FORECAST)
COLUMNS = ("guest", "rho", "mode", "number", "status", *FIGURES, "faults", "p50", "p99", "mean", *PREDICTED, "calm",
           "load", "rejected")


# --- A move ---

def quantile(histogram, part):
    """ms within which that part of the waits ended, of numbers of waits that took less than 1, 2, 4 ... us. Inside a
    bucket they count as spread evenly. None without waits."""
    due = part * sum(histogram)
    for bucket, count in enumerate(histogram):
        if count and count >= due:
            low, high = (2 ** (bucket - 1) if bucket else 0), 2 ** bucket
            return (low + (high - low) * due / count) / 1000
        due -= count
    return None


def waits_of(histogram):
    return {"faults": sum(histogram), "p50": quantile(histogram, 0.5), "p99": quantile(histogram, 0.99)}


def row_of(away, there, lost):
    """A move: what query-migrate says at the source and at the destination; ms of work that the guest did not do."""
    ram, total = away["ram"], away["total-time"]
    latency, blocked = there.get("postcopy-latency", []), there.get("postcopy-vcpu-blocktime", [])
    waits = waits_of(latency)
    return {"status": away["status"], "total": total, "downtime": away["downtime"], "pages": ram["normal"],
            "zero": ram["duplicate"], "transferred": ram["transferred"], "wire_bytes": away["wire-bytes"],
            "rounds": len(away["rounds"]), "round_trip": away["round-trip"], "lost": lost, "slowdown": lost / total,
            "blocktime": there.get("postcopy-blocktime"), "latency": latency, **waits,
            "mean": sum(blocked) / waits["faults"] if waits["faults"] else None, "phases": away["phases"]}


def predicted(check, mode):
    """What a check has said of a move by that mode, by the names and in the units of a row; and what it measured. Of a
    guest that shuts down nothing is forecast."""
    said = next((row for row in check["forecast"] if row["mode"] == mode), {})
    row = {f"predicted_{name}": said.get(called) for name, called in FORECAST.items()}
    if said:
        row["predicted_slowdown"] /= 100
        row["predicted_total"] = said["total-time"] or None  # by demand it depends on who pulls
    return {**row, "measured": check["measured"]}


# Of a move that failed nothing else is known.
FAILED = {**dict.fromkeys(FIGURES), "status": "failed", "latency": [], **waits_of([]), "mean": None}


def rejected(row):
    """Why the move tells nothing. "" if it does."""
    if row["status"] != "completed":
        return f"the move {row['status']}"
    return "" if row["calm"] >= CALM else f"the guest did {row['calm']:.0%} of its work before it moved"


# --- All moves ---

def median(rows, name):
    values = [row[name] for row in rows if row.get(name) is not None]
    return statistics.median(values) if values else None


def cells(rows):
    """{(guest, rho, mode): medians of its moves; of all waits for pages together how many, and within which ms half of
    them and 99 % ended}"""
    chosen = {}
    for row in rows:
        chosen.setdefault((row["guest"], row["rho"], row["mode"]), []).append(row)
    made = {}
    for key, same in chosen.items():
        good = [row for row in same if not row["rejected"]]
        latency = [sum(counts) for counts in zip(*(row["latency"] for row in good))]
        made[key] = {"moves": len(good), "rejected": len(same) - len(good),
                     **{name: median(good, name) for name in (*FIGURES, *PREDICTED)}, **waits_of(latency),
                     "faults_each": median(good, "faults"), "latency": latency}
    return made


def by_rate(made, what, name):
    """Of post-copy, by how much a figure is larger when the guest writes twice as fast as the link carries."""
    for guest in dict.fromkeys(guest for guest, _, _ in made):
        idle, busy = (made.get((guest, rho, "post-copy"), {}).get(name) for rho in (IDLE, BUSY))
        if idle and busy is not None:
            yield what, guest, BUSY, busy / idle


def of_each(made, rates):
    """The goals of post-copy that every cell must reach; `rates` are pages a second that each guest's link carries."""
    for (guest, rho, mode), cell in made.items():
        whole, still, live = (made.get((guest, at, other), {}) for at, other in
                              ((rho, "stop-copy"), (IDLE, "live"), (rho, "live")))
        if mode != "post-copy":
            continue
        if cell["transferred"] and whole.get("pages"):
            yield "bytes", guest, rho, cell["transferred"] / whole["pages"] / PAGE
        if cell["faults"] and live.get("round_trip"):
            way = live["round_trip"] + 1000 / rates[guest]
            yield "fault p50", guest, rho, cell["p50"] / way
            yield "fault p99", guest, rho, cell["p99"] / way
        if cell["total"] and still.get("total"):
            yield "total time", guest, rho, cell["total"] / still["total"]


def goals(made, rates):
    """What post-copy must reach, the worst rho of each guest."""
    worst = {}
    for what, guest, rho, measured in (*by_rate(made, "downtime", "downtime"), *by_rate(made, "blackout", "blackout"),
                                       *of_each(made, rates)):
        if (what, guest) not in worst or worst[what, guest]["measured"] < measured:
            worst[what, guest] = {"what": what, "guest": guest, "rho": rho, "measured": measured, "wanted": GOALS[what],
                                  "met": measured <= GOALS[what]}
    return sorted(worst.values(), key=lambda one: list(GOALS).index(one["what"]))


def order(made):
    """The notes' order, shortest first: downtime live, warm, cold; total time cold, warm, live. Warm is stop-copy. The
    downtime is what is seen from outside, where somebody looks: a cold guest still has to boot when it is started."""
    for guest, rho in dict.fromkeys((guest, rho) for guest, rho, _ in made):
        seen = any(cell["blackout"] for (who, _, _), cell in made.items() if who == guest)
        for name, modes in (("blackout" if seen else "downtime", ("live", "stop-copy", COLD)),
                            ("total", (COLD, "stop-copy", "live"))):
            known = {mode: made[guest, rho, mode][name] for mode in modes
                     if made.get((guest, rho, mode), {}).get(name) is not None}
            if len(known) > 1:
                yield {"what": name, "guest": guest, "rho": rho, "measured": known,
                       "met": list(known.values()) == sorted(known.values())}


# --- For a terminal and for the page ---

TABLE = (("moves", "moves", "d"), ("total", "total, ms", ".0f"), ("downtime", "downtime", ".1f"),
         ("blackout", "blackout", ".1f"), ("pages", "pages", ".0f"), ("transferred", "MB", ".1f"),
         ("lost", "work lost, ms", ".0f"), ("slowdown", "slowdown", ".0%"), ("faults", "faults", "d"),
         ("p50", "p50, ms", ".2f"), ("p99", "p99, ms", ".2f"))


def words(cell):
    """A cell's figures, in the order of TABLE."""
    scaled = {**cell, "transferred": cell["transferred"] and cell["transferred"] / 1e6}
    return ["–" if scaled[name] is None else format(scaled[name], form) for name, _, form in TABLE]


COMPARED = (("total", "total, ms", ".0f"), ("downtime", "downtime, ms", ".1f"), ("transferred", "MB", ".1f"),
            ("slowdown", "slowdown", ".0%"), ("faults", "waits", ".0f"))


def compared(cell):
    """A cell's medians beside those of what was said before, "said / was", in the order of COMPARED."""
    pairs = {name: [cell.get(f"predicted_{name}"), cell["faults_each" if name == "faults" else name]]
             for name, _, _ in COMPARED}
    pairs["transferred"] = [value and value / 1e6 for value in pairs["transferred"]]
    return [" / ".join("–" if value is None else format(value, form) for value in pairs[name])
            for name, _, form in COMPARED]


def forecast(made):
    """The cells of whose moves something was said before."""
    return {key: cell for key, cell in made.items() if cell["predicted_downtime"] is not None}


def judged(one):
    """A goal with its reading, or an order, in words."""
    where = f"{one['guest']}, rho {one['rho']:g}"
    met = "met" if one["met"] else "MISSED"
    if isinstance(one["measured"], dict):
        return (f"order of {one['what']}, {where}: " +
                " < ".join(f"{mode} ({value:.0f} ms)" for mode, value in one["measured"].items()) + f": {met}")
    return f"post-copy's {one['what']}, {where}: {one['measured']:.2f}, goal <= {one['wanted']:g}: {met}"
