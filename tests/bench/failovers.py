# SPDX-License-Identifier: BSD-2-Clause
"""Failovers of a protected Linux guest under the eyes of a probe and clients outside, as objects of a run's JSON
(tools/report draws them).

    with tempfile.TemporaryDirectory() as directory, protected_pair(directory) as pair, Client(pair.net) as client:
        record = observed_kill(pair, client)
"""

import re
import time
from pathlib import Path

from moves import GUEST, linux  # first: it says where the others are
from failover import Pair  # noqa: E402
from migration import breaks, shell  # noqa: E402
from probe import Probe, lost  # noqa: E402

LIMIT = 300       # ms of silence after which the other machine may be dead: what users get, docs/failover.md
INTERVAL = 0.01   # s between probes
CLOCK = "downtime:50:100000"  # a program in the guest that tells its clock, and sleeps 100 ms at a time
AROUND = 2.0      # s in which checkpoints are counted before a kill, and of probing after the guest goes on
TRIES = 5         # kills in which the guest had gone over by itself, at most
CALM = 300        # s in which a busy machine must once leave the guest protected for that long
SETTLED = 0.2     # s between two looks at both machines, which both must call it protected
TIMES = {"silence": "silent-ms", "witness": "won-ms", "go-on": "running-ms"}  # and at which time of the history it ends


def protected_pair(directory, words=f"run={CLOCK}", mib=256, archive="initramfs.cpio", **machine):
    """To be entered; raises network.Unavailable. Machine a has Linux, which is not protected yet. machine: as of Pair,
    such as limit, lifetime in s, and secure."""
    machine = {"limit": LIMIT, "mem": 768, "cpus": 2, **machine}
    return Pair(Path(directory), guest=linux(mib, words, archive), images=f"vmlinuz {archive}", **machine)


def protected(pair):
    """The machine that runs it and the one that has its copy, when both have called it protected for a while: on a busy
    machine one may be taken for dead, and the guest is protected anew."""
    since = None
    while since is None or time.monotonic() - since < SETTLED:
        owner, other = pair.owner()
        pair.wait(owner, "protected")
        good = pair.shown(other)["state"] == "protected" and pair.shown(owner)["state"] == "protected"
        since = (since or time.monotonic()) if good else None
        time.sleep(SETTLED / 4)
    return owner, other


def checkpoints(pair, seconds):
    """(owner, other, checkpoints a second, pauses in ms that were seen): the guest has been protected for so long."""
    deadline = time.monotonic() + CALM
    while time.monotonic() < deadline:
        owner, other = protected(pair)
        first, pauses = (time.monotonic(), pair.shown(owner)), []
        while (last := (time.monotonic(), pair.shown(owner)))[0] < first[0] + seconds:
            if (last[1]["state"], last[1].get("epoch")) != ("protected", first[1].get("epoch")):
                break
            pauses.append(last[1]["pause-us"] / 1000)
            time.sleep(min(0.05, seconds / 20))
        else:
            # As many intervals as checkpoints that were seen, and one, of which each end of the time has a part.
            counted = last[1]["checkpoints"] - first[1]["checkpoints"] + 1
            return owner, other, counted / (last[0] - first[0]), pauses
    raise AssertionError(f"it was not protected for {seconds} s at a time within {CALM} s: is the machine too busy?")


def clock_ahead(net):
    """How far the guest's clock is ahead of ours, s."""
    return min((breaks(net) for _ in range(3)), key=lambda seen: seen.within).ahead


class WentOver(Exception):
    """On a machine that others keep busy: the guest had gone over by itself, and then the wrong machine was killed,
    which is left dead."""

    def __init__(self, dead, ms):
        super().__init__(f"the guest had gone over by itself, {ms:.0f} ms before machine {dead.name} was killed: that "
                         f"was silent for longer than the limit")
        self.dead = dead


def timeline(rows, kill, now):
    """(the last failover of the survivor's history, ms since the kill at which each part of it ended). Its times count
    from when the survivor heard the primary last, which was so long before `now`."""
    row = next((row for row in rows if all(key in row for key in TIMES.values())), None)
    assert row, "the guest runs there, and no failover has brought it: was it started anew?"
    heard = (now - row["age-ms"] / 1000 - kill) * 1000
    return row, {name: round(heard + row[key], 2) for name, key in TIMES.items()}


def outage_ms(samples, kill, dead):
    """From the kill to the first answer to a probe that was sent when the machine was dead."""
    answers = [sent + rtt / 1000 for sent, rtt in samples if rtt is not None and sent > dead]
    assert answers, "no probe was answered after the machine had died"
    return round((min(answers) - kill) * 1000, 2)


def kill_9(pair, owner, other):
    """The machine dies, as if its plug were pulled; returns when, and when that was certain, once the guest runs at the
    other one."""
    kill = time.monotonic()
    owner.machine.kill()
    dead = time.monotonic()
    pair.runs_at(other)
    return kill, dead


def observed_kill(pair, client, around=AROUND, interval=INTERVAL):
    """Kill the machine on which the protected guest runs: (it, the object of a run's JSON). It is left dead. Raises
    WentOver."""
    protected(pair)
    client.goes_on()
    before = clock_ahead(pair.net)
    probe = Probe(pair.net.socket)
    probe.start(GUEST, interval)
    try:
        owner, other, rate, pauses = checkpoints(pair, around)
        kill, dead = kill_9(pair, owner, other)
        asked = time.monotonic()
        rows = pair.shown(other)["failovers"]
        row, ends = timeline(rows, kill, (asked + time.monotonic()) / 2)
        if ends["go-on"] < 0:
            raise WentOver(owner, -ends["go-on"])
        client.goes_on()
        time.sleep(around / 2)
    finally:
        samples = probe.stop()
    samples = [sample for sample in samples if sample[0] > kill - around]
    outage = outage_ms(samples, kill, dead)
    return owner, {
        "vm": "linux", "from": owner.address, "to": other.address, "outage-ms": outage, "cause": row["cause"],
        "epoch": row["epoch"], "checkpoint": row["checkpoint"], "survivors": len(pair.site.where("linux")),
        "checkpoints-per-second": round(rate, 1), "pause-ms": sorted(pauses)[len(pauses) // 2],
        "clock-off-ms": round((clock_ahead(pair.net) - before) * 1000, 1), "lost": lost(samples),
        "history": row, "timeline": {**ends, "answer": outage},
        "probe": {"interval": interval * 1000, "start": samples[0][0], "kill": kill, "samples": samples},
    }


def kills(pair, client, count):
    """observed_kill() so often. Where the guest went over by itself that is said, and there is another one."""
    left = TRIES
    while count:
        try:
            yield observed_kill(pair, client)
            count -= 1
        except WentOver as early:
            left -= 1
            assert left, f"{early}; and so did it {TRIES} times: this machine is too busy for that limit"
            print(f"{early}. Once more", flush=True)
            pair.boot_again(early.dead)


def complaints(host):
    """Lines in which the guest's kernel says that a processor of it stood still."""
    return [line for line in shell(host, "dmesg | grep -i -e 'soft lockup' -e stall").splitlines()
            if re.search(r"lockup|stall", line, re.I)]


def run_of(records, **figures):
    """A run's JSON: its worst outage, and all failovers."""
    return {"outage_ms": max(record["outage-ms"] for record in records), **figures,
            "survivors": max(record["survivors"] for record in records),
            "checkpoints_per_second": min(record["checkpoints-per-second"] for record in records),
            "failovers": records}
