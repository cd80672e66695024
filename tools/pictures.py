# SPDX-License-Identifier: BSD-2-Clause
"""The look of all pictures that the tools draw, by matplotlib (Debian's python3-matplotlib). They are for a projector
and for print: what differs, differs in line style or marker, too, not in colour alone."""

import io
import logging
import textwrap
import xml.etree.ElementTree as ET

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # nobody needs to know that it looks for fonts

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

INK, SOFT, GRID = "#1b1f24", "#505a66", "#d5d9de"
# The colours of Okabe and Ito, which colour-blind people tell apart.
BLUE, SKY, GREEN, ORANGE, RED, PINK, YELLOW, GREY = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7",
                                                     "#f0e442", "#999999")
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"

plt.rcParams.update({
    "font.size": 11, "axes.titlesize": 12, "legend.fontsize": 10, "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.grid.which": "both", "axes.axisbelow": True,
    "grid.color": GRID, "grid.linewidth": 0.5, "lines.markersize": 5,
    "svg.fonttype": "none",  # text stays text, which can be copied
    "svg.hashsalt": "godwit",  # the same data give the same file
})


def figure(panels, title, subtitle, size=None, **options):
    """A figure with so many panels side by side, and the panels."""
    made, axes = plt.subplots(1, panels, figsize=size or (5.6 * panels + 0.8, 5.2), squeeze=False, **options)
    made.suptitle(title, fontsize=15, fontweight="bold")
    made.text(0.5, 0.93, textwrap.fill(subtitle, int(12 * made.get_figwidth())), ha="center", va="top",
              fontsize=10, color=SOFT)
    return made, axes[0]


def finish(made, axes, output, name):
    """As a PNG; panels with labels get a legend. Returns the file's name."""
    for axis in axes:
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="best")
    made.tight_layout(rect=(0, 0, 1, 0.88))
    made.savefig(output / name, dpi=130, metadata={"Software": None})
    plt.close(made)
    return name


def svg(made, name):
    """As an element for a page of HTML: without names of namespaces, and with identifiers that begin with `name`, so
    that several may be in one page."""
    text = io.StringIO()
    made.savefig(text, format="svg", metadata={"Creator": None, "Date": None, "Format": None, "Type": None})
    plt.close(made)
    root = ET.fromstring(text.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == SVG + "metadata":
                parent.remove(child)
    for item in root.iter():
        item.tag = item.tag.removeprefix(SVG)
        if LINK in item.attrib:
            item.set("href", item.attrib.pop(LINK))
        for key, value in item.attrib.items():
            if key == "id":
                item.set(key, f"{name}-{value}")
            elif key in ("href", "clip-path"):
                item.set(key, value.replace("#", f"#{name}-"))
    for size in ("width", "height"):  # the page decides; viewBox has the shape
        del root.attrib[size]
    return root
