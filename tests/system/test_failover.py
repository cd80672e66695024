# SPDX-License-Identifier: BSD-2-Clause
"""A protected guest outlives its machine: what fails, one thing at a time, and what an outside client sees of it."""

import pytest
from failover import RELEASED, Client, Ear, Pair
from migration import LINUX

SLACK = 3  # seconds of a blackout beside the silence that is waited for, on a machine that many use


def soon(pair, *failovers):
    """Seconds for which an outside client waits at most: the limit, or until the guest ran by these rows, and a bit."""
    return max([pair.keys["heartbeat-limit"], *(row["running-ms"] for row in failovers)]) / 1000 + SLACK


@pytest.fixture
def pair(tmp_path):
    with Pair(tmp_path) as the_pair:
        yield the_pair


def test_primary_dies_twice(tmp_path):
    """It goes on at the other machine, is protected anew when the first one is back, and goes back to it. It has two
    processors."""
    rows = []
    with Pair(tmp_path, guest=f"{LINUX}vcpus = 2\n", cpus=2) as pair:
        pair.protect()
        with Client(pair.net) as client:
            for dying, other in ((pair.a, pair.b), (pair.b, pair.a)):
                client.goes_on()
                dying.machine.kill()
                pair.runs_at(other)
                client.goes_on()
                rows.append(row := pair.failover(other))
                assert row["cause"] == "silence" and row["outcome"] == "it went on here"
                times = [row[name] for name in ("silent-ms", "asked-ms", "won-ms", "running-ms")]
                assert times[0] > 1500 and times == sorted(times)
                assert pair.deed() == (other.address, "none", row["epoch"])
                pair.boot_again(dying)
                pair.wait(other, "protected")
                owner, secondary, epoch = pair.deed()
                assert (owner, secondary) == (other.address, dying.address) and epoch > row["epoch"]
        assert client.ping.blackout() < soon(pair, *rows)


def test_secondary_dies(pair):
    """The primary goes on alone, and the guest is protected again when the machine is back."""
    pair.protect()
    with Client(pair.net) as client:
        client.goes_on()
        pair.b.machine.kill()
        assert pair.wait(pair.a, "degraded")["role"] == "primary"
        client.goes_on()
        pair.runs_at(pair.a)
        assert pair.deed()[:2] == (pair.a.address, "none")
        pair.boot_again(pair.b)
        pair.wait(pair.a, "protected")
        client.goes_on()
    assert client.ping.blackout() < soon(pair)


def test_witness_dies(pair):
    """As long as the machines hear each other, nothing happens; nor when it comes back."""
    pair.protect()
    with Client(pair.net) as client:
        pair.etcd.members[0].stand()
        client.goes_on()
        assert pair.shown(pair.a)["state"] == pair.shown(pair.b)["state"] == "protected"
        pair.etcd.members[0].go_on()
        client.goes_on()
    assert client.ping.blackout() < soon(pair)
    pair.runs_at(pair.a)


def test_link_between_dies(pair):
    """The primary asks first, and keeps the guest; it is protected again when they hear each other."""
    pair.protect()
    with Client(pair.net) as client:
        client.goes_on()
        pair.part()
        pair.wait(pair.a, "degraded")
        pair.wait(pair.b, "unprotected")
        client.goes_on()
        pair.runs_at(pair.a)
        pair.part(False)
        pair.wait(pair.a, "protected")
        client.goes_on()
    assert client.ping.blackout() < soon(pair)


def test_primary_is_cut_off(pair):
    """It can't ask, and stands: the secondary goes on. When it is back it has lost, and becomes the secondary."""
    pair.protect()
    with Client(pair.net) as client:
        client.goes_on()
        pair.a.link("down")
        pair.b.wait_for("it goes on here", lambda: pair.b.guests().get("linux") == "running")
        client.goes_on()
        pair.a.link("up")
        pair.wait(pair.b, "protected")
        pair.wait(pair.a, "protected")
        pair.runs_at(pair.b)
        client.goes_on()
    assert client.ping.blackout() < soon(pair, pair.failover(pair.b))


def test_primary_stands_for_a_while(pair):
    """Its whole machine stands for 5 s, and goes on: it has lost meanwhile, and none of its frames appears but those
    that it had let go before, and that its emulated card had not sent yet."""
    pair.protect()
    mac = next(port["mac"] for port in pair.a.get("/v1/net")["ports"] if port["port"] == "linux")
    with Client(pair.net) as client:
        client.goes_on()
        pair.stand(pair.a)
        pair.b.wait_for("it goes on here", lambda: pair.b.guests().get("linux") == "running")
        client.goes_on()
        ear = Ear(pair.net, pair.a.tap, mac)
        assert ear.heard(5) == 0
        pair.stand(pair.a, False)
        assert ear.heard(0.2) <= RELEASED
        pair.wait(pair.b, "protected")
        assert ear.heard() == 0
        ear.close()
        pair.runs_at(pair.b)
        client.goes_on()
    assert client.ping.blackout() < soon(pair, pair.failover(pair.b))


def test_planned(pair):
    """An operator sends it to the other machine, where it is protected in the other direction."""
    pair.protect("--interval", "40")
    with Client(pair.net) as client:
        client.goes_on()
        done = pair.a.godwit("failover", "linux")
        assert done.returncode == 0, done.stderr
        pair.runs_at(pair.b)
        assert pair.failover(pair.b)["cause"] == "planned"
        shown = pair.wait(pair.b, "protected")
        assert shown["interval"] == 40 and shown["peer"] == f"{pair.a.address}:4900"
        client.goes_on()
    assert client.ping.blackout() < soon(pair, pair.failover(pair.b))


def test_two_at_once(pair):
    """Without the link and the witness nobody knows: what the guest sends is held, and it stands, until the witness is
    back."""
    pair.protect()
    with Client(pair.net) as client:
        client.goes_on()
        pair.etcd.members[0].stand()
        pair.part()
        pair.wait(pair.a, "suspended")
        pair.a.wait_for("it stands", lambda: pair.a.guests()["linux"] == "outgoing")
        assert pair.shown(pair.b)["state"] == "suspended"
        pair.etcd.members[0].go_on()
        pair.a.wait_for("one has it", lambda: len(pair.site.where("linux")) == 1)
        client.goes_on()
        pair.part(False)
        [owner] = pair.site.where("linux")
        pair.wait(owner, "protected")
        client.goes_on()


def test_force(pair):
    """The primary and the witness have died. An operator says that the guest is to go on: it was paused, and so it is
    there, until it is resumed."""
    pair.protect()
    with Client(pair.net) as client:
        client.goes_on()
        pair.a.post("/v1/vms/linux/pause")
        taken = pair.shown(pair.a)["checkpoints"]
        pair.a.wait_for("that is in its copy", lambda: pair.shown(pair.b)["checkpoints"] > taken + 1)
        assert pair.shown(pair.a)["state"] == "protected"
        pair.etcd.members[0].stand()
        pair.a.machine.kill()
        epoch = pair.wait(pair.b, "suspended")["epoch"]
        done = pair.b.godwit("failover", "linux", "--force", str(epoch + 1))
        assert done.returncode != 0 and f"repeat the epoch, {epoch}, to confirm" in done.stderr
        pair.b.wait_for("its connection has ended", lambda: pair.b.guests()["linux"] == "prepared")
        status, text = pair.b.refused("/v1/vms/linux/resolve", action="adopt", epoch=epoch)
        assert status == 409 and "which failover with its epoch lets run" in text
        done = pair.b.godwit("failover", "linux", "--force", str(epoch))
        assert done.returncode == 0, done.stderr
        pair.b.wait_for("it is there, paused", lambda: pair.b.guests()["linux"] == "paused")
        pair.b.post("/v1/vms/linux/resume")
        pair.runs_at(pair.b)
        client.goes_on()
        pair.etcd.members[0].go_on()
        pair.b.wait_for("the witness is told", lambda: pair.deed()[:2] == (pair.b.address, "none"))


def test_same_configuration(tmp_path):
    """Both machines have the guest in their configurations, and who protects it: it starts at one of them, is protected
    at the other, and of any machine that comes back it is not started a second time."""
    both = f"{LINUX}mac = 52:54:00:0f:0f:0f\nprotect = 10.9.0.2 10.9.0.4\n"
    with Pair(tmp_path, same=both) as pair:
        for _ in range(2):
            owner, other = pair.owner()
            pair.wait(owner, "protected")
            owner.machine.kill()
            pair.runs_at(other)
            pair.boot_again(owner)
            pair.wait(other, "protected")
            pair.runs_at(other)
            owner.machine.kill()
            other.machine.kill()
            pair.boot_again(owner, other)
        pair.wait(pair.owner()[0], "protected")


def test_boot_without_witness(tmp_path):
    """A guest is not started as long as no witness says that it may be; nor when the other machine of its deed is
    silent. An operator can start it all the same."""
    both = f"{LINUX}mac = 52:54:00:0f:0f:0f\nprotect = 10.9.0.2 10.9.0.4\n"
    with Pair(tmp_path, same=both) as pair:
        owner, other = pair.owner()
        pair.wait(owner, "protected")
        for host in (owner, other):
            host.machine.kill()
        pair.etcd.members[0].stand()
        pair.boot_again(owner)
        pair.elsewhere(owner, rf"{pair.etcd.members[0].url}: no \w+ within")
        pair.etcd.members[0].go_on()
        pair.elsewhere(owner, rf"{other.address}:4900, which the witness names, does not answer")
        epoch = owner.post("/v1/vms/linux/resolve", action="query")["epoch"]
        owner.post("/v1/vms/linux/resolve", action="force-resume", epoch=epoch)
        pair.runs_at(owner)
        owner.wait_for("the deed is told", lambda: pair.deed()[:2] == (owner.address, "none"))
        pair.boot_again(other)
        pair.wait(owner, "protected")


def test_unprotect(pair):
    """The copy is freed, and the guest runs on."""
    pair.protect()
    with Client(pair.net) as client:
        done = pair.b.godwit("unprotect", "linux")
        assert done.returncode != 0 and "expected unprotect at the one that runs it" in done.stderr
        done = pair.a.godwit("unprotect", "linux")
        assert done.returncode == 0, done.stderr
        pair.b.wait_for("its copy is gone", lambda: "linux" not in pair.b.guests())
        assert pair.shown(pair.a)["state"] == "unprotected"
        assert pair.deed()[:2] == (pair.a.address, "none")
        client.goes_on()
    done = pair.a.godwit("unprotect", "linux")
    assert done.returncode != 0 and "it is not protected" in done.stderr
