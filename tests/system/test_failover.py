# SPDX-License-Identifier: BSD-2-Clause
"""A protected guest outlives its machine: what fails, one thing at a time, and what an outside client sees of it. Each
test takes two machines, one of which runs the guest, and leaves two such."""

import pytest
from failover import QUIET, RELEASED, SHORT, Client, Ear, Pair
from failpoints import FailPoint, fail
from machine import vm
from migration import LINUX, beats

LIFETIME = 3600  # s, of machines that live on from one test to the next
# s of a blackout beside the silence that is waited for, on a machine that many use; tests/bench/failover measures it.
SLACK = 30


def within(limit, *failovers):
    """Seconds for which an outside client waits at most: the limit, or until the guest ran by these rows, and a bit."""
    return max([limit, *(row["running-ms"] for row in failovers)]) / 1000 + SLACK


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The guest has two processors."""
    with Pair(tmp_path_factory.mktemp("pair"), guest=f"{LINUX}vcpus = 2\n", cpus=2, lifetime=LIFETIME) as the_pair:
        yield the_pair


def test_primary_dies_twice(pair):
    """It goes on at the other machine, is protected anew when the first one is back, and goes back to it."""
    rows = []
    pair.protect(limit=SHORT)
    with Client(pair.net) as client:
        for limit in (SHORT, QUIET):
            client.goes_on()
            with pair.struck() as (dead, other):
                dead.machine.kill()
            pair.runs_at(other)
            client.goes_on()
            rows.append(row := pair.failover(other))
            assert row["cause"] == "silence" and row["outcome"] == "it went on here"
            times = [row[name] for name in ("silent-ms", "asked-ms", "won-ms", "running-ms")]
            assert times[0] >= SHORT - 1 and times == sorted(times)
            assert pair.deed() == (other.address, "none", row["epoch"])
            pair.set_limit(limit)
            pair.boot_again(dead)
            assert pair.protected() == [other, dead]
            owner, secondary, epoch = pair.deed()
            assert (owner, secondary) == (other.address, dead.address) and epoch > row["epoch"]
    assert client.ping.blackout() < within(SHORT, *rows)


def test_secondary_dies(pair):
    """The primary goes on alone, and the guest is protected again when the machine is back."""
    pair.protect(limit=SHORT)
    with Client(pair.net) as client:
        client.goes_on()
        with pair.struck() as (owner, dead):
            dead.machine.kill()
        assert pair.wait(owner, "degraded")["role"] == "primary"
        client.goes_on()
        pair.runs_at(owner)
        assert pair.deed()[:2] == (owner.address, "none")
        pair.set_limit(QUIET)
        pair.boot_again(dead)
        assert pair.protected() == [owner, dead]
        client.goes_on()
    assert client.ping.blackout() < within(SHORT)


def test_witness_dies(pair):
    """As long as the machines hear each other, nothing happens; nor when it comes back."""
    owner, other = pair.protect()
    before, begun = pair.deed(), pair.shown(owner)
    with Client(pair.net) as client:
        pair.etcd.members[0].stand()
        client.goes_on()
        assert pair.shown(owner)["state"] == pair.shown(other)["state"] == "protected"
        pair.etcd.members[0].go_on()
        client.goes_on()
    shown = pair.shown(owner)
    assert shown["state"] == "protected" and shown["checkpoints"] > begun["checkpoints"], shown
    assert pair.deed() == before
    pair.runs_at(owner)


def test_link_between_dies(pair):
    """The primary, which is patient for a shorter time, asks first, and keeps the guest; it is protected again when
    they hear each other. Here the secondary stands as long: who waits for a processor could be the last."""
    pair.protect(limit=SHORT)
    with Client(pair.net) as client:
        client.goes_on()
        with pair.struck() as (owner, other):
            pair.part()
            pair.stand(other)
        pair.wait(owner, "degraded")
        pair.go_on(other)
        pair.wait(other, "unprotected")
        client.goes_on()
        pair.runs_at(owner)
        pair.set_limit(QUIET)
        pair.part(False)
        assert pair.protected() == [owner, other]
        client.goes_on()
    assert client.ping.blackout() < within(SHORT)


def test_primary_is_cut_off(pair):
    """It can't ask, and stands: the secondary goes on. When it is back it has lost, and becomes the secondary."""
    pair.protect(limit=SHORT)
    with Client(pair.net) as client:
        client.goes_on()
        with pair.struck() as (lost, other):
            lost.link("down")
        other.wait_for("it goes on here", lambda: other.guests().get("linux") == "running")
        client.goes_on()
        other.set(heartbeat_limit=QUIET)
        lost.link("up")
        assert pair.protected() == [other, lost]
        pair.runs_at(other)
        client.goes_on()
    assert client.ping.blackout() < within(SHORT, pair.failover(other))


def test_primary_stands_for_a_while(pair):
    """Its whole machine stands, and goes on: it has lost meanwhile, and none of its frames appears but those that it
    had let go before, and that its emulated card had not sent yet."""
    pair.protect(limit=SHORT)
    mac = pair.mac()
    with Client(pair.net) as client:
        client.goes_on()
        with pair.struck() as (lost, other):
            pair.stand(lost)
        other.wait_for("it goes on here", lambda: other.guests().get("linux") == "running")
        client.goes_on()
        ear = Ear(pair.net, lost.tap, mac)
        other.set(heartbeat_limit=QUIET)
        pair.go_on(lost)
        assert pair.protected() == [other, lost]
        assert ear.heard() <= RELEASED
        client.goes_on()
        assert ear.heard() == 0
        ear.close()
        pair.runs_at(other)
    assert client.ping.blackout() < within(SHORT, pair.failover(other))


def test_planned(pair):
    """An operator sends it to the other machine, where it is protected in the other direction."""
    owner, other = pair.protect("--interval", "40")
    with Client(pair.net) as client:
        client.goes_on()
        done = owner.godwit("failover", "linux")
        assert done.returncode == 0, done.stderr
        pair.runs_at(other)
        assert pair.failover(other)["cause"] == "planned"
        assert pair.protected() == [other, owner]
        shown = pair.shown(other)
        assert shown["interval"] == 40 and shown["peer"] == f"{owner.address}:4900"
        client.goes_on()
    assert client.ping.blackout() < within(0, pair.failover(other))


def test_two_at_once(pair):
    """Without the link and the witness nobody knows: what the guest sends is held, and it stands, until the witness is
    back."""
    pair.protect(limit=SHORT)
    with Client(pair.net) as client:
        client.goes_on()
        with pair.struck() as (owner, other):
            pair.etcd.members[0].stand()
            pair.part()
        pair.wait(owner, "suspended")
        owner.wait_for("it stands", lambda: owner.guests()["linux"] == "outgoing")
        pair.wait(other, "suspended")
        pair.set_limit(QUIET)
        pair.etcd.members[0].go_on()
        pair.owner()
        client.goes_on()
        pair.part(False)
        owner, other = pair.owner()
        assert pair.protected() == [owner, other]
        client.goes_on()


def test_force(pair):
    """The primary and the witness have died. An operator says that the guest is to go on: it was paused, and so it is
    there, until it is resumed."""
    owner, other = pair.protect(limit=SHORT)
    with Client(pair.net) as client:
        client.goes_on()
        pair.owner()[0].post("/v1/vms/linux/pause")
        owner, other = pair.protected()
        taken = pair.shown(owner)["checkpoints"]
        owner.wait_for("that is in its copy", lambda: pair.shown(other)["checkpoints"] > taken + 1)
        assert pair.shown(owner)["state"] == "protected"
        with pair.struck() as (dead, other):
            pair.etcd.members[0].stand()
            dead.machine.kill()
        epoch = pair.wait(other, "suspended")["epoch"]
        done = other.godwit("failover", "linux", "--force", str(epoch + 1))
        assert done.returncode != 0 and f"repeat the epoch, {epoch}, to confirm" in done.stderr
        other.wait_for("its connection has ended", lambda: other.guests()["linux"] == "prepared")
        status, text = other.refused("/v1/vms/linux/resolve", action="adopt", epoch=epoch)
        assert status == 409 and "which failover with its epoch lets run" in text
        done = other.godwit("failover", "linux", "--force", str(epoch))
        assert done.returncode == 0, done.stderr
        other.wait_for("it is there, paused", lambda: other.guests()["linux"] == "paused")
        other.post("/v1/vms/linux/resume")
        pair.runs_at(other)
        client.goes_on()
        pair.etcd.members[0].go_on()
        other.wait_for("the witness is told", lambda: pair.deed()[:2] == (other.address, "none"))
    pair.boot_again(dead)


def test_unprotect(pair):
    """The copy is freed, and the guest runs on."""
    owner, other = pair.protect()
    with Client(pair.net) as client:
        done = other.godwit("unprotect", "linux")
        assert done.returncode != 0 and "expected unprotect at the one that runs it" in done.stderr
        done = owner.godwit("unprotect", "linux")
        assert done.returncode == 0, done.stderr
        owner.wait_for("its copy is gone", lambda: "linux" not in other.guests())
        assert pair.shown(owner)["state"] == "unprotected"
        assert pair.deed()[:2] == (owner.address, "none")
        client.goes_on()
    done = owner.godwit("unprotect", "linux")
    assert done.returncode != 0 and "it is not protected" in done.stderr


def test_witness_at_one_only(pair):
    """No guest is protected between a machine that asks a witness and one that does not."""
    owner, other = pair.protect()
    other.machine.kill()
    other.boot(**pair.keys)
    other.ready()
    refused = "only one of the two machines has a witness, expected [witness] at both"
    owner.wait_for("it is refused", lambda: pair.shown(owner).get("reason") == refused)
    assert pair.wait(owner, "degraded")["tries"]
    other.machine.kill()
    pair.boot_again(other)
    assert pair.protected() == [owner, other]


# Some of the points that `make proof-failover` goes through.
@pytest.mark.parametrize("phase, fault", [("in a checkpoint", "primary killed"), ("taking over", "witness killed"),
                                          ("first copy", "secondary killed")])
def test_point(pair, phase, fault):
    fail(pair, FailPoint(phase, fault), SHORT)


# --- Both machines have the guest in their configurations -------------------------------------------------------------

@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """And who protects it: it starts at one of them, and is protected at the other. It is a small one, because it boots
    under protection: of Linux, checkpoints would carry most pages many times meanwhile."""
    guest = vm("linux", "mover.elf", memory="8M", cmdline="pages=16 rate=1 tick=20000")  # by the name that a Pair knows
    both = f"{guest}mac = 52:54:00:0f:0f:0f\nprotect = 10.9.0.2 10.9.0.4\n"
    with Pair(tmp_path_factory.mktemp("twins"), same=both, limit=SHORT) as the_pair:
        yield the_pair


def test_same_configuration(twins):
    """Of any machine that comes back it is not started a second time; when both have died it is, at one of them."""
    with twins.struck() as (dead, other):
        dead.machine.kill()
    twins.runs_at(other)
    beats(other, "linux")
    twins.set_limit(QUIET)
    twins.boot_again(dead)
    assert twins.protected() == [other, dead]
    with twins.struck() as both:
        for host in both:
            host.machine.kill()
    twins.boot_again(*both)
    twins.protected()


def test_boot_without_witness(twins):
    """A guest is not started as long as no witness says that it may be; nor when the other machine of its deed is
    silent. An operator can start it all the same."""
    with twins.struck() as (owner, other):
        for host in (owner, other):
            host.machine.kill()
    twins.etcd.members[0].stand()
    twins.boot_again(owner)
    twins.elsewhere(owner, rf"{twins.etcd.members[0].url}: no \w+ within")
    twins.etcd.members[0].go_on()
    twins.elsewhere(owner, rf"{other.address}:4900, which the witness names, does not answer")
    epoch = owner.post("/v1/vms/linux/resolve", action="query")["epoch"]
    owner.post("/v1/vms/linux/resolve", action="force-resume", epoch=epoch)
    twins.runs_at(owner)
    beats(owner, "linux")
    owner.wait_for("the deed is told", lambda: twins.deed()[:2] == (owner.address, "none"))
    twins.set_limit(QUIET)
    twins.boot_again(other)
    assert twins.protected() == [owner, other]
