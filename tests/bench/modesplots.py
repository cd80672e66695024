# SPDX-License-Identifier: BSD-2-Clause
"""The page of tests/bench/lab-modes: tables and pictures of the moves by each mode. Modes differ by marker, too, not in
colour alone."""

import sys
import xml.etree.ElementTree as ET

import modeslab as lab
from labfiles import ROOT

sys.path.append(str(ROOT / "tools"))

from machine import tool  # noqa: E402
from pictures import BLUE, GREEN, GREY, ORANGE, PINK, RED, plt, svg  # noqa: E402

STYLE = {"live": (BLUE, "o"), "stop-copy": (RED, "s"), "cold": (GREY, "v"), "post-copy": (GREEN, "D"),
         "hybrid": (ORANGE, "^"), "demand": (PINK, "P")}
PANELS = (("total", "total time, s", 1e-3), ("downtime", "downtime, ms", 1), ("blackout", "blackout, ms", 1),
          ("transferred", "bytes, MB", 1e-6), ("lost", "work that the guest did not do, ms", 1))
LOGARITHMIC = ("downtime", "blackout", "lost")


def panels(made, guest):
    """Those of which something is known."""
    return [panel for panel in PANELS
            if any(cell[panel[0]] is not None for (who, _, _), cell in made.items() if who == guest)]


def values(made, guest, mode, name, unit):
    """([rho], [value]) that are known."""
    found = sorted((rho, cell[name] * unit) for (who, rho, how), cell in made.items()
                   if (who, how) == (guest, mode) and cell[name] is not None)
    return [rho for rho, _ in found], [value for _, value in found]


def by_rho(made, guest):
    """A panel for each figure: its medians over rho, a line for each mode."""
    chosen = panels(made, guest)
    drawing, axes = plt.subplots(1, len(chosen), figsize=(4.2 * len(chosen), 4.4), squeeze=False)
    for axis, (name, label, unit) in zip(axes[0], chosen):
        for mode, (colour, marker) in STYLE.items():
            rhos, found = values(made, guest, mode, name, unit)
            if found:
                axis.plot(rhos, found, color=colour, marker=marker, markerfacecolor="none", label=mode)
        axis.set(xlabel="rho: pages dirtied by pages carried", ylabel=label)
        if name in LOGARITHMIC:
            axis.set_yscale("symlog", linthresh=10)
        axis.set_ylim(bottom=0)
    axes[0][0].legend(loc="best")
    drawing.tight_layout()
    return svg(drawing, f"by-rho-{guest}")


def latencies(made, guest):
    """Which part of the waits for pages ended within which time; a line for each split mode, all rho together."""
    drawing, axis = plt.subplots(figsize=(8, 4))
    for mode in lab.SPLIT:
        colour, marker = STYLE[mode]
        counts = [sum(one) for one in zip(*(cell["latency"] for (who, _, how), cell in made.items()
                                            if (who, how) == (guest, mode) and cell["latency"]))]
        if not sum(counts):
            continue
        reached = [sum(counts[:at + 1]) / sum(counts) * 100 for at in range(len(counts))]
        axis.semilogx([2 ** at / 1000 for at in range(len(counts))], reached, color=colour, marker=marker,
                      markerfacecolor="none", label=f"{mode}, {sum(counts)} waits")
    axis.set(xlabel="ms", ylabel="% of the waits that took no longer", ylim=(0, 103))
    axis.legend(loc="best")
    drawing.tight_layout()
    return svg(drawing, f"latencies-{guest}")


def goals_of(main, report, record):
    report.element(main, "h2", "Goals, and the order of the notes")
    listing = report.element(main, "ul")
    for one in (*record["goals"], *record["order"]):
        report.element(listing, "li", lab.judged(one))


def section(main, report, record, guest):
    made = lab.cells(record["rows"])
    report.element(main, "h2", f"The guest {guest}")
    report.element(main, "p", record["header"]["guests"][guest])
    if panels(made, guest):
        report.figure(main, "By the rate at which it writes", by_rho(made, guest),
                      "Medians. Rho is the pages that the guest dirties in a second by those that the link carries.")
    if any(cell["faults"] for (who, _, _), cell in made.items() if who == guest):
        report.figure(main, "How long it waited for pages", latencies(made, guest),
                      "Of all moves by a mode together. The hypervisor counts by powers of two microseconds.")
    report.table(main, ["rho", "mode", *(head for _, head, _ in lab.TABLE)],
                 [[f"{rho:g}", mode, *lab.words(cell)] for (who, rho, mode), cell in made.items() if who == guest], 2)


def forecasts(main, report, made):
    if made:
        report.element(main, "h2", "Said before / measured")
        report.table(main, ["guest", "rho", "mode", *(head for _, head, _ in lab.COMPARED)],
                     [[guest, f"{rho:g}", mode, *lab.compared(cell)] for (guest, rho, mode), cell in made.items()], 3)


def draw(record, output):
    """Returns the page's name."""
    report = tool("report")
    main = ET.Element("main")
    report.element(main, "h1", "One guest, moved by each mode")
    report.element(main, "p", "Everything is emulated; the times say nothing about hardware.")
    goals_of(main, report, record)
    for guest in dict.fromkeys(row["guest"] for row in record["rows"]):
        section(main, report, record, guest)
    forecasts(main, report, lab.forecast(lab.cells(record["rows"])))
    report.element(main, "h2", "How to repeat it")
    report.table(main, ["what", "value"], [[name, str(value)] for name, value in record["header"].items()], 2)
    (output / "modes.html").write_text(report.document("Godwit: all modes", main), encoding="utf-8")
    return "modes.html"
