# SPDX-License-Identifier: BSD-2-Clause
"""What may fail of two machines, their witness and the links between the three, in which phase of a protection, and who
must run the guest in the end.

    done = fail(pair, FailPoint("in a checkpoint", "primary killed"), limit=2000)

A client outside uses the guest all the time, and compares each byte (failover.Client). In the end one machine runs it,
one of those that docs/failover.md allows; its streams have gone on, and it is protected again. What is not so is an
AssertionError.
"""

import contextlib
import select
import socket
import time
from typing import NamedTuple

from failover import QUIET, RELEASED, Client, Ear

STANDS = 3.3       # times the limit
STILL = 0.004      # s without a frame to the other machine: no checkpoint is on its way
FULL = 1000        # bytes of a frame of pages
BURST = 64 << 10   # so many bytes in such frames, and a checkpoint is on its way
COPIED = 512 << 10  # so many, and the first copy is
SLOW = 4 << 20     # bytes a second of the first copy, so that it lasts
NOBODY = "nobody"
WAITING = ("joining", "taking over", "handing over")  # for the witness


class FailPoint(NamedTuple):
    phase: str
    fault: str

    def __str__(self):
        return f"{self.phase}: {self.fault}"


class Done(NamedTuple):
    who: str       # runs it: primary, secondary or nobody
    outage: float  # s, the longest without an answer to an echo request
    epoch: int     # of the deed in the end


def every_point():
    for phase in PHASES:
        yield from (FailPoint(phase, fault) for fault in FAULTS if phase != "taking over" or fault in AT_TAKEOVER)


class Failure:
    """One point's story."""

    def __init__(self, pair, client, point, limit):
        self.pair, self.client, self.point, self.net = pair, client, point, pair.net
        self.witness = pair.etcd.members[0]
        self.primary, self.secondary = pair.owner()
        self.dead, self.away = [], []  # away: they can't be asked
        # Where nothing is to happen to the guest no silence is wanted: it would wait for the witness.
        self.silence, self.limit = limit, limit
        if "witness" in point.fault and point.phase not in WAITING:
            self.limit = QUIET

    # --- Phases: each returns when the guest is in it ---

    def first_copy(self):
        self.pair.set_limit(self.limit)
        self.primary, self.secondary = self.pair.unprotect()
        self.primary.set(max_bandwidth=SLOW)
        done = self.primary.godwit("protect", "linux", self.secondary.address)
        assert done.returncode == 0, done.stderr
        self.frames(lambda row, _: row >= COPIED, lasting=True)

    def joining(self):
        """The copy is prepared, and the witness, which stands, does not say that it knows."""
        self.first_copy()
        self.witness.stand()
        self.primary.set(max_bandwidth=0)
        self.primary.wait_for("it is prepared", lambda: self.pair.shown(self.secondary)["state"] == "protected")

    def protected(self):
        self.primary, self.secondary = self.pair.protect(limit=self.limit)

    def between(self):
        self.frames(lambda row, quiet: quiet and row >= BURST)

    def amid(self):
        self.frames(lambda row, quiet: not quiet and row >= BURST)

    def taking_over(self):
        """The primary is dead, and the witness, which stands, does not say that the secondary has won."""
        self.protected()
        with self.pair.struck() as (self.primary, self.secondary):
            self.witness.stand()
            self.kill(self.primary)
        self.pair.wait(self.secondary, "suspended")

    def handing_over(self):
        """Planned: the guest stands, and the witness, which stands, does not say that the secondary may go on."""
        self.protected()
        self.witness.stand()
        done = self.primary.godwit("failover", "linux")
        assert done.returncode == 0, done.stderr
        self.pair.wait(self.secondary, "suspended")

    def again(self):
        """The other machine has just died, and the guest is protected anew."""
        self.pair.protect(limit=self.silence)
        with self.pair.struck() as (dead, owner):
            dead.machine.kill()
        self.pair.runs_at(owner)
        self.pair.boot_again(dead)
        self.pair.set_limit(self.limit)
        self.primary, self.secondary = self.pair.protected()

    # --- The moment at which it happens ---

    @contextlib.contextmanager
    def at_once(self):
        """What happens at one moment; if the guest is protected, both machines stand meanwhile."""
        moment = {"between checkpoints": self.between, "in a checkpoint": self.amid, "again": lambda: None}.get(
            self.point.phase)
        if not moment:
            yield
            return

        def known(*roles):
            self.primary, self.secondary = roles
            moment()
        with self.pair.struck(known):
            yield

    def frames(self, there, lasting=False):
        """Look at what the primary says to the secondary, until there(bytes of pages in a row, is it silent now). A row
        ends with silence, if it is not `lasting`."""
        to = bytes.fromhex(f"540000000{self.secondary.name}")  # the end of its MAC
        row, quiet, deadline = 0, False, time.monotonic() + 60
        with contextlib.closing(self.net.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
            sock.bind((self.primary.tap, 3))
            while not there(row, quiet):
                assert time.monotonic() < deadline, f"{row} bytes of pages are sent in a row"
                if not select.select([sock], [], [], STILL)[0]:
                    quiet = True
                    continue
                frame = sock.recv(1 << 17)
                if frame[1:6] == to and len(frame) >= FULL:
                    row = len(frame) + (row if lasting or not quiet else 0)
                    quiet = False

    # --- Faults: what happens, and returns when it has had its effect ---

    def kill(self, host):
        host.machine.kill()
        self.dead.append(host)

    def kill_primary(self):
        if self.primary not in self.dead:
            with self.at_once():
                self.kill(self.primary)

    def kill_secondary(self):
        with self.at_once():
            self.kill(self.secondary)

    def kill_witness(self):
        self.witness.stop()
        self.witness_is_back()
        if self.point.phase not in WAITING:
            self.client.goes_on()

    def part(self):
        with self.at_once():
            self.pair.part()
        self.effect()
        self.pair.part(False)

    def unplug(self, role):
        with self.at_once():
            host = getattr(self, role)
            self.away.append(host)
            host.link("down")
        self.effect()
        host.link("up")
        self.away.remove(host)

    def deafen(self, role):
        """What the witness says does not reach the host."""
        rule = f"from {self.witness.address} to {getattr(self, role).address} blackhole"
        self.net.ip(f"rule add {rule}")
        if self.point.phase in WAITING:
            self.witness_is_back()
            self.witness.get("any")  # it answers again
        else:
            self.client.goes_on()
        self.net.ip(f"rule delete {rule}")

    def stand(self, role):
        """None of the guest's frames appear out of it if it has lost meanwhile, neither then nor when it goes on; but
        those that it had let go before, and that its emulated card had not sent yet."""
        mac = self.pair.mac()  # it may be the last machine that can be asked
        with self.at_once():
            host = getattr(self, role)
            self.away.append(host)
            self.pair.stand(host)
        with contextlib.closing(Ear(self.net, host.tap, mac)) as ear:
            self.effect()
            assert ear.heard(STANDS * self.limit / 1000) == 0
            self.pair.go_on(host)
            self.away.remove(host)
            if self.expected() == {"secondary"} and host is self.primary:
                self.pair.wait(self.secondary, "protected")
                assert ear.heard() <= RELEASED

    def witness_is_back(self):
        """If it stands since the phase, or has died."""
        if not self.witness.context:
            self.witness.start(self.pair.etcd.cluster)
        self.witness.go_on()

    def effect(self):
        """The machines that can be asked have noticed it, or have decided. A primary that has may try again already."""
        attempt = None if self.primary in self.dead + self.away else self.pair.move(self.primary).get("epoch")

        def noticed():
            shown = {host: self.pair.shown(host)["state"] for host in self.pair.site.hosts
                     if host not in self.dead + self.away}
            if self.primary not in shown:
                return self.running() is self.secondary or "linux" not in self.secondary.guests()
            return self.running() is self.secondary or shown[self.primary] in ("degraded", "suspended") or (
                self.pair.move(self.primary).get("epoch") != attempt)
        if self.point.phase not in WAITING:
            self.look("it has been noticed", noticed)

    # --- The end ---

    def running(self):
        """Who runs it, of those that can be asked. Never two: one that is suspended holds what its copy sends."""
        there = [host for host in self.pair.site.hosts if host not in self.dead + self.away
                 and host.guests().get("linux") in ("running", "paused")
                 and self.pair.shown(host)["state"] != "suspended"]
        assert len(there) < 2, "two copies speak"
        return there[0] if there else None

    def look(self, what, condition):
        """Wait for it, and never two run."""
        host = next(host for host in self.pair.site.hosts if host not in self.dead + self.away)
        return host.wait_for(what, lambda: (self.running(), condition())[1])

    def expected(self):
        """Who may run it in the end."""
        phase, fault = self.point
        loses = fault in ("primary killed", "primary's cable out and in", "primary stands")
        if phase == "first copy":
            return {NOBODY} if fault == "primary killed" else {"primary"}
        if phase == "joining":  # the witness may have been told, or not
            return {"secondary", NOBODY} if fault == "primary killed" else {"primary", "secondary"}
        if phase == "handing over":
            return {"primary killed": {"secondary"}, "secondary killed": {"primary", NOBODY}}.get(
                fault, {"primary", "secondary"})
        return {"secondary"} if loses or phase == "taking over" else {"primary"}

    def who(self):
        """Where it runs; or NOBODY, when the secondary has freed its copy or leaves it to an operator, or has died when
        it had won."""
        names = {self.primary: "primary", self.secondary: "secondary"}

        def known():
            host = self.running()
            if host or NOBODY not in self.expected():
                return names.get(host)
            if self.secondary in self.dead:
                return NOBODY if self.primary.guests().get("linux") == "superseded" else None
            copy = self.secondary.guests().get("linux")
            return NOBODY if copy is None or copy == "prepared" and self.given_up() else None
        return self.look("it is known who runs it", known)

    def given_up(self):
        """The secondary knows by the deed that it may not go on by itself."""
        return self.pair.shown(self.secondary)["state"] != "protected" and "secondary none" in self.pair.text()

    def tell(self):
        self.client.goes_on()  # else the outage could begin before anything is under way
        PHASES[self.point.phase](self)
        FAULTS[self.point.fault](self)
        self.witness_is_back()
        who = self.who()
        assert who in self.expected(), f"{who} runs it, expected {' or '.join(sorted(self.expected()))}"
        if who == NOBODY:
            self.client.give_up()
            return Done(who, 0, 0)
        runs = self.primary if who == "primary" else self.secondary
        self.client.goes_on()
        self.pair.set_limit(QUIET)
        if self.dead:
            self.pair.boot_again(*self.dead)
            self.dead.clear()
        runs.set(max_bandwidth=0)
        self.pair.wait(runs, "protected")
        self.client.goes_on()
        assert self.running() is runs
        named = (runs.address, self.pair.other(runs).address)
        self.look("the witness says so, too", lambda: self.pair.deed()[:2] == named)
        return Done(who, self.client.ping.blackout(), self.pair.deed()[2])


PHASES = {
    "first copy": Failure.first_copy,
    "joining": Failure.joining,
    "between checkpoints": Failure.protected,
    "in a checkpoint": Failure.protected,
    "taking over": Failure.taking_over,
    "handing over": Failure.handing_over,
    "again": Failure.again,
}
FAULTS = {
    "primary killed": Failure.kill_primary,
    "secondary killed": Failure.kill_secondary,
    "witness killed": Failure.kill_witness,
    "link between cut and healed": Failure.part,
    "primary's cable out and in": lambda self: self.unplug("primary"),
    "secondary's cable out and in": lambda self: self.unplug("secondary"),
    "primary does not hear the witness": lambda self: self.deafen("primary"),
    "secondary does not hear the witness": lambda self: self.deafen("secondary"),
    "primary stands": lambda self: self.stand("primary"),
    "secondary stands": lambda self: self.stand("secondary"),
}
# There the primary is dead already, and who else dies ends the guest.
AT_TAKEOVER = ("primary killed", "witness killed", "secondary's cable out and in",
               "secondary does not hear the witness", "secondary stands")


def fail(pair, point, limit):
    """limit: heartbeat-limit, in ms. Returns Done; raises AssertionError where an outcome is wrong. After NOBODY the
    pair is of no use any more."""
    with Client(pair.net) as client:
        return Failure(pair, client, point, limit).tell()
