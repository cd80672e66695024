# SPDX-License-Identifier: BSD-2-Clause
"""The pictures of tests/bench/lab-precopy: predicted beside measured. Lines are predicted, markers are moves
that were measured; first moves differ from later ones by marker, not in colour alone."""

import sys

import precopylab as lab
from labfiles import ROOT

sys.path.append(str(ROOT / "tools"))

from pictures import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY, SOFT, figure, finish  # noqa: E402

LINE = {"color": SOFT, "linestyle": "-", "linewidth": 1.2, "label": "predicted"}
MARKS = {True: {"color": RED, "marker": "s", "label": "measured, a machine's first move"},
         False: {"color": BLUE, "marker": "o", "label": "measured, a later move"}}
COLOURS = (BLUE, GREEN, RED, ORANGE, PINK, SKY, INK)


def points(rows, first, name):
    """([rho], [value]) of the moves that count."""
    found = [(rho, row[name]) for rho, same in sorted(lab.sweep(rows, first).items()) for row in same]
    return [rho for rho, _ in found], [value for _, value in found]


def compare(axis, rows, name, label):
    """Predicted and measured by rho."""
    sweep = sorted((row for row in rows if row["part"] == "sweep"), key=lambda row: row["first"], reverse=True)
    predicted = {row["rho"]: row[f"{name}_predicted"] for row in sweep}  # of later moves, where there are any
    axis.plot(sorted(predicted), [predicted[rho] for rho in sorted(predicted)], **LINE)
    for first, style in MARKS.items():
        axis.plot(*points(rows, first, name), linestyle="", markerfacecolor="none", **style)
    axis.axvline(1, color=SOFT, linewidth=0.8, linestyle=":")
    axis.set(xlabel="rho: pages dirtied a second / pages that the link carries a second", ylabel=label)


def sent(rows, subtitle, output):
    made, axes = figure(2, "What a move sends, predicted and measured", subtitle)
    compare(axes[0], rows, "pages", "pages sent, the last ones included")
    compare(axes[1], rows, "rounds", "live rounds")
    for axis in axes:
        axis.set_ylim(bottom=0)
    return finish(made, axes, output, "precopy-pages.png")


def downtimes(rows, subtitle, output):
    made, axes = figure(2, "How long the guest stands", subtitle)
    compare(axes[0], rows, "downtime", "downtime, ms")
    axes[0].set(yscale="log", title="predicted before the move, from D, R and W")
    for first, style in MARKS.items():
        axes[1].loglog(points(rows, first, "expected_downtime")[1], points(rows, first, "downtime")[1], linestyle="",
                       markerfacecolor="none", **style)
    ends = [edge for first in MARKS for name in ("downtime", "expected_downtime")
            for edge in points(rows, first, name)[1]]
    edges = [min(ends), max(ends)]
    axes[1].plot(edges, edges, color=SOFT, linewidth=1.2, label="equal")
    axes[1].fill_between(edges, [edge * 0.8 for edge in edges], [edge * 1.25 for edge in edges], alpha=0.15,
                         color=SOFT, linewidth=0, label="within 20 % of each other")
    axes[1].set(title="expected by the hypervisor at the stop", xlabel="expected-downtime, ms",
                ylabel="downtime, ms")
    return finish(made, axes, output, "precopy-downtime.png")


def rounds(rows, subtitle, output):
    """How the rounds converge, or do not: one later move of each rho beside its prediction."""
    made, axes = figure(1, "Pages that each round left", subtitle)
    chosen = lab.sweep(rows, False) or lab.sweep(rows, True)
    for colour, rho in zip(COLOURS, sorted(chosen)):
        row = chosen[rho][0]
        axes[0].semilogy(range(1, len(row["each_predicted"]) + 1), [one["dirtied"] for one in row["each_predicted"]],
                         color=colour, linewidth=1.2)
        axes[0].semilogy(range(1, len(row["each"]) + 1), [one["dirtied"] for one in row["each"]], color=colour,
                         linestyle="", marker="o", markerfacecolor="none", label=f"rho {rho:g}")
    axes[0].set(xlabel="live round (lines: predicted; markers: measured)", ylabel="pages dirtied meanwhile")
    return finish(made, axes, output, "precopy-rounds.png")


def stalls(rows, subtitle, output):
    """What each on-stall costs."""
    found = lab.stalls(rows)
    names = [name for name in lab.ON_STALL if name in found]
    panels = (("total", "total-time, s", 1e-3), ("downtime", "downtime, s", 1e-3), ("pages", "pages sent", 1))
    made, axes = figure(len(panels) + 1, f"What each on-stall costs at rho {lab.STALLING}", subtitle)
    for axis, (what, label, unit) in zip(axes, panels):
        for shift, kind, style in ((-0.2, "_predicted", {"color": GREY, "label": "predicted"}),
                                   (0.2, "", {"color": BLUE, "hatch": "//", "label": "measured"})):
            axis.bar([at + shift for at in range(len(names))],
                     [(found[name][what + kind] or 0) * unit for name in names], 0.4, **style)
        axis.set(ylabel=label)
    axes[-1].bar(range(len(names)), [100 * (1 - found[name]["pace"]) for name in names], 0.4, color=BLUE,
                 hatch="//", label="measured")
    axes[-1].set(ylabel="work that the guest did not do meanwhile, %")
    for axis in axes:
        axis.set_xticks(range(len(names)), names)
    return finish(made, axes, output, "precopy-stall.png")


def draw(record, output):
    """Returns the names of the pictures."""
    rows, head = record["rows"], record["header"]
    subtitle = f"writer, uniform, {head['settings']}; QEMU without KVM; commit {head['commit']}"
    names = []
    if lab.sweep(rows, True) or lab.sweep(rows, False):
        names += [draw_one(rows, subtitle, output) for draw_one in (sent, downtimes, rounds)]
    if lab.stalls(rows):
        names.append(stalls(rows, subtitle, output))
    return names
