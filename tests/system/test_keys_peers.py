# SPDX-License-Identifier: BSD-2-Clause
"""Hypervisors that know each other by a key of their own (docs/keys.md "Peers"): who has another one is let in as
nobody, and who is let in does what the keyring allows.
"""

import re
import shutil

import pytest
from machine import PROGRAM, vm
from migration import Site, beats, move
from test_keys import identity_of, mkkeys, s_client
from test_migrate_port import header, new_id

A, B, C = "10.9.0.2", "10.9.0.4", "10.9.0.5"
UUID = "0123456789abcdef0123456789abcdef"


def guest(name, memory="8M", **keys):
    return vm(name, "mover.elf", memory=memory, **keys)


@pytest.fixture
def keyrings(tmp_path):
    """Of a and b, which are peers, and of c, which has the group's key."""
    a, b, c = (tmp_path / name for name in "abc")
    assert mkkeys("new", a).returncode == 0
    for other in (b, c):
        shutil.copy(a, other)
    assert mkkeys("pair", a, "host-a", A, b, "host-b", B).returncode == 0
    return a, b, c


def allow(keyring, *lines):
    """What the last peer of that keyring may do."""
    with keyring.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def refused(source, dest, name):
    """Why it does not move; it goes on where it is."""
    source.begin(name, dest)
    answer = source.wait_status(name, "failed")
    beats(source, name)
    assert name not in dest.guests()
    return answer["reason"]


def test_rights(tmp_path, keyrings):
    """Of the guests of one host the other takes those that it may bring, and those alone; in the other direction all.
    Both sides say whose they are."""
    a, b, _ = keyrings
    allow(b, "allow web* mover", "memory 20M")
    with Site(tmp_path / "site") as site:
        site.a.boot(guest("mover") + guest("db") + guest("web-1", "32M"), keyring=a)
        site.b.boot(keyring=b)
        site.a.ready()
        site.b.ready()
        assert "host-a may not bring a guest of this name here: see allow" in refused(site.a, site.b, "db")
        assert "guests from host-a would hold 32 MiB, and may hold 20: see memory" in refused(site.a, site.b, "web-1")
        site.a.post("/v1/vms/db/migrate-check", dest=B)
        assert "see allow" in site.a.wait_status("db", "failed")["reason"]
        move(site.a, site.b, "mover", "post-copy")
        assert re.fullmatch(rf"host-a@{A}:\d+", site.b.query("mover")["peer"])
        assert re.search(rf"connection from host-a@{A}:\d+", site.b.machine.log)
        move(site.b, site.a, "mover")
        beats(site.a)


def test_who_is_let_in(tmp_path, keyrings):
    """A peer, by its own key. Whoever has the group's is none, whatever name it says."""
    a, b, c = keyrings
    with Site(tmp_path / "site") as site:
        site.third()
        site.b.boot(keyring=b)
        site.c.boot(guest("mover"), keyring=c)
        site.b.ready()
        site.c.ready()
        assert "no key in common" in refused(site.c, site.b, "mover")
        site.b.machine.wait(f"{C}: has no key in common with us", PROGRAM)
        for word, taken in (("key", True), ("group", False)):
            identity, key = identity_of(a, "host-a", site.b, word)
            said, words = s_client(site, site.b, identity, key, say=header(new_id(), versions=(77, 78)))
            assert said.startswith(b"GODWITMG") == taken, (word, words)
        identity, key = identity_of(a, "host-x", site.b, "key")
        said, _ = s_client(site, site.b, identity, key, say=header(new_id()))
        assert said == b""


def test_whom_we_reach(tmp_path, keyrings):
    """Nobody but its peers, whatever an operator or the configuration says: an address of another host is refused at
    once, by name, and that host hears nothing."""
    a, _, c = keyrings
    with Site(tmp_path / "site") as site:
        site.third()
        site.c.boot(keyring=c)
        site.c.ready()
        site.a.boot(guest("mover"), keyring=a, peers=C)
        site.a.ready()
        words = f"{C} is no peer of this host, expected peer NAME {C} in its keyring"
        site.a.machine.wait(f"peers: {words}: a guest that it may have is started here all the same", PROGRAM)
        for path, asked in (("migrate", {"dest": C, "options": "live"}), ("migrate", {"dest": C, "options": "cold"}),
                            ("migrate-check", {"dest": C}), ("protect", {"peer": C})):
            status, error = site.a.refused(f"/v1/vms/mover/{path}", **asked)
            assert status == 409 and words in error, (path, status, error)
        beats(site.a)
        assert f"{A}:" not in site.c.machine.log


def test_another_name(tmp_path, keyrings):
    """A peer that may bring web* brings no other guest by calling it so, when that runs and when it has ended. No
    claims pass between the two: the group's key would do for those."""
    a, _, b = keyrings
    shutil.copy(b, a)
    assert mkkeys("pair", a, "host-a", A, b, "host-b", "10.10.0.4").returncode == 0
    allow(b, "allow web*")
    words = "it is db here, which host-a may not bring: see allow"
    with Site(tmp_path / "site") as site:
        site.route()
        site.a.boot(guest("web-1", uuid=UUID), keyring=a)
        site.b.boot(guest("db", uuid=UUID), keyring=b)
        site.a.ready()
        site.b.ready()
        assert words in refused(site.a, site.b, "web-1")
        beats(site.b, "db")
        site.b.post("/v1/vms/db/poweroff")
        site.b.wait_for("it has ended", lambda: site.b.guests()["db"] == "off")
        assert words in refused(site.a, site.b, "web-1")


def test_moves_at_a_time(tmp_path, keyrings):
    """The second guest is refused as long as the first one is on its way."""
    a, b, _ = keyrings
    allow(b, "moves 1")
    with Site(tmp_path / "site") as site:
        site.a.boot(guest("mover", "64M") + guest("other"), keyring=a)
        site.b.boot(keyring=b)
        site.a.ready()
        site.b.ready()
        site.a.set(max_bandwidth="4K")
        site.a.begin("mover", site.b)
        site.b.wait_for("it is on its way", lambda: "mover" in site.b.guests())
        assert "host-a may have 1 guests on their way here at a time: see moves" in refused(site.a, site.b, "other")
        site.a.post("/v1/vms/mover/migrate-cancel")
        site.a.wait_status("mover", "cancelled")
        site.a.set(max_bandwidth="0")
        move(site.a, site.b, "other")


def test_a_keyring_that_is_wrong(tmp_path, keyrings):
    """A hypervisor that is to know peers does not go on without them."""
    _, b, _ = keyrings
    allow(b, "moves many")
    with Site(tmp_path / "site") as site:
        site.b.boot(keyring=b)
        site.b.machine.wait("end status=1", 240)
        assert "keys: keyring:4: expected moves and a number, such as moves 2" in site.b.machine.log
