# SPDX-License-Identifier: BSD-2-Clause
"""What may go wrong at a record of a move, before it arrives or behind it, and who must run the guest in the end.

    done = strike(site, Point(SOURCE, "COMMIT", 1, BEFORE, "cut and healed"))
    assert done.who == "destination"

The guest is `mover`: it finds out by itself whether its memory, registers and clock are right. strike() asks both
machines all the time, from outside, that never both run it; in the end it runs where the documents say, neither machine
has anything left over, the guest finds nothing wrong with itself, and moves once more with all of memory and state
compared. What is not so is an AssertionError.
"""

import time
from typing import NamedTuple

from machine import vm
from migration import SLACK, free_memory, move, says
from relay import DEST, SOURCE, Relay

MOVER = vm("mover", "mover.elf", memory="8M")
MEM = 192  # MiB of each machine
SETTINGS = {"downtime_limit": 1}  # there is a second round
BEFORE, BEHIND = "before", "behind"
NOBODY = "nobody"
CLOCK_SLACK_MS = 1500

# Each message of a move by who says it, with the numbers of those that are looked at: of PAGES those of round 0, of a
# later one and of the stopped guest, of STATE the first, one in the middle and the last but one.
MESSAGES = [(SOURCE, "header", 1), (DEST, "header", 1), (SOURCE, "RESERVE", 1), (DEST, "ACCEPTED", 1),
            (SOURCE, "PAGES", 1), (SOURCE, "PAGES", 4), (SOURCE, "ZERO", 1), (SOURCE, "ROUND", 1),
            (DEST, "KEEPALIVE", 1), (DEST, "ROUND_DONE", 1), (SOURCE, "PAGES", 5), (SOURCE, "ROUND", 2),
            (DEST, "ROUND_DONE", 2), (SOURCE, "PAGES", 6), (SOURCE, "STATE", 1), (SOURCE, "STATE", 6),
            (SOURCE, "STATE", 12), (SOURCE, "KEEPALIVE", 1), (SOURCE, "PREPARE", 1), (DEST, "PREPARED", 1),
            (SOURCE, "COMMIT", 1), (DEST, "RUNNING", 1), (SOURCE, "END", 1)]


class Point(NamedTuple):
    who: str
    record: str
    nth: int
    side: str
    fault: str

    def __str__(self):
        return f"{self.side} {self.who}'s {self.record} {self.nth}: {self.fault}"


class Done(NamedTuple):
    who: str    # runs it: source, destination or nobody
    why: str    # what the source said in the end
    guest: str  # what the guest said of itself
    again: str  # the second move


def every_point():
    """A fault that strikes a machine or the link comes before and behind each message, one of the record once."""
    for who, record, nth in MESSAGES:
        for fault in STRUCK:
            yield from (Point(who, record, nth, side, fault) for side in (BEFORE, BEHIND))
        for fault in CHANGED:
            yield Point(who, record, nth, BEFORE, fault)


class Strike:
    """One point's story."""

    def __init__(self, site, point):
        self.site, self.point = site, point
        self.source, self.dest = site.ends("mover")
        self.relay = Relay(site.net, self.dest.address)
        self.dead = None
        self.epoch = None

    # --- What is done at the point ---

    def kill(self, host):
        host.machine.kill()
        self.dead = host
        return self.relay.hold()

    def kill_source(self):
        return self.kill(self.source)

    def kill_dest(self):
        return self.kill(self.dest)

    def cut(self):
        return self.relay.cut()

    def hold(self):
        return self.relay.hold()

    def flip(self, at):
        data = bytearray(self.relay.record)
        data[at] ^= 0x10
        return bytes(data)

    def flip_head(self):
        return self.flip(8)  # of its CRC; of the versions in a header

    def flip_end(self):
        return self.flip(-1)

    def double(self):
        return self.relay.record * 2

    # --- What is seen meanwhile ---

    def running(self):
        """Who runs it. The destination is asked first, so that a guest that just left is not seen twice."""
        there = [host for host in (self.dest, self.source) if host is not self.dead
                 and host.guests().get("mover") in ("running", "paused")]
        assert len(there) < 2, "two copies run"
        return there[0] if there else None

    def wait(self, what, condition, seconds=180):
        """As Host.wait_for, and never two run."""
        def looked():
            self.running()
            return condition()
        host = self.source if self.source is not self.dead else self.dest
        return host.wait_for(what, looked, seconds)

    def settled(self):
        """What the source says of the move when it is over, or in doubt."""
        def over():
            answer = self.source.query("mover")
            return answer["status"] in ("completed", "failed", "cancelled", "in-doubt") and answer
        return self.wait("the source has given up, or is in doubt", over)

    def said(self, record):
        return record in self.relay.said[SOURCE]

    def passed(self, who, record):
        return record in self.relay.passed[who]

    # --- How it goes on ---

    def after_source_died(self):
        """The destination runs it if it was told to; a whole copy is kept, and its operator adopts it; else it goes."""
        told = self.passed(SOURCE, "COMMIT")

        def known():
            return self.running() is self.dest if told else self.dest.guests().get("mover") in (None, "prepared")
        self.wait("the destination runs it" if told else "the destination frees it, or keeps it", known)
        if told or not self.dest.guests():
            return "the source died"
        self.dest.post("/v1/vms/mover/resolve", action="adopt", epoch=self.epoch)
        self.wait("it runs", lambda: self.running() is self.dest)
        return "the source died, adopted"

    def after_dest_died(self):
        """The source has it back, by an operator's word if it was in doubt; or the guest was there, and died."""
        answer = self.settled()
        if answer["status"] == "in-doubt":
            assert self.said("COMMIT") and not self.passed(DEST, "RUNNING")
            self.resolve("force-resume")
            return "in doubt, resumed by force"
        assert answer["status"] == ("completed" if self.passed(DEST, "RUNNING") else "failed"), answer
        assert answer["status"] == "completed" or not self.said("COMMIT")
        return answer["reason"] or answer["status"]

    def resolve(self, action):
        self.source.post("/v1/vms/mover/resolve", action=action, epoch=self.epoch)
        self.wait("it is resolved", lambda: self.source.guests().get("mover") != "in-doubt")

    def after_cut(self):
        """For good: the doubt is the operator's, who looks at the other machine first."""
        answer = self.settled()
        if answer["status"] != "in-doubt":
            return self.ended(answer)
        there = self.running() is self.dest
        self.resolve("force-give-up" if there else "force-resume")
        return "in doubt, given up by force" if there else "in doubt, resumed by force"

    def after_heal(self):
        answer = self.settled()
        self.relay.reopen()
        return self.ended(self.out_of_doubt() if answer["status"] == "in-doubt" else answer)

    def after_delay(self):
        """Both have given up, as far as they do; then the record arrives, and the link is whole."""
        answer = self.settled()
        if answer["status"] == "in-doubt":
            self.wait("the destination runs it, or waits for COMMIT",
                      lambda: self.dest.guests().get("mover") in ("running", "prepared"))
        else:
            self.wait("the destination gives up", lambda: self.dest.guests().get("mover") in (None, "running"))
        if self.point.side == BEFORE:
            self.relay.deliver_late()
        return self.after_heal()

    def after_change(self):
        answer = self.settled()
        return self.ended(self.out_of_doubt() if answer["status"] == "in-doubt" else answer)

    def out_of_doubt(self):
        def over():
            answer = self.source.query("mover")
            return answer["status"] != "in-doubt" and answer
        return self.wait("the doubt is over", over)

    def ended(self, answer):
        """A failed move leaves the guest at the source, a completed one at the destination; and before COMMIT was said
        it can only have failed, unless what was damaged was not needed."""
        at = self.dest if answer["status"] == "completed" else self.source
        self.wait("it runs", lambda: self.running() is at)
        if not self.said("COMMIT"):
            assert answer["status"] == "failed", answer
        return answer["reason"] or answer["status"]

    # --- The end ---

    def revive(self, who):
        """The dead machine boots again: with a new guest if there is none, with what it needs to take it otherwise."""
        if self.dead is None:
            return self.source if who is self.source else self.dest
        host, self.dead = self.dead, None
        boot(host, "" if who else MOVER)
        return who or host

    def nothing_left(self, host, free):
        """No copy and no memory; but one that was prepared may wait to be asked for: the next move replaces it."""
        def prepared():
            return host.guests().get("mover") == "prepared"
        self.wait("nothing is left over", lambda: "mover" not in host.guests() or prepared())
        if not prepared():
            self.wait("its memory is free", lambda: free_memory(host) >= free - SLACK)

    def check_guest(self, host, before, since):
        """It goes on behind where it was, in its own time, and finds nothing wrong. What it says."""
        number, ms, text = beat(host)
        if before:
            passed = (time.monotonic() - since) * 1000
            assert number > before[0], (number, before)
            assert 0 < ms - before[1] < passed + CLOCK_SLACK_MS, (ms, before, passed)
        return text

    def happen(self):
        """A move begins, and what goes wrong in it has gone wrong."""
        action = {**STRUCK, **CHANGED}[self.point.fault][0]
        self.relay.stop_at(self.point.who, self.point.record, lambda: action(self), self.point.nth,
                           self.point.side == BEHIND)
        self.epoch = self.source.begin("mover", self.relay, "verify")["epoch"]
        self.relay.reached()

    def tell(self):
        """The whole story; returns Done."""
        go_on = {**STRUCK, **CHANGED}[self.point.fault][1]
        since, before, free = time.monotonic(), beat(self.source), free_memory(self.dest)
        self.happen()
        why = go_on(self)
        where = self.running()
        survives = where is not None
        assert survives or self.dead, "nobody runs it"
        self.relay.close()
        host = self.revive(where)
        who = NOBODY if not survives else "source" if where is self.source else "destination"
        other = self.dest if host is self.source else self.source
        self.nothing_left(other, free if other is self.dest and survives else 0)
        guest = self.check_guest(host, before if survives else None, since)
        move(host, other, "mover", "verify")
        beat(other)
        return Done(who, why, guest, "moved" if survives else "a new guest moved")


# What strikes a machine or the link: what is done, and how it goes on.
STRUCK = {
    "source killed": (Strike.kill_source, Strike.after_source_died),
    "destination killed": (Strike.kill_dest, Strike.after_dest_died),
    "cut for good": (Strike.cut, Strike.after_cut),
    "cut and healed": (Strike.cut, Strike.after_heal),
    "delayed": (Strike.hold, Strike.after_delay),
}
# What changes the record.
CHANGED = {
    "a byte changed in its head": (Strike.flip_head, Strike.after_change),
    "a byte changed at its end": (Strike.flip_end, Strike.after_change),
    "said twice": (Strike.double, Strike.after_change),
}


def beat(host):
    """(number, ms, what it found) of the guest's next beat; it must have found nothing wrong."""
    host.printed("mover")
    found = says(host, "mover", r"beat (\d+) at (\d+) ms, \d+ writes, (.*)\n")
    assert found.group(3) == "0 wrong, 0 backwards, 0 strayed", found.group(0)
    return int(found.group(1)), int(found.group(2)), found.group(3)


def boot(host, guests=""):
    host.boot(guests, mem=MEM, images="mover.elf")
    host.ready()
    host.set(**SETTINGS)


def strike(site, point):
    """Returns Done; raises AssertionError where an outcome is wrong."""
    return Strike(site, point).tell()
