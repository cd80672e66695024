# SPDX-License-Identifier: BSD-2-Clause
"""The drawings of tools/report: a move in time, its switch-over, its rounds, a failover in time. Each is an SVG
element whose numbers are text."""

import math

from matplotlib.ticker import FuncFormatter, NullLocator

from pictures import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY, SOFT, YELLOW, plt, svg

COLOURS = {"setup": GREY, "precopy": SKY, "stop": RED, "final-ram": ORANGE, "device-state": YELLOW, "commit": PINK,
           "postcopy": SOFT, "resume": GREEN, "announce": BLUE,
           "silence": GREY, "witness": ORANGE, "go-on": GREEN, "answer": BLUE}
BEFORE_PAUSE = ("setup", "precopy")
STANDING = ("stop", "final-ram", "device-state", "commit")  # what `downtime` counts
WIDTH = 12  # inches
BARS_WITH_NUMBERS = 7  # groups of bars that leave room for numbers above them


def short(value):
    """For an axis or a bar: 23.4k, 2,000, 0.1."""
    for unit, scale, least in (("G", 1e9, 1e9), ("M", 1e6, 1e6), ("k", 1e3, 1e4)):
        if value >= least:
            return f"{value / scale:,.3g}{unit}"
    return f"{value:,.10g}" if value == int(value) else f"{value:,.3g}"


def logarithmic(axis):
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.yaxis.set_minor_locator(NullLocator())


# --- Time

class Timeline:
    """A move on one axis: ms since it was asked for. The source's phases follow each other and make the total time; of
    the destination's, resume is the end of commit, when the guest is handed over, and announce comes after it. Samples
    come from the probe."""

    def __init__(self, move):
        probe = move.get("probe", {})
        zero = self.see(probe, "migrate-start")
        phases = {name: length for name, length in move.get("phases", {}).items() if length or name != "postcopy"}
        self.phases, now, self.handed = [], 0, 0
        for name, length in ((name, phases[name]) for name in COLOURS if name in phases):
            begin = {"resume": max(self.handed - length, 0), "announce": self.handed}.get(name, now)
            self.phases.append((name, begin, begin + length))
            now = max(now, begin + length)
            if name in BEFORE_PAUSE + STANDING:
                self.handed = now
        self.end = now
        if "migrate-end" in probe:
            self.end = max(now, (probe["migrate-end"] - zero) * 1000)

    def see(self, probe, start):
        """Take in what the probe saw, in ms since its member `start`; returns that, in s."""
        samples = sorted(probe.get("samples", []), key=lambda item: item[0])
        zero = probe.get(start, probe.get("start", samples[0][0] if samples else 0))
        sent = [((at - zero) * 1000, rtt) for at, rtt in samples]
        self.interval = probe.get("interval", 0)
        self.probed, self.lost = bool(sent), [at for at, rtt in sent if rtt is None]
        self.answers = sorted((at + rtt, rtt) for at, rtt in sent if rtt is not None)  # by when they arrived
        times = [arrived for arrived, _ in self.answers]
        # The two neighbours that are furthest apart, the later one since the beginning.
        gaps = [(after - before, before, after) for before, after in zip(times, times[1:]) if after > 0]
        self.blackout = max(gaps)[1:] if gaps else None
        return zero

    def silence(self):
        """How long no answer came, less the interval that passes between two answers anyway."""
        return max(self.blackout[1] - self.blackout[0] - self.interval, 0)

    def standing(self):
        """From the guest's stop to the news that it runs at the destination; None if nothing tells."""
        edges = [edge for name, begin, end in self.phases if name in STANDING for edge in (begin, end)]
        return (min(edges), max(edges)) if edges else None

    def pause(self):
        """From the guest's last instruction to when the network knows its new place, with a margin; None if nothing
        tells. Announcements are repeated: only their beginning counts."""
        times = [edge for name, begin, end in self.phases if name not in BEFORE_PAUSE
                 for edge in (begin, begin if name in ("announce", "postcopy") else end)]
        if self.blackout and self.blackout[0] < self.end + 1000:
            times += self.blackout
        if not times or min(times) >= max(times):
            return None
        margin = max((max(times) - min(times)) * 0.35, 4 * self.interval, 0.1)
        return min(times) - margin, max(times) + margin

    def window(self):
        """All of the move, with a margin in which the latency before and after shows; None if nothing tells."""
        end = max([self.end] + ([self.blackout[1]] if self.blackout else []))
        margin = max(end * 0.12, 50.0)
        seen = [arrived for arrived, _ in self.answers] + self.lost
        low, high = (max(-margin, min(0, *seen)), min(end + margin, max(end, *seen))) if seen else (0, end)
        return (low, high) if low < high and (self.phases or self.probed) else None


class Outage(Timeline):
    """A failover on one axis: ms since the kill. Its phases end at what the survivor, and at last the probe, tell."""

    def __init__(self, record):
        self.see(record.get("probe", {}), "kill")
        ends = record.get("timeline", {})
        self.phases, now = [], 0
        for name in ("silence", "witness", "go-on", "answer"):
            if name in ends:
                self.phases.append((name, now, max(now, ends[name])))
                now = max(now, ends[name])
        self.end = now

    def window(self):
        """From before the last answer of the machine that died."""
        if not (self.phases or self.probed):
            return None
        edges = [0, self.end, *(self.blackout or ())]
        margin = max((max(edges) - min(edges)) * 0.15, 50.0)
        return min(edges) - margin, max(edges) + margin


def length_arrow(axis, span, height, words, colour):
    """A double arrow over a span of time, with what it is and how long above it."""
    low, high = axis.get_xlim()
    begin, end = (min(max(edge, low), high) for edge in span)
    axis.annotate("", (begin, height), (end, height), xycoords=axis.get_xaxis_transform(),
                  arrowprops={"arrowstyle": "<->", "color": colour, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0})
    left = (begin + end) / 2 < (low + high) / 2
    axis.annotate(words, (begin if left else end, height), xytext=(0, 5), textcoords="offset points", color=colour,
                  xycoords=axis.get_xaxis_transform(), ha="left" if left else "right", fontsize=15, fontweight="bold")


def phase_strip(axis, timeline, say):
    """The phases as one bar; `say` puts a length into words for the legend."""
    low, high = axis.get_xlim()
    for name, begin, end in timeline.phases:
        left, right = max(begin, low), min(end, high)
        if left < right:
            axis.barh(0, right - left, left=left, height=1, color=COLOURS[name], edgecolor="white", linewidth=0.4,
                      label=f"{name} {say(end - begin)}")
            if (right - left) / (high - low) > 0.011 * len(name):
                axis.text((left + right) / 2, 0, name, ha="center", va="center", fontsize=10,
                          color="white" if name in ("stop", "announce", "postcopy", "answer") else INK)
    axis.set(yticks=[], ylim=(-0.5, 1.7))
    axis.grid(False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.tick_params(bottom=False, labelbottom=False)


def latency(axis, timeline, say):
    """The probe's answers by the time of their arrival, lost probes in a lane above by that of their sending, and the
    longest span in which no answer arrived shaded."""
    low, high = axis.get_xlim()
    answers = {(round(at, 3), max(rtt, 0.001)) for at, rtt in timeline.answers if low <= at <= high}
    lost = [at for at in timeline.lost if low <= at <= high]
    if answers:
        axis.plot(*zip(*sorted(answers)), linestyle="", marker="o", color=BLUE, gid="answers", label="answers",
                  markersize=3 if len(answers) > 250 else 6, markeredgewidth=0)
    if lost:
        axis.plot(lost, [0.95] * len(lost), linestyle="", marker="x", color=RED, gid="lost", label="no answer, by when "
                  "it was sent", transform=axis.get_xaxis_transform())
    logarithmic(axis)
    if answers:
        smallest, largest = min(rtt for _, rtt in answers), max(rtt for _, rtt in answers)
        axis.set_ylim(smallest / 2, max(largest, 10 * smallest) * 30)  # room above for what is said of the blackout
    if timeline.blackout:
        begin, end = (min(max(edge, low), high) for edge in timeline.blackout)
        axis.axvspan(begin, end, color=RED, alpha=0.13, linewidth=0, gid="gap")
        length_arrow(axis, timeline.blackout, 0.76, f"blackout {say(timeline.silence())}", RED)
    axis.set_ylabel("round trip, ms (log)")
    if answers or lost:
        axis.legend(loc="upper right", ncol=2, frameon=False, bbox_to_anchor=(1, 1.16))


def in_time(timeline, window, name, say, height, downtime=None, since="the move was asked for"):
    """Phases above, latency below, on one axis; `downtime` ms are marked."""
    rows, height = (2, height) if timeline.probed else (1, 2.2)
    made, axes = plt.subplots(rows, 1, figsize=(WIDTH, height), sharex=True, squeeze=False, gridspec_kw={
        "left": 0.07, "right": 0.99, "bottom": 0.55 / height, "top": 1 - 0.6 / height, "hspace": 0.22,
        "height_ratios": (1, 3.6)[:rows]})  # room in inches for the axis and its name, and for the legend
    strip, last = axes[0][0], axes[-1][0]
    last.set_xlim(*window)
    last.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value) if value >= 0 else f"{value:g}"))
    phase_strip(strip, timeline, say)
    if downtime is not None and timeline.standing():
        length_arrow(strip, timeline.standing(), 0.56, f"downtime {say(downtime)}", INK)
    if timeline.probed:
        latency(last, timeline, say)
    else:
        strip.tick_params(bottom=True, labelbottom=True)
    last.set_xlabel(f"ms since {since}")
    if strip.has_data():
        strip.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncol=5, frameon=False, handlelength=1.2)
    return svg(made, name)


# --- Rounds

def dirty_rate(item):
    """Pages a second, or None where the round had no time or tells none."""
    return item["dirtied"] / item["ms"] * 1000 if item.get("ms") and "dirtied" in item else None


def bars(axis, title, names, series, log):
    """Grouped bars, a group for each of the rounds' names: series is [(colour, name, a value or None for each)]."""
    thick = 0.84 / len(series)
    for position, (colour, words, row) in enumerate(series):
        shift = thick * (position - (len(series) - 1) / 2)
        shown = [(index + shift, value) for index, value in enumerate(row) if value]
        made = axis.bar([x for x, _ in shown], [value for _, value in shown], thick, color=colour, label=words)
        if len(names) <= BARS_WITH_NUMBERS:
            axis.bar_label(made, [short(float(f"{value:.3g}")) for _, value in shown], fontsize=9, padding=1)
    if log and any(value for _, _, row in series for value in row):
        logarithmic(axis)
        axis.set_ylim(axis.get_ylim()[0] / 2, axis.get_ylim()[1] * 2)
    else:
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.margins(y=0.12)
    step = math.ceil(len(names) / 12)
    axis.set_xticks(range(0, len(names), step), names[::step])
    axis.set(xlabel="round", title=title, xlim=(-0.6, max(len(names), 2) - 0.4))
    axis.grid(False, axis="x")


def has_hot(live):
    """Did a round leave pages for the last one?"""
    return any(item.get("hot") for item in live)


def rounds(live, stopped, name):
    """live: the rounds while the guest ran; stopped: what was sent while it stood, or {}."""
    all_rounds = live + [stopped] * bool(stopped)
    names = [str(number) for number in range(1, len(live) + 1)] + ["stop"] * bool(stopped)
    column = {key: [item.get(key) for item in all_rounds] for key in ("pages", "zero", "dirtied", "hot", "bytes")}
    kinds = [(BLUE, "pages", "sent with content"), (SKY, "zero", "sent as zeros"),
             (RED, "dirtied", "dirtied meanwhile"), *[(ORANGE, "hot", "hot, and waiting")] * has_hot(live)]
    made, axes = plt.subplots(1, 3, figsize=(WIDTH, 4), gridspec_kw={
        "width_ratios": (2, 1, 1), "left": 0.05, "right": 0.99, "bottom": 0.13, "top": 0.92, "wspace": 0.18})
    bars(axes[0], "pages (log)", names, [(colour, words, column[key]) for colour, key, words in kinds], True)
    bars(axes[1], "bytes on the wire (log)", names, [(BLUE, "bytes", column["bytes"])], True)
    bars(axes[2], "dirty rate, pages/s", names[:len(live)] or ["–"],
         [(RED, "pages/s", [dirty_rate(item) for item in live])], False)
    axes[0].legend(loc="upper right")
    return svg(made, name)


# --- Post-copy

def limit(power):
    """2^power microseconds, for an axis: 1 µs, 512 µs, 1 ms, 2 s; a thousand is 1024."""
    return f"{1 << power % 10} {('µs', 'ms', 's')[power // 10]}"


def latencies(waits):
    """[(power, number)]: of the waits of less than 2^power us those that none before has; without empty ends."""
    filled = [power for power, number in enumerate(waits) if number]
    return [(power, waits[power]) for power in range(filled[0], filled[-1] + 1)] if filled else []


def postcopy(progress, waits, handed, name):
    """What was sent, and asked for, from the hand-over on, at `handed` ms; and how long the guest waited for pages."""
    made, (sent, waited) = plt.subplots(1, 2, figsize=(WIDTH, 4), gridspec_kw={
        "width_ratios": (3, 2), "left": 0.07, "right": 0.99, "bottom": 0.13, "top": 0.92, "wspace": 0.16})
    times = [handed + sample["ms"] for sample in progress]
    for colour, style, words, row in (
            (BLUE, "o-", "sent", [sample["pages"] - progress[0]["pages"] for sample in progress]),
            (RED, "x--", "asked for", [sample["requests"] for sample in progress])):
        sent.plot(times, row, style, color=colour, linewidth=1.6, label=words, markersize=4)
    sent.set_yscale("symlog", linthresh=1)
    sent.axvline(handed, color=INK, linestyle="--", linewidth=1.2)
    sent.annotate("hand-over", (handed, 1), xycoords=sent.get_xaxis_transform(), xytext=(4, -14),
                  textcoords="offset points", color=INK)
    sent.set(title="pages that followed the guest (log)", xlabel="ms since the move was asked for",
             ylim=(0, 8 * max(progress[-1]["pages"], 1)))
    sent.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    sent.legend(loc="lower right")
    shown = latencies(waits)
    made_bars = waited.bar(range(len(shown)), [number for _, number in shown], 0.84, color=ORANGE)
    waited.bar_label(made_bars, [short(number) if number else "" for _, number in shown], fontsize=9, padding=1)
    waited.set_xticks(range(len(shown)), [limit(power) for power, _ in shown], rotation=60, fontsize=9)
    waited.set(title="waits for a missing page", xlabel="shorter than")
    waited.margins(y=0.12)
    waited.grid(False, axis="x")
    return svg(made, name)
