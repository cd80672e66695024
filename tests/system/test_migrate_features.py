# SPDX-License-Identifier: BSD-2-Clause
"""Three hosts whose processors differ. A guest goes to any that has what it was shown where it booted, and from there
to any other such host; its vector registers are full all the time (tests/guests/mover)."""

import pytest
from machine import vm
from migration import Site, beats, check, move

# What each host's processor lacks, and the guest that boots there.
LACKS = {"a": "xsave", "b": None, "c": "avx"}
GUESTS = {"a": "plain", "b": "full", "c": "modest"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("features")) as site:
        site.third()
        for host in site.hosts:
            model = f"max,-{LACKS[host.name]}" if LACKS[host.name] else "max"
            host.boot(vm(GUESTS[host.name], "mover.elf", memory="8M"), mem=256, extra=["-cpu", model])
        for host in site.hosts:
            host.ready()
        yield site


def travel(site, name, *way):
    """From host to host, each move verified and asked for beforehand: what a check promises, a move keeps."""
    for source, dest in zip(way, way[1:]):
        source, dest = getattr(site, source), getattr(site, dest)
        number = beats(source, name)
        check(source, dest, name)
        move(source, dest, name, "verify")
        assert beats(dest, name) > number


@pytest.mark.parametrize("name, way", [("plain", "abcba"), ("modest", "cbc")])
def test_less_is_at_home_everywhere(site, name, way):
    """One that was shown less than its hosts have keeps what it has, and leaves them again."""
    travel(site, name, *way)


@pytest.mark.parametrize("name, source, dest, lacks", [("full", "b", "a", "XSAVE"), ("full", "b", "c", "AVX"),
                                                       ("modest", "c", "a", "XSAVE")])
def test_what_is_missing_is_named(site, name, source, dest, lacks):
    source, dest = getattr(site, source), getattr(site, dest)
    done = source.godwit("migrate", "--check", name, dest.address)
    assert done.returncode == 1, done.stdout
    assert f"the guest was shown {lacks}, which this processor lacks" in done.stderr
    beats(source, name)
