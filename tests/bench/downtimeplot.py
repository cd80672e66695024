# SPDX-License-Identifier: BSD-2-Clause
"""The picture of tests/bench/lab-downtime: how long the moves stopped a guest, by its own clock and from outside."""

import sys

from labfiles import ROOT

sys.path.append(str(ROOT / "tools"))

from pictures import BLUE, GRID, INK, ORANGE, RED, SOFT, figure, finish  # noqa: E402

STYLE = {"live": {"color": BLUE, "marker": "o"}, "stop-copy": {"color": RED, "marker": "s"}}
SPREAD = 0.16  # half the width in which the moves of a mode stand side by side


def panel(axis, rows, moves, threshold):
    """The moves of each mode as marks, with a box from quartile to quartile and a line at the median."""
    name = rows[0]["name"]
    for number, row in enumerate(rows, 1):
        values = [move[name] for move in moves if move["mode"] == row["mode"]]
        seen = [value for value in values if value is not None]
        across = [number + SPREAD * (2 * index / max(len(values) - 1, 1) - 1) for index in range(len(values))]
        if seen:
            axis.boxplot(seen, positions=[number], widths=0.6, whis=(0, 100), showfliers=False,
                         medianprops={"color": INK, "linewidth": 2}, boxprops={"color": SOFT},
                         whiskerprops={"color": SOFT}, capprops={"color": SOFT})
            axis.annotate(f"median\n{row['median']:.0f} ms", (number + 0.33, row["median"]), va="center",
                          fontweight="bold")
        axis.plot([x for x, y in zip(across, values) if y is not None], seen, linestyle="", alpha=0.75,
                  **STYLE[row["mode"]])
        if row["below"]:
            axis.plot([x for x, y in zip(across, values) if y is None], [threshold / 2] * row["below"], linestyle="",
                      markerfacecolor="none", color=STYLE[row["mode"]]["color"], marker="v")
    axis.axhline(rows[0]["notes"], color=ORANGE, linestyle="--", linewidth=1.6,
                 label=f"the notes' mean, {rows[0]['notes']} ms")
    axis.set_xticks(range(1, len(rows) + 1), [f"{row['mode']}\n{row['moves']} moves" + (
        f"\n{row['below']} (▽) below {threshold} ms" if row["below"] else "") for row in rows])
    axis.set(title=rows[0]["what"], ylabel="ms", xlim=(0.5, len(rows) + 0.9))
    axis.set_ylim(0, 1.2 * axis.get_ylim()[1])  # with room for the legend


def table(axis, rows, threshold):
    """Our figures beside the notes'."""
    axis.set_axis_off()
    names = ["ms", "mean", "median", "st. dev.", f"< {threshold} ms"]
    cells = []
    for row in rows:
        cells.append([f"{row['what']}, {row['mode']}",
                      *("–" if row[name] is None else f"{row[name]:.0f}" for name in ("mean", "median", "stdev")),
                      f"{row['below']} of {row['moves']}" if row["name"] == "compute-downtime" else ""])
        if row["mode"] == rows[-1]["mode"]:
            cells.append([f"{row['what']}, the notes", f"{row['notes']}", "", "", ""])
    made = axis.table(cells, colLabels=names, loc="center", cellLoc="right", edges="horizontal",
                      colWidths=[0.50, 0.11, 0.14, 0.15, 0.17])
    made.auto_set_font_size(False)
    made.set_fontsize(10)
    made.scale(1, 1.9)
    for (line, column), cell in made.get_celld().items():
        cell.set(edgecolor=GRID)
        cell.set_text_props(fontweight="bold" if line == 0 else "normal", ha="left" if column == 0 else "right")


def draw(record, output):
    """Returns the picture's name."""
    compute, network = ([row for row in record["summary"] if row["name"] == name]
                        for name in ("compute-downtime", "network-downtime"))
    head, threshold = record["header"], record["threshold"]
    made, axes = figure(3, "How long a move stops the guest, live and by stop-and-copy",
                        f"{head['guest']}; {head['probe']}; commit {head['commit']}. Emulated: {head['emulated']}. "
                        "Notes: the course's log, Xen on two machines of its time.", size=(17, 6),
                        gridspec_kw={"width_ratios": [1, 1, 1.25]})
    panel(axes[0], compute, record["moves"], threshold)
    panel(axes[1], network, record["moves"], threshold)
    table(axes[2], compute + network, threshold)
    return finish(made, axes, output, "downtime.png")
