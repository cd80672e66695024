# SPDX-License-Identifier: BSD-2-Clause
"""Moves that fail: whatever dies, and whenever, the guest lives exactly once, where docs/migration-stream.md says."""

import time

import pytest
from machine import TIMEOUT, vm
from migration import LINUX, SLACK, Asker, Ping, Site, alive, beats, free_memory, move, only_at, says
from points import BEFORE, Point, strike
from relay import DEST, FORWARD, SOURCE, Relay

MOVER = vm("mover", "mover.elf", memory="8M")
SLOW = 100000  # bytes/s: a move of what MOVER writes takes some 10 s
QUICK = 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """mover on one of two hypervisors; every test leaves both of them well."""
    with Site(tmp_path_factory.mktemp("pair")) as site:
        site.boot(MOVER, mem=256, images="mover.elf")  # either can start it anew
        move(site.a, site.b, "mover")  # their heaps have grown to what a move takes
        move(site.b, site.a, "mover")
        yield site


@pytest.fixture
def relayed(pair):
    """(source, destination, a relay between them), with settings as they are at boot."""
    source, dest = pair.ends("mover")
    relay = Relay(pair.net, dest.address)
    yield source, dest, relay
    relay.reopen()
    source.wait_for("no doubt is left", lambda: len(pair.where("mover")) == 1)
    relay.close()
    for host in (pair.a, pair.b):
        host.set(max_bandwidth=QUICK)


# --- The connection breaks, or falls silent -------------------------------------------------------------------------

# Of the points that `make proof` goes through: what the source says in the end, and where the guest runs then.
BROKEN, COMPLETED = ("the connection broke", "source"), ("completed", "destination")
POINTS = [(SOURCE, "RESERVE", "cut and healed", BROKEN), (DEST, "ACCEPTED", "cut and healed", BROKEN),
          (SOURCE, "PAGES", "cut and healed", BROKEN), (DEST, "ROUND_DONE", "cut and healed", BROKEN),
          (SOURCE, "STATE", "cut and healed", BROKEN), (SOURCE, "PREPARE", "cut and healed", BROKEN),
          (DEST, "PREPARED", "cut and healed", BROKEN), (DEST, "RUNNING", "cut for good",
                                                         ("in doubt, given up by force", "destination")),
          (SOURCE, "STATE", "said twice", ("the stream breaks its rules", "source")),
          (SOURCE, "COMMIT", "said twice", COMPLETED), (DEST, "RUNNING", "a byte changed at its end", COMPLETED)]


@pytest.mark.parametrize("who, record, fault, end", POINTS, ids=[f"{record}-{fault}" for _, record, fault, _ in POINTS])
def test_point(pair, who, record, fault, end):
    """The guest runs where it must, whole and in time, nothing is left over, and the next move succeeds."""
    done = strike(pair, Point(who, record, 1, BEFORE, fault))
    assert (done.why, done.who) == end


@pytest.mark.parametrize("who, record", [(SOURCE, "PAGES"), (DEST, "PREPARED")], ids=["PAGES", "PREPARED"])
def test_silence_before_commit(pair, relayed, who, record):
    """A peer that says nothing, on a connection that does not end, is dead after 5 s."""
    source, dest, relay = relayed
    at = []

    def hold():
        at.append(source.query("mover")["total-time"])
        return relay.hold()
    relay.stop_at(who, record, hold)
    source.begin("mover", relay)
    relay.reached()
    failed = source.wait_status("mover", "failed")
    # By the source's clock, since it was heard last: a second before the silence at most, when nobody is late.
    assert 1000 < failed["total-time"] - at[0] < 20000
    assert failed["error"] == "timeout" and failed["reason"] == "the destination is silent"
    only_at(pair, source)
    relay.reopen()
    move(source, dest, "mover", to=relay)


def in_doubt(source, relay, who, record, action, name="mover"):
    """Begin a move that gets there, and break it at that record. Returns the epoch that is in doubt."""
    relay.stop_at(who, record, action)
    epoch = source.begin(name, relay, "verify")["epoch"]
    relay.reached()
    doubt = source.wait_status(name, "in-doubt")
    assert doubt["epoch"] == epoch
    source.wait_for("it is in doubt", lambda: source.guests()[name] == "in-doubt")
    return epoch


def test_commit_lost(pair, relayed):
    """Nobody runs it until the source can say COMMIT again; it can neither be cancelled nor moved meanwhile."""
    source, dest, relay = relayed
    epoch = in_doubt(source, relay, SOURCE, "COMMIT", relay.cut)
    assert pair.where("mover") == []
    assert dest.guests()["mover"] == "prepared" and dest.query("mover")["handoff"] == "prepared"
    assert source.refused("/v1/vms/mover/migrate_cancel") == (
        409, "mover: too late to cancel, the destination was told to run it; see resolve")
    status, words = source.refused("/v1/vms/mover/migrate", dest=dest.address)
    assert status == 409 and "it is in-doubt" in words
    assert source.refused("/v1/vms/mover/resume")[0] == 409
    assert source.post("/v1/vms/mover/resolve", action="query")["epoch"] == epoch
    relay.reopen()
    source.wait_status("mover", "completed")
    only_at(pair, dest)


def test_commit_lost_then_abort(pair, relayed):
    """The destination still can give it back, once and for good, and does when asked."""
    source, dest, relay = relayed
    in_doubt(source, relay, SOURCE, "COMMIT", relay.cut)
    number = dest.query("mover")["epoch"]
    done = source.godwit("resolve", "mover", "abort")
    assert done.returncode == 0, done.stderr
    assert source.guests()["mover"] == "in-doubt"  # only its answer counts
    relay.reopen()
    source.wait_status("mover", "cancelled")
    only_at(pair, source)
    assert dest.query("mover")["handoff"] == "aborted"
    assert move(source, dest, "mover", "verify")["epoch"] == number + 1
    only_at(pair, dest)


def test_running_lost(pair, relayed):
    """It runs at the destination only, whatever the source is told to wish."""
    source, dest, relay = relayed
    in_doubt(source, relay, DEST, "RUNNING", relay.cut)
    only_at(pair, dest)
    source.post("/v1/vms/mover/resolve", action="abort")
    relay.reopen()
    source.wait_status("mover", "completed")
    only_at(pair, dest)
    assert "mover" not in source.guests()


def test_silence_after_commit(pair, relayed):
    source, dest, relay = relayed
    in_doubt(source, relay, SOURCE, "COMMIT", relay.hold)
    assert pair.where("mover") == []
    relay.reopen()
    source.wait_status("mover", "completed")
    only_at(pair, dest)


def test_godwit_in_doubt(pair, relayed):
    """The tool says what that means, by exit status 6."""
    source, dest, relay = relayed
    relay.stop_at(SOURCE, "COMMIT", relay.cut)
    done = source.godwit("migrate", "mover", relay.address)
    assert done.returncode == 6
    assert "in doubt under epoch" in done.stderr and "godwit resolve mover query" in done.stderr
    relay.reopen()
    source.wait_status("mover", "completed")
    only_at(pair, dest)


# --- Cancelled --------------------------------------------------------------------------------------------------------

def test_cancel(pair, relayed):
    """In pre-copy, by the operator of either end, then a move that succeeds."""
    source, dest, _ = relayed
    source.set(max_bandwidth=SLOW)
    for end in (source, dest):
        source.begin("mover", dest, "verify")
        source.wait_for("pre-copy", lambda: (now := source.query("mover"))["status"] == "active"
                        and now["ram"]["transferred"] > 0)
        assert dest.get("/v1/memory")["incoming_kib"] > 0
        assert end.godwit("migrate_cancel", "mover").returncode == 0
        cancelled = source.wait_status("mover", "cancelled")
        assert cancelled["error"] == "cancel"
        there = dest.wait_for("it knows", lambda: (now := dest.query("mover"))["status"] == "cancelled" and now)
        assert there["error"] == "cancel" and there["reason"] and there["peer"].startswith(source.address + ":")
        only_at(pair, source)
        assert (cancelled["reason"] == "cancelled at the destination") == (end is dest)
        dest.wait_for("the copy is freed", lambda: "mover" not in dest.guests())
        assert dest.get("/v1/memory")["incoming_kib"] == 0
    assert source.refused("/v1/vms/mover/migrate_cancel") == (409, "mover: no move is under way")
    source.set(max_bandwidth=QUICK)
    move(source, dest, "mover", "verify")
    only_at(pair, dest)


@pytest.mark.parametrize("who, record, stands", [(SOURCE, "RESERVE", False), (SOURCE, "STATE", True),
                                                 (DEST, "PREPARED", True)], ids=["setup", "state", "prepared"])
def test_cancel_in_a_stage(pair, relayed, who, record, stands):
    """While the message that ends the stage is under way. What is commanded before is done, or refused on both sides:
    a pause or a reset of a guest that stands would be lost, and what is typed at the copy that comes, too."""
    source, dest, relay = relayed

    def cancel():
        if stands:
            for command in ("pause", "resume", "reset", "poweroff"):
                status, words = source.refused(f"/v1/vms/mover/{command}")
                assert status == 409 and f"cannot {command}, it is outgoing, expected " in words
            assert dest.refused("/v1/vms/mover/console", body=b"x") == (
                409, "mover: cannot type, it is incoming, expected running, paused, suspended or outgoing")
        else:
            source.post("/v1/vms/mover/pause")
            source.post("/v1/vms/mover/resume")
        source.post("/v1/vms/mover/migrate_cancel")
        return True
    relay.stop_at(who, record, cancel)
    source.begin("mover", relay)
    relay.reached()
    source.wait_status("mover", "cancelled")
    only_at(pair, source)
    dest.wait_for("the copy is freed", lambda: "mover" not in dest.guests())
    move(source, dest, "mover")


# --- Commanded ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("who, record, stands", [
    (SOURCE, "RESERVE", False), (SOURCE, "ROUND", False), (DEST, "ROUND_DONE", False), (SOURCE, "STATE", True),
    (DEST, "PREPARED", True), (SOURCE, "COMMIT", True), (DEST, "RUNNING", True)])
def test_command_in_a_stage(pair, relayed, who, record, stands):
    """A pause and a reset, then a resume and a reset of a paused guest, while that message of a move is under way which
    succeeds: they are done, and the guest arrives so, or they are refused, and the guest arrives as it was. The
    destination does what it is told as soon as the guest is there, and nothing before."""
    source, dest, relay = relayed
    there = 202 if (who, record) == (DEST, "RUNNING") else 404 if record == "RESERVE" else 409
    for command, before, after in (("pause", "running", "paused"), ("resume", "paused", "running")):
        resets = source.get("/v1/vms/mover")["resets"]
        answers = []

        def act():
            commands = [(source, command), (source, "reset"), (dest, "reset")]
            commands += [(source, word) for word in ("poweroff", "start", "forget") if stands]
            answers.extend(host.ask("POST", f"/v1/vms/mover/{word}")[0] for host, word in commands)
            return True
        relay.stop_at(who, record, act)
        source.begin("mover", relay)
        relay.reached()
        source.wait_status("mover", "completed")
        assert answers == ([409, 409, there, 409, 409, 409] if stands else [200, 202, there])
        done = 1 if not stands or there == 202 else 0
        dest.wait_for("what was accepted is done", lambda: dest.get("/v1/vms/mover")["resets"] == resets + done)
        arrived = dest.guests()["mover"]
        assert arrived == (before if stands else after)
        if arrived == before:
            dest.post(f"/v1/vms/mover/{command}")
        move(dest, source, "mover")
    only_at(pair, source)


@pytest.mark.parametrize("who, record", [(SOURCE, "RESERVE"), (SOURCE, "ROUND"), (DEST, "ROUND_DONE")])
def test_poweroff_in_a_stage(pair, relayed, who, record):
    """As long as it runs it can be ended; the move ends with it, nothing is left there, and it can be started again."""
    source, dest, relay = relayed
    answers = []

    def act():
        answers.extend(source.ask("POST", f"/v1/vms/mover/{word}")[0] for word in ("poweroff", "reset", "resume"))
        return True
    relay.stop_at(who, record, act)
    source.begin("mover", relay)
    relay.reached()
    source.wait_status("mover", "cancelled")
    assert answers == [200, 409, 409]
    assert source.guests()["mover"] == "off"
    dest.wait_for("the copy is freed", lambda: "mover" not in dest.guests())
    source.wait_for("its move has ended", lambda: source.ask("POST", "/v1/vms/mover/start")[0] == 200)
    only_at(pair, source)
    move(source, dest, "mover")


# --- What else may happen to it meanwhile -------------------------------------------------------------------------

def test_paused_guest_moves_and_stays_paused(pair):
    source, dest = pair.ends("mover")
    source.post("/v1/vms/mover/pause")
    move(source, dest, "mover", "verify")
    assert dest.guests()["mover"] == "paused"
    dest.post("/v1/vms/mover/resume")
    only_at(pair, dest)


def begin_slowly(source, dest):
    source.set(max_bandwidth=SLOW)
    source.begin("mover", dest)
    source.wait_for("pre-copy", lambda: source.query("mover")["status"] == "active")


def test_pause_during_a_move(pair, relayed):
    source, dest, _ = relayed
    begin_slowly(source, dest)
    source.post("/v1/vms/mover/pause")
    source.set(max_bandwidth=QUICK)
    source.wait_status("mover", "completed")
    assert dest.guests()["mover"] == "paused"
    dest.post("/v1/vms/mover/resume")
    only_at(pair, dest)


def test_dirty_rate_in_setup(pair, relayed):
    """The log has one user, also before the move needs it: a measurement that ended in its middle lost writes."""
    source, dest, relay = relayed
    asked = []

    def ask():
        asked.append(source.refused("/v1/vms/mover/calc-dirty-rate"))
        return True
    relay.stop_at(DEST, "ACCEPTED", ask)
    source.begin("mover", relay, "verify")
    relay.reached()
    source.wait_status("mover", "completed")
    assert asked == [(409, "mover: cannot measure, its dirty log is in use, by a move or a measurement")]
    only_at(pair, dest)


def test_two_moves_at_once(pair, relayed):
    source, dest, _ = relayed
    begin_slowly(source, dest)
    assert source.refused("/v1/vms/mover/migrate", dest=dest.address) == (
        409, "mover: cannot move, a move is under way or in doubt, or it is protected: "
        "see query-migrate, query-protect")
    source.post("/v1/vms/mover/migrate_cancel")
    source.wait_status("mover", "cancelled")
    only_at(pair, source)


# --- A machine dies -----------------------------------------------------------------------------------------------

@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        yield site


def test_reset_and_poweroff_during_a_move(site):
    """What the loader writes is written memory like any other; and what is off needs no move."""
    site.boot(MOVER + vm("echo", "echo.elf", memory="8M"), mem=256)
    site.a.wait_for("some beats", lambda: beats(site.a) > 20)
    begin_slowly(site.a, site.b)
    site.a.post("/v1/vms/mover/reset")
    site.a.machine.wait("mover: reset", TIMEOUT["qemu"])
    site.a.wait_for("it is moving still", lambda: site.a.query("mover")["status"] == "active")
    site.a.set(max_bandwidth=QUICK)
    site.a.wait_status("mover", "completed")
    only_at(site, site.b)
    assert site.b.refused("/v1/vms/mover/reset")[0] == 409  # b has not what it starts from
    only_at(site, site.b)
    begin_slowly(site.b, site.a)
    site.b.post("/v1/vms/mover/poweroff")
    site.b.wait_status("mover", "cancelled")
    site.a.wait_for("the copy is freed", lambda: "mover" not in site.a.guests())
    assert site.b.guests()["mover"] == "off"


@pytest.fixture(scope="module")
def linux(tmp_path_factory):
    """Linux on one of two hypervisors; every test leaves both of them well."""
    with Site(tmp_path_factory.mktemp("linux")) as site:
        site.boot(LINUX)
        yield site


def port_of(host):
    """What the switch there has counted for the guest."""
    return next(port for port in host.get("/v1/net")["ports"] if port["port"] == "linux")


@pytest.mark.parametrize("record, goes_on", [("PREPARE", False), ("PREPARE", True), ("COMMIT", True)],
                         ids=["aborted", "before PREPARE", "before COMMIT"])
def test_frames_sent_into_the_pause_arrive(linux, record, goes_on):
    """Wherever the guest then is, it has each of them, and has it once."""
    source, dest = linux.ends("linux")
    assert alive(linux.net)
    asker, relay = Asker(linux.net), Relay(linux.net, dest.address)
    before = port_of(source)["held"]

    def ask():
        for _ in range(3):
            asker.ask()
        asker.ask_all()
        source.wait_for("they are kept", lambda: port_of(source)["held"] >= before + 4)
        return FORWARD if goes_on else relay.cut()
    relay.stop_at(SOURCE, record, ask)
    source.begin("linux", relay, "stop-copy")
    relay.reached()
    done = source.wait_status("linux", "completed" if goes_on else "failed")
    assert asker.hear(4) == ["1", "2", "3", "arp"]
    asker.close()
    relay.close()
    assert linux.where("linux") == [dest if goes_on else source]
    if goes_on:
        # Answers may come, and the move be over, while frames are still sent on.
        source.wait_for("all were sent on", lambda: source.query("linux")["frames-forwarded"] >= 4)
        dest.wait_for("all have come", lambda: dest.query("linux")["frames-forwarded"] >= 4)
        dest.wait_for("the guest had none of them", lambda: port_of(dest)["late"] >= 3)
        if record == "COMMIT":  # before PREPARE the destination keeps nothing
            dest.wait_for("it had the broadcast", lambda: port_of(dest)["late_twice"] >= 1)
    else:
        assert done["frames-forwarded"] == 0


def linux_in_precopy(site):
    """(source, destination) of a move that has begun, and will last some time."""
    source, dest = site.ends("linux")
    source.set(max_bandwidth=2000000)
    source.begin("linux", dest)
    source.wait_for("pre-copy", lambda: source.query("linux")["ram"]["transferred"] > 1000000)
    return source, dest


def test_destination_dies_in_precopy(linux):
    """Seen from outside: Linux answers all the while, and moves when there is a destination again."""
    ping = Ping(linux.net)
    ping.start()
    source, dest = linux_in_precopy(linux)
    dest.machine.kill()
    killed = time.monotonic()
    assert source.wait_status("linux", "failed")["reason"] == "the destination is silent"
    assert ping.answers_after(killed) > 10  # a guest that waits for the end of the silence gives none
    source.set(max_bandwidth=QUICK)
    assert alive(linux.net)
    ping.stop()
    assert not ping.doubles
    anew(dest)
    move(source, dest, "linux", "verify")
    assert alive(linux.net)


def test_link_dies_in_precopy(linux):
    """The cable of the destination: the guest goes on, the copy is freed, and with the cable a move succeeds."""
    source, dest = linux_in_precopy(linux)
    dest.link("down")
    assert source.wait_status("linux", "failed")["reason"] == "the destination is silent"
    assert alive(linux.net)
    source.set(max_bandwidth=QUICK)
    dest.link("up")
    dest.wait_for("the copy is freed", lambda: not dest.guests())
    move(source, dest, "linux", "verify")
    assert alive(linux.net)


def test_link_dies_at_commit(linux):
    """In doubt while the cable is out; when it is back the guest runs at the destination, and its network knows."""
    source, dest = linux.ends("linux")
    relay = Relay(linux.net, dest.address)

    def pull():
        dest.link("down")
        return True
    relay.stop_at(SOURCE, "COMMIT", pull)
    source.begin("linux", relay)
    relay.reached()
    source.wait_status("linux", "in-doubt")
    assert source.guests()["linux"] == "in-doubt"
    assert not alive(linux.net, count=1, patience=3)
    dest.link("up")
    source.wait_status("linux", "completed")
    assert linux.where("linux") == [dest]
    assert alive(linux.net)
    relay.close()


def anew(host):
    """The machine that was killed boots again, without a guest."""
    host.boot()
    host.ready()


def test_resumed_by_force_it_answers(linux):
    """The destination died with COMMIT: an operator who knows that gives the guest back to its clients."""
    source, dest = linux.ends("linux")
    relay = Relay(linux.net, dest.address)

    def kill():
        dest.machine.kill()
        return relay.cut()
    epoch = in_doubt(source, relay, SOURCE, "COMMIT", kill, "linux")
    assert not alive(linux.net, count=1, patience=3)
    source.post("/v1/vms/linux/resolve", action="force-resume", epoch=epoch)
    source.wait_for("it runs", lambda: source.guests()["linux"] == "running")
    assert alive(linux.net)
    relay.close()
    anew(dest)


def test_adopted_it_answers(linux):
    """The source died before it said COMMIT: the network finds the guest at the machine whose operator adopts it."""
    source, dest = linux.ends("linux")
    relay = Relay(linux.net, dest.address)

    def kill():
        source.machine.kill()
        return relay.cut()
    relay.stop_at(SOURCE, "COMMIT", kill)
    epoch = source.begin("linux", relay)["epoch"]
    relay.reached()
    dest.wait_for("it is known to be stranded", lambda: dest.guests() == {"linux": "prepared"})
    assert not alive(linux.net, count=1, patience=3)
    dest.post("/v1/vms/linux/resolve", action="adopt", epoch=epoch)
    dest.wait_for("it runs", lambda: dest.guests()["linux"] == "running")
    assert alive(linux.net)
    relay.close()
    anew(source)


def test_source_dies_in_precopy(linux):
    """Its guest dies with it, so that this is the last of these tests: the destination has no whole copy, and frees
    what it has."""
    _, dest = linux.ends("linux")
    free = free_memory(dest)
    source, _ = linux_in_precopy(linux)
    assert dest.guests() == {"linux": "incoming"}
    source.machine.kill()
    dest.wait_for("the copy is freed", lambda: not dest.guests())
    dest.wait_for("its memory is freed", lambda: free_memory(dest) >= free - SLACK)
    assert not alive(linux.net, count=1, patience=3)


def test_destination_dies_after_commit(site):
    """It comes back without a memory: UNKNOWN resolves nothing, only an operator's word does, with the right epoch."""
    site.boot(MOVER, mem=256)
    relay = Relay(site.net, site.b.address)
    epoch = in_doubt(site.a, relay, DEST, "RUNNING", relay.cut)
    number = beats(site.b)
    site.b.wait_for("it goes on", lambda: beats(site.b) > number + 20)
    site.b.machine.kill()
    site.b.boot(mem=256)
    site.b.ready()
    relay.stop_at(DEST, "UNKNOWN", lambda: True)
    relay.reopen()
    relay.reached()
    assert site.where("mover") == [] and site.a.guests()["mover"] == "in-doubt"
    site.a.wait_for("it has been told", lambda: site.a.post("/v1/vms/mover/resolve", action="query")["destination"]
                    == "knows of no such move: only force is left")
    assert site.where("mover") == [] and site.a.guests()["mover"] == "in-doubt"
    for words in ({}, {"epoch": epoch + 1}):
        status, text = site.a.refused("/v1/vms/mover/resolve", action="force-resume", **words)
        assert status == 400 and f"repeat the epoch, {epoch}, to confirm" in text
    assert site.a.guests()["mover"] == "in-doubt"
    site.a.printed("mover")
    done = site.a.godwit("resolve", "mover", "force-resume", str(epoch))
    assert done.returncode == 0, done.stderr
    site.a.wait_for("it runs", lambda: site.a.guests()["mover"] == "running")
    site.a.machine.wait(rf"epoch {epoch} resolved by force: resume here", TIMEOUT["qemu"])
    first = int(says(site.a, "mover", r"beat (\d+) at .*\n").group(1))
    assert first <= number  # from before the move: what the other copy did is lost
    only_at(site, site.a)
    forced = site.a.get("/v1/vms/mover")["epoch"]
    assert epoch + 2**16 <= forced < epoch + 2**17  # no other operator comes to the same one
    assert move(site.a, site.b, "mover", "verify")["epoch"] == forced + 1
    only_at(site, site.b)
    relay.close()


def test_give_up_by_force(site):
    """The other end of the operator's choice: the copy in doubt is destroyed."""
    site.boot(MOVER, mem=256)
    relay = Relay(site.net, site.b.address)
    epoch = in_doubt(site.a, relay, DEST, "RUNNING", relay.cut)
    site.a.post("/v1/vms/mover/resolve", action="force-give-up", epoch=epoch)
    site.a.wait_for("it is gone", lambda: "mover" not in site.a.guests())
    given_up = site.a.query("mover")
    assert given_up["status"] == "cancelled" and given_up["reason"] == "given up by force"
    only_at(site, site.b)
    relay.close()
