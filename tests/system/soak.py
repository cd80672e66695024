# SPDX-License-Identifier: BSD-2-Clause
"""One move after the other, of busy guests, with faults at random (tools/soak-moves says which).

    done = Soak(site, random.Random(seed)).turn()

Turns leave both machines well, or raise AssertionError.
"""

import random
import re
import time
from collections import Counter
from typing import NamedTuple

from machine import guest_lines, vm
from migration import GUEST, OVER, Site, alive, free_memory, says
from points import MOVER, beat
from relay import Relay

LINUX = vm("linux", "vmlinuz", initrd="stress.cpio", memory="192M",
           cmdline=f"console=ttyS0 quiet ip={GUEST}/24 gw=10.9.0.1 run=downtime:50:2000,stress:6")
WRITER = vm("writer", "writer.elf", memory="8M", cmdline="pages=1024 rate=4 tick=2000 ticks=0")
HELLO = vm("hello", "hello.elf", memory="16M")
# Of ten moves so many are the guest's.
SHARE = {"linux": 3, "mover": 4, "writer": 3}
FAULTS = {"none": 6, "cancel": 2, "cut": 1, "cable": 1}
MEM = 512            # MiB of each machine
LONGEST = 240        # s that a move, or what comes of a broken one, may take on a busy machine
HEALED_AFTER = 8     # s at most; machines give each other up after 5
WARM_UP = 10         # starts or resets after which a heap has grown to what they take
LEAK = 512           # KiB of frames; every guest here is larger
DRIFT = 0.03         # s for each move: half of what the two ways of a round trip differ by
RATE = 1e-3          # and what the two clocks' frequencies may differ by
# What a kernel says that was kept from its processor, or whose memory is wrong.
COMPLAINT = re.compile(r"soft lockup|stall|call trace|\bBUG\b|oops|hung task|clocksource.*unstable", re.I)


class Move(NamedTuple):
    guest: str
    way: str      # a > b
    how: str      # mode and dirty log
    fault: str
    outcome: str  # completed, or why not
    total: int    # ms
    downtime: int
    rounds: int
    found: str    # what the guest says of itself


def check_free(name, before, after):
    """KiB, of machine `name`."""
    assert after >= before - LEAK, f"{name} had {before} KiB free, and has {after}"


class Clock:
    """How far a guest's clock is from where it should be since the first look, as an interval in s."""

    def __init__(self):
        self.least = self.most = None

    def look(self, before, guest, after):
        """Its clock said `guest` at some time between `before` and `after` of ours; how far that is off."""
        if self.least is None:
            self.least, self.most, self.began = guest - after, guest - before, before
        return guest - after - self.most, guest - before - self.least

    def check(self, name, look, moves):
        low, high = look
        allowed = 1 + DRIFT * moves + RATE * (time.monotonic() - self.began)
        assert low <= allowed and high >= -allowed, f"the clock of {name} is off by {low:.2f} to {high:.2f} s"
        return f"{(low + high) / 2:+.2f} s"


class Soak:
    def __init__(self, site, rng):
        self.site, self.rng = site, rng
        self.moves, self.outcomes, self.memory = Counter(), Counter(), []
        self.clocks = {"linux": Clock(), "mover": Clock()}
        self.typical = dict.fromkeys(SHARE, 2.0)  # s that a guest's move takes

    # --- What is true at all times ---

    def running(self, name, source, dest):
        """Who runs it. The destination is asked first, so that a guest that just left is not seen twice."""
        there = [host for host in (dest, source) if host.guests().get(name) in ("running", "paused")]
        assert len(there) < 2, f"two copies of {name} run"
        return there[0] if there else None

    def wait(self, what, condition, name, source, dest, seconds=LONGEST):
        """Until it is so; never two run meanwhile."""
        def looked():
            self.running(name, source, dest)
            return condition()
        return source.wait_for(what, looked, seconds)

    # --- Faults ---

    def cancel(self, name, source, dest, relay):
        status, body = source.ask("POST", f"/v1/vms/{name}/migrate_cancel")
        assert status in (200, 202, 404, 409), body  # it may be over, or committed

    def cut(self, name, source, dest, relay):
        relay.cut()
        heal = time.monotonic() + self.rng.uniform(0, HEALED_AFTER)
        self.wait("the link is mended", lambda: time.monotonic() > heal, name, source, dest)
        relay.reopen()

    def cable(self, name, source, dest, relay):
        host = self.rng.choice((source, dest))
        host.link("down")
        time.sleep(self.rng.uniform(0.2, HEALED_AFTER))  # nobody can be asked
        host.link("up")

    # --- One move ---

    def begin(self, name, source, dest):
        """Begin a move, and do to it what is to befall it. Returns the fault, and the mode with the log."""
        fault = self.rng.choices(list(FAULTS), FAULTS.values())[0]
        log = self.rng.choice(("write-protect", "dbit"))
        # Linux would stand for seconds, and does not bear that well (docs/reliability.md).
        mode = "live" if name == "linux" else self.rng.choices(("live", "stop-copy"), (9, 1))[0]
        source.set(dirty_log=log)
        relay = Relay(self.site.net, dest.address) if fault == "cut" else None
        source.begin(name, relay or dest, "verify", mode)
        if fault != "none":
            time.sleep(self.rng.uniform(0, self.typical[name]))  # the moment is the seed's to choose
            getattr(self, fault)(name, source, dest, relay)
        return fault, f"{mode} {log}", relay

    def settled(self, name, source, dest):
        """What the source says when it is over; a doubt ends by itself when the link is whole."""
        def over():
            answer = source.query(name)
            return answer["status"] in OVER and answer
        return self.wait(f"{name}'s move is over", over, name, source, dest)

    def turn(self, name=None):
        """Returns the Move; everything is as it should be."""
        name = name or self.rng.choices(list(SHARE), SHARE.values())[0]
        source, dest = self.site.ends(name)
        fault, how, relay = self.begin(name, source, dest)
        answer = self.settled(name, source, dest)
        completed = answer["status"] == "completed"
        assert completed or fault != "none", answer
        assert answer["verify"], answer
        host, other = (dest, source) if completed else (source, dest)
        self.wait("it runs", lambda: self.running(name, source, dest) is host, name, source, dest)
        self.wait("nothing is left over", lambda: name not in other.guests(), name, source, dest)
        if relay:
            relay.close()
        self.moves[name] += 1
        self.outcomes[(name, answer["status"])] += 1
        if completed and fault == "none":
            self.typical[name] = answer["total-time"] / 1000
        found = self.check(name, host, answer["downtime"] / 1000)
        return Move(name, f"{source.name} > {dest.name}", how, fault, answer["reason"] or answer["status"],
                    answer["total-time"], answer["downtime"], len(answer["rounds"]), found)

    # --- What the guests say ---

    def check(self, name, host, stood):
        """It goes on, and its clock is right, after it stood for so many seconds."""
        if name == "writer":
            return ""
        if name == "mover":
            before = time.monotonic()
            _, ms, _ = beat(host)
            look = self.clocks[name].look(before - 0.5, ms / 1000, time.monotonic())  # a beat waits for its reader
        else:
            self.answers(stood)
            look = self.clocks[name].look(*self.read_clock())
            self.check_linux()
        return self.clocks[name].check(name, look, self.moves[name])

    def answers(self, stood):
        """It answers, and nobody else, however long the programs have to wait for each other that shared its processor
        when it stood for so many seconds: Linux takes that time for time that one of them had."""
        deadline = time.monotonic() + 30 + 20 * stood
        while not alive(self.site.net, patience=10):
            assert time.monotonic() < deadline, "it does not answer"

    def read_clock(self):
        """(before, the guest's CLOCK_MONOTONIC, after): the quickest of three answers."""
        looks = []
        for _ in range(3):
            before = time.monotonic()
            with self.site.net.connect(GUEST, 4001) as sock:
                now = float(re.search(rb" now ([\d.]+) ", sock.recv(65536)).group(1))
            looks.append((before, now, time.monotonic()))
        return min(looks, key=lambda look: look[2] - look[0])

    def linux_lines(self):
        return [line for host in self.site.hosts for line in guest_lines(host.machine.log, "linux")]

    def runs(self):
        """Exit statuses of stress-ng."""
        found = (re.match(r"stress run \d+ \w+ status (\d+)", line) for line in self.linux_lines())
        return [int(run.group(1)) for run in found if run]

    def check_linux(self):
        complaints = [line for line in self.linux_lines() if COMPLAINT.search(line)]
        assert not complaints, complaints
        assert not any(self.runs()), f"stress-ng's verdicts: {self.runs()}"

    # --- Memory ---

    def sample(self):
        """Bring all guests home, and note what memory both machines have then."""
        done = []
        for name in SHARE:
            while self.site.where(name) != [self.site.a]:
                done.append(self.turn(name))
        self.memory.append((sum(self.moves.values()), free_memory(self.site.a), free_memory(self.site.b)))
        return done

    def check_memory(self):
        for name, before, after in zip("ab", self.memory[0][1:], self.memory[-1][1:]):
            check_free(name, before, after)

    def repeat(self, what, host, times, step):
        """So many times, one after the other; the host's memory is the same before and after."""
        for count in range(WARM_UP + times):
            if count == WARM_UP:
                before = free_memory(host)
            step()
        after = free_memory(host)
        print(f"{times} {what} at {host.name}: {before} KiB free before, {after} after", flush=True)
        check_free(host.name, before, after)

    def start_hello(self):
        host = self.site.b
        host.post("/v1/vms/hello/start")
        host.wait_for("hello has passed", lambda: host.guests()["hello"] == "passed")

    def reset_mover(self):
        """Its first beat is number 0."""
        host = self.site.a
        resets = host.get("/v1/vms/mover")["resets"]
        host.printed("mover")
        host.post("/v1/vms/mover/reset")
        says(host, "mover", r"beat 0 at \d+ ms, \d+ writes, 0 wrong, 0 backwards, 0 strayed\n")
        assert host.get("/v1/vms/mover")["resets"] == resets + 1

    def end(self):
        """The small guests' own verdicts: all that they ever wrote is there."""
        for name in ("mover", "writer"):
            self.site.a.type(name, "q")
            says(self.site.a, name, rf"{name}: (PASS|FAIL \(.*\))\n")
            assert self.site.a.guests()[name] == "passed"


# --- The whole --------------------------------------------------------------------------------------------------------

LINE = "{:>4} {:>6} {:<6} {:<5} {:<23} {:<6} {:<40} {:>6} {:>6} {:>3} {}"
HEADS = ("", "s", "guest", "", "how", "fault", "outcome", "ms", "down", "rds", "its clock")
EVERY = 50  # moves, memory is looked at


def boot(site, lifetime):
    for host, guests in ((site.a, LINUX + MOVER + WRITER), (site.b, HELLO)):
        host.boot(guests, mem=MEM, cpus=2, images="vmlinuz stress.cpio mover.elf writer.elf", lifetime=lifetime)
    site.a.ready()
    site.b.ready()
    site.a.machine.wait("godwit-guest: ready", LONGEST)
    for host in site.hosts:
        host.set(max_rounds=8)


def tell(begun, number, move):
    print(LINE.format(number, f"{time.monotonic() - begun:.0f}", *move).rstrip(), flush=True)


def soak(site, args):
    """Raises AssertionError if anything is wrong; returns the Soak."""
    begun, number = time.monotonic(), 0
    soaked = Soak(site, random.Random(args.seed))
    print(LINE.format(*HEADS), flush=True)

    def going_on():
        number = sum(soaked.moves.values())
        return number < args.moves if args.moves else time.monotonic() - begun < args.seconds
    while going_on():
        moves = [soaked.turn()]
        number = sum(soaked.moves.values())
        if number >= EVERY * (len(soaked.memory) + 1):
            moves += soaked.sample()
        for number, move in enumerate(moves, number):
            tell(begun, number, move)
    for number, move in enumerate(soaked.sample(), number + 1):
        tell(begun, number, move)
    return soaked


def summary(soaked):
    print("\nguest   moves  completed  cancelled  failed")
    for name in SHARE:
        counts = [soaked.outcomes[(name, status)] for status in ("completed", "cancelled", "failed")]
        print(f"{name:<7} {soaked.moves[name]:>5}  {counts[0]:>9}  {counts[1]:>9}  {counts[2]:>6}")
    print("\nmoves  KiB free at a  KiB free at b")
    for moves, a, b in soaked.memory:
        print(f"{moves:>5}  {a:>13}  {b:>13}")
    print(f"\nstress-ng: {len(soaked.runs())} runs, {sum(status != 0 for status in soaked.runs())} failed")


def run(directory, args):
    """Returns the exit status."""
    print(f"soak-moves: seed {args.seed}", flush=True)
    directory.parent.mkdir()
    with Site(directory) as site:
        boot(site, lifetime=args.seconds + args.moves * LONGEST + 1200)
        soaked = soak(site, args)
        summary(soaked)
        soaked.check_memory()
        soaked.check_linux()
        soaked.end()
        soaked.repeat("starts of hello", site.b, args.starts, soaked.start_hello)
        site.a.post("/v1/vms/mover/start")
        soaked.repeat("resets of mover", site.a, args.starts, soaked.reset_mover)
        print(f"soak-moves: {sum(soaked.moves.values())} moves, all right")
    return 0
