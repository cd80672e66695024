# SPDX-License-Identifier: BSD-2-Clause
"""The page that tools/report draws of a run: whole, self-contained, with the run's numbers; bad input is named."""

import contextlib
import copy
import io
import json
import random
import re
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from machine import ROOT, run_to_end, tool

REPORT = tool("report")  # in one process the library is loaded once


def probe(start, end, gap):
    """Answers every 2 ms with some noise, none while the guest is away, slow ones as the pages go out."""
    rng = random.Random(1)
    samples = []
    for index in range(900):
        sent = 100 + index * 0.002
        rtt = rng.lognormvariate(-0.5, 0.3) * (3 if start < sent < end else 1)
        if gap[0] < sent < gap[1]:  # held for the guest, or lost
            rtt = (gap[1] - sent) * 1000 + rtt if index % 2 else None
        samples.append([sent, None if rng.random() < 0.003 else rtt])
    return {"interval": 2.0, "start": 100.0, "migrate-start": start, "migrate-end": end, "samples": samples}


def move(here="10.9.0.2", there="10.9.0.4", begin=100.4):
    phases = {"setup": 3.1, "precopy": 861.4, "stop": 0.8, "final-ram": 6.4, "device-state": 1.9, "commit": 2.2,
              "resume": 1.0, "announce": 5.5}
    end = begin + (sum(phases.values()) - phases["resume"]) / 1000
    return {
        "vm": "linux", "from": here, "to": there, "mode": "live", "status": "completed", "total-time": 875.8,
        "setup-time": 3.1, "downtime": 12.34, "expected-downtime": 10.0, "blackout": 20.4, "compute-downtime": None,
        "transferred": 96123456, "wire-bytes": 98765432, "total": 268435456, "duplicate": 42117, "normal": 23419,
        "normal-bytes": 95924224, "dirty-sync-count": 4, "dirty-pages-rate": 1187, "mbps": 871.6,
        "pages-per-second": 26543, "phases": phases,
        "rounds": [{"pages": 23100, "zero": 42117, "dirtied": 842, "bytes": 95012345, "ms": 790.0},
                   {"pages": 802, "zero": 40, "dirtied": 97, "bytes": 3312345, "ms": 58.0},
                   {"pages": 97, "zero": 0, "dirtied": 31, "bytes": 401234, "ms": 13.4}],
        "stopped-round": {"pages": 31, "zero": 0, "dirtied": 0, "bytes": 128456, "ms": 6.4},
        "probe": probe(begin, end, (end - 0.0175, end + 0.004)),
    }


def postcopy():
    """A move whose memory follows it."""
    data = {**move(), "mode": "post-copy", "rounds": [], "postcopy-bytes": 95012345, "postcopy-requests": 300,
            "postcopy-blocktime": 41.5, "postcopy-latency": [0, 0, 3, 0, 7, *[0] * 7, 2, *[0] * 11],
            "postcopy-progress": [{"ms": at * 10.0, "pages": 5000 + at * 700, "requests": min(at * 20, 300)}
                                  for at in range(31)]}
    data["phases"] = {**data["phases"], "precopy": 0, "postcopy": 300.0}
    return data


def failovers():
    """A run of two failovers."""
    seen = probe(100.4, 101.0, (100.4, 101.0))
    record = {"vm": "linux", "from": "10.9.0.2", "to": "10.9.0.4", "outage-ms": 612.3, "cause": "silence", "epoch": 2,
              "checkpoint": 77, "survivors": 1, "checkpoints-per-second": 38.5, "pause-ms": 1.93, "lost": 60,
              "timeline": {"silence": 285.1, "witness": 301.5, "go-on": 302.2, "answer": 612.3},
              "probe": {"interval": 2.0, "start": 100.0, "kill": 100.4, "samples": seen["samples"]}}
    return {"outage_ms": 612.3, "failovers": [record, {"outage-ms": 598.0}]}


def run():
    moves = [move(), move("10.9.0.4", "10.9.0.2")]
    return {**{name: value for name, value in moves[-1].items()}, "moves": moves}


def report(directory, data):
    """Exit status, messages and page for this input, JSON or text."""
    source, target = directory / "migration.json", directory / "report.html"
    source.write_text(data if isinstance(data, str) else json.dumps(data))
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        status = REPORT.main([str(source), "-o", str(target)])
    return status, errors.getvalue(), target.read_text() if target.exists() else None


def visible(page):
    """All text of a page that is well-formed, tags balanced."""
    return " ".join(ET.fromstring(page).find("body").itertext())


def test_page(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(run()))
    done = run_to_end([ROOT / "tools/report", tmp_path / "run.json", "-o", tmp_path / "run.html"],
                      stderr=subprocess.PIPE, text=True)
    status, errors, page = done.returncode, done.stderr, (tmp_path / "run.html").read_text()
    assert (status, errors) == (0, "")
    words = visible(page)
    for said in ("linux: 10.9.0.2 → 10.9.0.4", "linux: 10.9.0.4 → 10.9.0.2", "completed", "live", "876 ms", "12.3 ms",
                 "20.4 ms", "10.0 ms", "96,123,456 B", "98,765,432 B", "23,419 pages", "42,117 pages", "872 Mbit/s",
                 "878 Mbit/s", "1,187 pages/s", "final-ram", "device-state", "announce", "3 live rounds in 861 ms"):
        assert said in words, said
    assert re.search(r"blackout [0-9.]+ ms", words)
    figures = ET.fromstring(page).findall(".//figure/svg")
    assert len(figures) == 2 * 3  # rounds, whole move, switch-over
    HTMLParser().feed(page)


def test_failover(tmp_path):
    """What ended when, on the probe's axis; a record that tells nothing else has its outage."""
    page = ET.fromstring(report(tmp_path, failovers())[2])
    words, lines = " ".join(page.itertext()), ["|".join(cell.text for cell in row) for row in page.findall(".//tr")]
    for said in ("linux: 10.9.0.2 → 10.9.0.4", "612 ms", "598 ms", "38.5", "1.93 ms"):
        assert said in words, said
    assert "the witness says that it may go on|302" in lines and "its first answer arrives|612" in lines
    [figure] = page.findall(".//figure/svg")
    drawn = [" ".join(text.itertext()) for text in figure.iter() if text.tag.endswith("text")]
    for said in ("silence 285 ms", "answer 310 ms", "ms since the machine was killed"):
        assert said in drawn, said
    for bad, name in (({"failovers": [{}]}, "failovers[0].outage-ms: missing"),
                      ({"failovers": [{"outage-ms": -1}]}, "failovers[0].outage-ms: not a number")):
        status, errors, _ = report(tmp_path, bad)
        assert status == 2 and name in errors


def test_numbers_can_be_copied(tmp_path):
    """Each round and each phase has its line in a table, and what is written in a figure is text."""
    page = ET.fromstring(report(tmp_path, move())[2])
    lines = ["|".join(cell.text for cell in row) for row in page.findall(".//tr")]
    assert "1|23,100|42,117|842|95,012,345|790|1,066" in lines and "stop|31|0|0|128,456|6.40|–" in lines
    assert "final-ram|source|865|6.40" in lines and "announce|destination|876|5.50" in lines
    drawn = [" ".join(text.itertext()) for text in page.findall(".//figure/svg//text")]
    for said in ("downtime 12.3 ms", "final-ram 6.40 ms", "ms since the move was asked for", "round trip, ms (log)",
                 "sent with content", "pages (log)", "23.1k"):
        assert said in drawn, said


def test_hot_pages(tmp_path):
    """Those that wait for the last round have a bar and a column, if there are any; the round that sends them none."""
    data = move()
    for item, hot in zip(data["rounds"], (0, 61, 7)):
        item["hot"] = hot
    page = ET.fromstring(report(tmp_path, data)[2])
    lines = ["|".join(cell.text for cell in row) for row in page.findall(".//tr")]
    assert "2|802|40|97|61|3,312,345|58.0|1,672" in lines and "stop|31|0|0|–|128,456|6.40|–" in lines
    drawn = [" ".join(text.itertext()) for text in page.findall(".//figure/svg//text")]
    assert "hot, and waiting" in drawn and "61" in drawn
    assert "they wait for the last one" in visible(ET.tostring(page, encoding="unicode"))
    for item in data["rounds"]:
        item["hot"] = 0
    assert "hot" not in report(tmp_path, data)[2].lower()


def test_post_copy(tmp_path):
    """The hand-over, what followed and what was asked for, and how long the guest waited; the pause ends before it."""
    page = ET.fromstring(report(tmp_path, postcopy())[2])
    assert len(page.findall(".//figure/svg")) == 4
    lines = ["|".join(cell.text for cell in row) for row in page.findall(".//tr")]
    for line in ("postcopy|source|14.4|300", "announce|destination|14.4|5.50", "resume|destination|13.4|1.00",
                 "0|0|0", "300|21,000|300", "4 µs|3", "8 µs|0", "16 µs|7", "4 ms|2"):
        assert line in lines, line
    drawn = [" ".join(text.itertext()) for text in page.findall(".//figure/svg//text")]
    for said in ("hand-over", "asked for", "sent", "pages that followed the guest (log)", "16 µs", "downtime 12.3 ms"):
        assert said in drawn, said
    assert "21,000 pages follow it: 300 because something waited" in visible(ET.tostring(page, encoding="unicode"))


def test_figures_do_not_mix(tmp_path):
    """What a figure refers to is in the page once."""
    page = ET.fromstring(report(tmp_path, run())[2])
    names = [item.get("id") for item in page.iter() if item.get("id")]
    assert len(names) == len(set(names))
    used = [name for item in page.iter() for value in item.attrib.values()
            for name in re.findall(r"#(move[^)]*)", value)]
    assert used and set(used) <= set(names)


def part(svg, name):
    """A figure's group of that name."""
    return next((group for group in svg.iter("g") if group.get("id", "").endswith(name)), None)


def test_no_answer_stands_where_none_arrived(tmp_path):
    """What is shaded holds no mark of an answer, though probes of that time were answered in the end."""
    page = ET.fromstring(report(tmp_path, move())[2])
    shaded = 0
    for svg in page.findall(".//figure/svg"):
        gap = part(svg, "-gap")
        if gap is not None:
            edges = [float(x) for x in re.findall(r"[ML] *([\d.]+)", gap.find("path").get("d"))]
            answers = [float(mark.get("x")) for mark in part(svg, "-answers").iter("use")]
            assert answers and not [x for x in answers if min(edges) + 0.2 < x < max(edges) - 0.2]
            shaded += max(edges) - min(edges) > 1
    assert shaded == 2


def test_nothing_is_left_out(tmp_path):
    """The stopped round is among the rounds, and said to be; the source's phases reach to the total time."""
    data = move()
    words = visible(report(tmp_path, data)[2])
    assert "is the last group, stop" in words and " stop 31 0 0 128,456 " in words
    assert " 4 31 " not in words
    assert abs(sum(data["phases"].values()) - data["phases"]["resume"] - data["phases"]["announce"]
               - data["total-time"]) < 0.05
    del data["stopped-round"]
    words = visible(report(tmp_path, data)[2])
    assert "group, stop" not in words and " stop 31 " not in words


def test_a_guest_that_never_stood_has_no_stopped_round(tmp_path):
    """A move that fails in pre-copy has one of zeros."""
    data = {**move(), "status": "failed"}
    data["stopped-round"] = dict.fromkeys(data["stopped-round"], 0)
    words = visible(report(tmp_path, data)[2])
    assert "3 live rounds" in words
    assert "while the guest stood" not in words and " stop 0 0" not in words


def test_self_contained(tmp_path):
    """A reference is to something in the page."""
    page = report(tmp_path, run())[2]
    assert not re.search(r"https?://|src=|href=(?!\"#)|url\((?!#)|@import|<script|<link", page)


def test_text_is_not_markup(tmp_path):
    data = run()
    data["moves"][0]["vm"] = "<script>alert(1)</script>"
    page = report(tmp_path, data)[2]
    assert "<script" not in page and "<script>alert(1)</script>" in visible(page)


@pytest.mark.parametrize("gone", [name for name in move() if name != "status"])
def test_missing_member(tmp_path, gone):
    data = move()
    del data[gone]
    status, errors, page = report(tmp_path, data)
    assert (status, errors) == (0, "")
    visible(page)


@pytest.mark.parametrize("data", [
    {"status": "failed"},                                                            # no moves: it is one itself
    {"moves": [{"status": "cancelled", "phases": {"setup": 0}, "rounds": [], "probe": {}}]},
    {"moves": [{"status": "completed", "phases": {}, "rounds": [{}, {"pages": 0, "ms": 0, "dirtied": 0}]}]},
    {"moves": [{"status": "completed", "probe": {"samples": [[5, None], [4, 0], [6, None]]}}]},
    {"moves": [{"status": "completed", "probe": {"migrate-start": 9, "samples": [[9, 1.5]]}}]},
    {"moves": [{"status": "completed", "postcopy-progress": [{"ms": 0, "pages": 1, "requests": 0}]}]},
    {"moves": [{"status": "completed", "postcopy-progress": [{"ms": 0, "pages": 1, "requests": 0}, {"pages": 3},
                                                             {"ms": 0, "pages": 1, "requests": 0}]}]},
    {"moves": [{"status": "completed", "rounds": [{"pages": 7 ** n, "dirtied": 9, "ms": n} for n in range(20)] * 3}]},
])
def test_odd_but_right(tmp_path, data):
    status, errors, page = report(tmp_path, data)
    assert (status, errors) == (0, "")
    visible(page)


BAD = [
    ("moves[0].status", lambda data: data["moves"][0].pop("status")),
    ("moves[1].downtime", lambda data: data["moves"][1].update(downtime="12 ms")),
    ("moves[0].blackout", lambda data: data["moves"][0].update(blackout=-1)),
    ("moves[0].mbps", lambda data: data["moves"][0].update(mbps=float("nan"))),
    ("moves[0].normal", lambda data: data["moves"][0].update(normal=10 ** 400)),
    ("moves[0].total", lambda data: data["moves"][0].update(total=True)),
    ("moves[0].vm", lambda data: data["moves"][0].update(vm="a\0b")),
    ("moves[0].phases", lambda data: data["moves"][0].update(phases=[1])),
    ("moves[0].phases.final-ram", lambda data: data["moves"][0]["phases"].update({"final-ram": []})),
    ("moves[1].rounds[2].bytes", lambda data: data["moves"][1]["rounds"][2].update(bytes={})),
    ("moves[1].rounds", lambda data: data["moves"][1].update(rounds={})),
    ("moves[0].postcopy-latency[1]", lambda data: data["moves"][0].update({"postcopy-latency": [1, "x"]})),
    ("moves[0].postcopy-progress[0].ms", lambda data: data["moves"][0].update({"postcopy-progress": [{"ms": -1}]})),
    ("moves[0].probe.samples[3]", lambda data: data["moves"][0]["probe"]["samples"].insert(3, [1, 2, 3])),
    ("moves[0].probe.samples[0][1]", lambda data: data["moves"][0]["probe"]["samples"].insert(0, [1, "lost"])),
    ("moves", lambda data: data.update(moves=[])),
    ("moves", lambda data: data.update(moves=3)),
    ("moves[0]", lambda data: data.update(moves=["linux"])),
]


@pytest.mark.parametrize("name, spoil", BAD)
def test_bad_member(tmp_path, name, spoil):
    data = copy.deepcopy(run())
    spoil(data)
    status, errors, page = report(tmp_path, data)
    assert status == 2 and f": {name}: " in errors and page is None


@pytest.mark.parametrize("data", ["", "{", "[1]", "[" * 100000, '"text"'],
                         ids=["empty", "open", "list", "deep", "text"])
def test_not_a_run(tmp_path, data):
    status, errors, page = report(tmp_path, data)
    assert status == 2 and ": the file: " in errors and page is None and "Traceback" not in errors


def test_no_such_file(tmp_path):
    done = run_to_end([ROOT / "tools/report", tmp_path / "none.json"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "none.json" in done.stderr
