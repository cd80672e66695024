# SPDX-License-Identifier: BSD-2-Clause
"""Moves by post-copy whose link breaks again and again while the guest is in two halves (tools/soak-postcopy).

    cuts = Cuts(site, random.Random(seed))
    cuts.turn("mover", source, dest, "post-copy", most=5)

A turn leaves the guest whole at the destination, whatever broke, or raises AssertionError.
"""

import random
import time
from collections import Counter
from contextlib import closing
from typing import NamedTuple

from machine import vm
from migration import GUEST, OVER, Download, Site, Upload, alive, beats, move, says, shell
from relay import DEST, FORWARD, SOURCE, Relay

GUESTS = {
    # Each write is checked by the next one to its page; a timer by MMIO.
    "mover": vm("mover", "mover.elf", memory="12M", cmdline="pages=2048 rate=8"),
    # A device writes into each of 64 pages by string input; all is checked in the end.
    "writer": vm("writer", "writer.elf", memory="12M",
                 cmdline="pages=1024 rate=4 tick=2000 ticks=0 fill=1 input=8"),
    # Two processors, a network card that is busy both ways.
    "linux": vm("linux", "vmlinuz", initrd="initramfs.cpio", memory="128M", vcpus=2,
                cmdline=f"console=ttyS0 quiet ip={GUEST}/24 gw=10.9.0.1"),
}
MODES = ("post-copy", "hybrid", "demand")
# The records at which the link may break, and how many of them go by at most before it does; and those that only a
# connection has which is made anew.
POINTS = [(SOURCE, "PAGES", 30), (SOURCE, "ZERO", 3), (DEST, "RUNNING", 1), (DEST, "WANT", 12), (DEST, "KEEPALIVE", 12),
          (DEST, "COMPLETE", 1)]
ANEW = [(SOURCE, "header", 2), (DEST, "header", 2), (SOURCE, "COMMIT", 1), (DEST, "MISSING", 1)]
HEALED_AFTER = 3  # s at most
LONGEST = 300     # s that a turn may take on a busy machine
PULLED_AFTER = 5  # s at most: then a guest that is moved on demand is pulled


# What a kernel says whose memory is wrong. It may well speak of a stall: while the link is cut it waits for its pages.
WRONG = "-e BUG -e Oops -e segfault -e 'general protection' -e 'Bad page'"


class Turn(NamedTuple):
    guest: str
    way: str         # a > b
    mode: str
    cuts: list       # where
    recoveries: int  # those that the source has counted: not while it was in doubt
    requests: int    # pages that were wanted
    again: int       # pages that were sent more than once
    found: str       # what the guest says of itself


class Cuts:
    def __init__(self, site, rng):
        self.site, self.rng = site, rng
        self.total = Counter()  # cuts by guest

    def running(self, name, source, dest):
        """Who runs it, at most one. The destination is asked first, so that a guest that just left is not seen twice.
        """
        there = [host for host in (dest, source) if host.guests().get(name) in ("running", "paused")]
        assert len(there) < 2, f"two copies of {name} run"
        return there

    def plan(self, most):
        """What the seed chooses of a turn: when it is pulled, and (who, record, number, behind it, s) of each break."""
        records = [self.rng.choice(POINTS), *self.rng.choices(POINTS + ANEW, k=most - 1)]
        points = [(who, record, self.rng.randint(1, limit), self.rng.random() < 0.3, self.rng.uniform(0, HEALED_AFTER))
                  for who, record, limit in records]
        return self.rng.uniform(0, PULLED_AFTER), points

    def break_often(self, name, source, dest, relay, mode, most):
        """The link breaks up to `most` times, from the moment at which COMMIT is said. Returns where."""
        pull, points = self.plan(most)
        cuts = []

        def aim():
            if len(cuts) == len(points):
                return FORWARD
            who, record, nth, behind, _ = points[len(cuts)]

            def cut():
                cuts.append(f"{who} {record} {nth}{' +' if behind else ''}")
                return relay.cut()
            relay.stop_at(who, record, cut, nth, behind)
            return FORWARD
        relay.stop_at(SOURCE, "COMMIT", aim)
        source.begin(name, relay, mode)
        pull += time.monotonic()

        def over_or_cut():
            nonlocal pull
            self.running(name, source, dest)
            if mode == "demand" and time.monotonic() > pull and source.guests().get(name) == "serving":
                source.post(f"/v1/vms/{name}/pull")
                pull = float("inf")
            return not relay.open or source.query(name)["status"] in OVER
        while True:
            source.wait_for(f"{name} is whole, or its link broken", over_or_cut, LONGEST)
            if relay.open:
                return cuts
            heal = time.monotonic() + points[len(cuts) - 1][-1]
            while time.monotonic() < heal:
                self.running(name, source, dest)
                time.sleep(0.05)
            aim()
            relay.reopen()

    def turn(self, name, source, dest, mode, most):
        """Returns the Turn; the guest is whole, and right."""
        streams = [Upload(self.site.net), Download(self.site.net, 0.01, 65536)] if name == "linux" else []
        for stream in streams:
            stream.sock.settimeout(LONGEST)
            stream.start()
        with closing(Relay(self.site.net, dest.address)) as relay:
            cuts = self.break_often(name, source, dest, relay, mode, most)
        done, there = source.query(name), dest.query(name)
        assert done["status"] == "completed" and done["mode"] == mode, done
        assert there["handoff"] == "running" and there["postcopy-missing"] == 0, there
        assert name not in source.guests() and dest.guests()[name] == "running"
        ram = done["ram"]
        assert ram["postcopy-recoveries"] <= len(cuts), (cuts, done)
        self.total[name] += len(cuts)
        found = self.check(name, dest, streams)
        again = ram["normal"] + ram["duplicate"] - ram["total"] // ram["page-size"]
        return Turn(name, f"{source.name} > {dest.name}", mode, cuts, ram["postcopy-recoveries"],
                    ram["postcopy-requests"], again, found)

    def check(self, name, host, streams):
        """It goes on, and finds nothing wrong."""
        if name == "mover":
            return f"beat {beats(host)}"
        if name == "writer":
            return ""
        sizes = [stream.check() for stream in streams]
        assert alive(self.site.net)
        assert shell(host, f"dmesg | grep -v lockup | grep -c {WRONG}").strip() == "0"
        return "{} KiB in, {} KiB out".format(*(size >> 10 for size in sizes))

    def end(self, name):
        """All of its memory and state compared in a last move; then its own verdict on all that it ever wrote."""
        source, dest = self.site.ends(name)
        move(source, dest, name, "verify", seconds=LONGEST)
        if name == "linux":
            assert alive(self.site.net)
            return
        dest.type(name, "q")
        says(dest, name, rf"{name}: PASS\n")


# --- The whole --------------------------------------------------------------------------------------------------------

LINE = "{:>5} {:>6} {:<6} {:<5} {:<9} {:>4} {:>4} {:>5} {:>5} {:<24} {}"
HEADS = ("cuts", "s", "guest", "", "mode", "cuts", "rec.", "req.", "again", "the guest", "where the link broke")


def boot(site, names, emu, lifetime):
    guests = "".join(GUESTS[name] for name in names)
    mem = 192 if emu == "bochs" and "linux" not in names else 512
    for host, what in ((site.a, guests), (site.b, "")):
        host.boot(what, emu=emu, mem=mem, cpus=2 if "linux" in names else 1, lifetime=lifetime)
    for host in site.hosts:
        host.ready()
    if "linux" in names:
        site.a.machine.wait("godwit-guest: ready", LONGEST)
    if "mover" in names:
        says(site.a, "mover", r"beat \d+ at \d+ ms, \d{4,} writes")


def run(directory, args):
    """Returns the exit status."""
    print(f"soak-postcopy: seed {args.seed}, {args.emu}", flush=True)
    directory.parent.mkdir()
    rng, begun, names = random.Random(args.seed), time.monotonic(), args.guests.split(",")
    with Site(directory, secure=args.emu == "qemu") as site:
        boot(site, names, args.emu, lifetime=1200 + args.cuts * 60)
        cuts = Cuts(site, rng)
        print(LINE.format(*HEADS), flush=True)
        while (number := sum(cuts.total.values())) < args.cuts:
            name, mode = rng.choice(names), rng.choice(MODES)
            turn = cuts.turn(name, *site.ends(name), mode, min(8, args.cuts - number))
            print(LINE.format(sum(cuts.total.values()), f"{time.monotonic() - begun:.0f}", turn.guest, turn.way,
                              turn.mode, len(turn.cuts), turn.recoveries, turn.requests, turn.again, turn.found,
                              ", ".join(turn.cuts)), flush=True)
        for name in names:
            cuts.end(name)
    print(f"soak-postcopy: {dict(cuts.total)} cuts, all right")
    return 0
