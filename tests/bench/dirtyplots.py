# SPDX-License-Identifier: BSD-2-Clause
"""The pictures of tests/bench/lab-dirty: PNGs in build/lab/."""

import sys

import dirtylab as lab
from labfiles import ROOT

sys.path.append(str(ROOT / "tools"))

from pictures import BLUE, GREEN, RED, SOFT, figure, finish  # noqa: E402

STYLE = {"write-protect": {"color": RED, "marker": "s", "linestyle": "--"},
         "dbit": {"color": BLUE, "marker": "o", "linestyle": "-"},
         "pml": {"color": GREEN, "marker": "^", "linestyle": "-."}}
EXIT_BAND = lab.SPREAD["exit"]


def rams_of(rows):
    return [ram for ram in sorted({row["ram_mib"] for row in rows})
            if len(lab.curve(rows, "dbit", ram, lambda row: row["per_page"])) > 1]


def cost_by_density(rows, value, crossings, unit, output, name, title, subtitle, band=None):
    """A panel for each size of memory; the crossings are marked. `band` gives the values at the edges of a band."""
    rams = rams_of(rows)
    made, axes = figure(len(rams), title, subtitle)
    for axis, ram in zip(axes, rams):
        for producer in lab.PRODUCERS:
            points = lab.curve(rows, producer, ram, value)
            axis.loglog([100 * x for x, _ in points], [y for _, y in points], label=producer, **STYLE[producer])
            if band:
                edges = [lab.curve(rows, producer, ram, edge) for edge in band]
                axis.fill_between([100 * x for x, _ in points], *([y for _, y in edge] for edge in edges), alpha=0.15,
                                  color=STYLE[producer]["color"], linewidth=0)
        for cross in (cross for cross in crossings if cross["ram_mib"] == ram):
            axis.axvline(100 * cross["density"], color=SOFT, linewidth=0.8, linestyle=":")
            axis.annotate(f"{cross['first']} = {cross['second']}\n{cross['pages']:.0f} pages",
                          (100 * cross["density"], axis.get_ylim()[0]), xytext=(3, 6), textcoords="offset points",
                          va="bottom", fontsize=8, rotation=90)
        axis.set(title=f"{ram} MiB, uniform writes, lazy split", xlabel="dirty pages a round, % of all pages",
                 ylabel=f"{unit} for each dirty page")
    return finish(made, axes, output, name)


def scans(rows, output):
    """What a D-bit harvest costs: by memory when the same 4 MiB are used, and by the regions that are."""
    chosen = [row for row in lab.steady(rows) if row["producer"] == "dbit" and row["split"] == "lazy"]
    made, axes = figure(2, "The scan for D bits: cost against memory, and against regions in use",
                        "Bochs; instructions of a harvest; last round of each step")
    small = sorted((row["ram_mib"], row["harvest"]) for row in chosen if row["set_mib"] == 4)
    axes[0].plot([x for x, _ in small], [y for _, y in small], label="256 writes within 4 MiB", **STYLE["dbit"])
    axes[0].set(title="Memory", xlabel="memory of the guest, MiB", ylabel="instructions of a harvest")
    for ram, style in zip(rams_of(rows), ("o", "s", "^", "d")):
        spread = sorted((row["regions"], row["harvest"]) for row in chosen
                        if row["pattern"] == "spread" and row["ram_mib"] == ram)
        axes[1].plot([x for x, _ in spread], [y for _, y in spread], marker=style, label=f"{ram} MiB")
    axes[1].set(title="Regions", xlabel="regions of 2 MiB that the harvest looks into",
                ylabel="instructions of a harvest")
    for axis in axes:
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
    return finish(made, axes, output, "dirty-scan.png")


def slowdowns(rows, output):
    """How much slower the guest's own work gets, by the rate at which it writes."""
    made, axes = figure(1, "What the guest loses while it is logged",
                        "Bochs; 256 uniform writes a round into 12 MiB, with more or less work between them")
    for producer in lab.PRODUCERS:
        points = sorted((row["rate"], 100 * row["slowdown"]) for row in lab.steady(rows)
                        if row["producer"] == producer and row["split"] == "lazy" and row["pattern"] == "uniform" and
                        row["ram_mib"] == 16 and row["set_mib"] == 12 and row["writes"] == 256)
        axes[0].loglog([x for x, _ in points], [max(y, 1e-3) for _, y in points], label=producer, **STYLE[producer])
    axes[0].set(xlabel="dirty pages for each million instructions of the guest",
                ylabel="instructions lost, % of the guest's own (0 is drawn as 0.001)")
    for limit, name in ((10, "goal, write-protect"), (1, "goal, pml")):
        axes[0].axhline(limit, color=SOFT, linewidth=0.8, linestyle=":")
        axes[0].annotate(name, (axes[0].get_xlim()[0], limit), xytext=(3, 2), textcoords="offset points", fontsize=8)
    return finish(made, axes, output, "dirty-slowdown.png")


def draw(record, costs, output):
    """Returns the names of the pictures; none if there are no instructions to draw."""
    rows = [row for row in record["rows"] if row["emulator"] == "bochs"]
    if not rams_of(rows):
        return []
    names = [cost_by_density(rows, lambda row: row["per_page"], record["crossings"], "instructions", output,
                             "dirty-cost.png", "Instructions of the hypervisor for each dirty page",
                             f"Bochs, commit {record['header']['commit']}; harvest included"),
             cost_by_density(rows, lab.modelled_page(costs), record["model"]["crossings"], "modelled cycles", output,
                             "dirty-modelled.png", "MODELLED: cycles on hardware for each dirty page",
                             f"computed from Bochs' counts, not measured; " +
                             ", ".join(f"{name} {value:g}" for name, value in costs.items()) +
                             f"; band: exits of {EXIT_BAND[0]} to {EXIT_BAND[1]} cycles",
                             band=[lab.modelled_page(costs | {"exit": cycles}) for cycles in EXIT_BAND])]
    return [*names, scans(rows, output), slowdowns(rows, output)]
