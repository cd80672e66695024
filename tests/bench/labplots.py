# SPDX-License-Identifier: BSD-2-Clause
"""What the laboratories' pictures have in common. Needs python3-matplotlib."""

import textwrap

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


def figure(panels, title, subtitle):
    made, axes = plt.subplots(1, panels, figsize=(5.6 * panels + 0.8, 5.2), squeeze=False)
    made.suptitle(title, fontsize=14)
    made.text(0.5, 0.93, textwrap.fill(subtitle, 85 * panels), ha="center", va="top", fontsize=9, color="#444444")
    for axis in axes[0]:
        axis.grid(True, which="both", linewidth=0.4, color="#d0d0d0")
    return made, axes[0]


def finish(made, axes, output, name):
    for axis in axes:
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=9, loc="best")
    made.tight_layout(rect=(0, 0, 1, 0.88))
    made.savefig(output / name, dpi=130, metadata={"Software": None})
    plt.close(made)
    return name
