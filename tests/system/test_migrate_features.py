# SPDX-License-Identifier: BSD-2-Clause
"""Three hosts whose processors differ. A guest goes to any that has what it was shown where it booted, and from there
to any other such host; its vector registers are full all the time (tests/guests/mover)."""

import contextlib

import pytest
from machine import vm
from migration import Site, beats, check, move

# The guest that boots on each host.
GUESTS = {"a": "plain", "b": "full", "c": "modest"}


@contextlib.contextmanager
def lacking(directory, **lacks):
    """The site: what the processors of some hosts lack."""
    with Site(directory) as site:
        site.third()
        for host in site.hosts:
            model = f"max,-{lacks[host.name]}" if host.name in lacks else "max"
            host.boot(vm(GUESTS[host.name], "mover.elf", memory="8M"), mem=256, extra=["-cpu", model])
        for host in site.hosts:
            host.ready()
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with lacking(tmp_path_factory.mktemp("features"), a="xsave", c="avx") as site:
        yield site


def travel(site, name, *way):
    """From host to host, each move verified and asked for beforehand: what a check promises, a move keeps."""
    for source, dest in zip(way, way[1:]):
        source, dest = getattr(site, source), getattr(site, dest)
        number = beats(source, name)
        check(source, dest, name)
        move(source, dest, name, "verify")
        assert beats(dest, name) > number


def refused(site, name, source, dest, lacks):
    """It is told beforehand what the destination lacks, and stays where it is."""
    source, dest = getattr(site, source), getattr(site, dest)
    done = source.godwit("migrate", "--check", name, dest.address)
    assert done.returncode == 1, done.stdout
    assert f"the guest was shown {lacks}, which this processor lacks" in done.stderr
    beats(source, name)


@pytest.mark.parametrize("name, way", [("plain", "abcba"), ("modest", "cbc")])
def test_less_is_at_home_everywhere(site, name, way):
    """One that was shown less than its hosts have keeps what it has, and leaves them again."""
    travel(site, name, *way)


@pytest.mark.parametrize("name, source, dest, lacks", [("full", "b", "a", "XSAVE"), ("full", "b", "c", "AVX"),
                                                       ("modest", "c", "a", "XSAVE")])
def test_what_is_missing_is_named(site, name, source, dest, lacks):
    refused(site, name, source, dest, lacks)


def test_bits_of_cr4(tmp_path):
    """Features without state of their own, which a guest turns on in CR4: each of two hosts lacks another one."""
    with lacking(tmp_path, a="fsgsbase", c="smep") as site:
        travel(site, "plain", *"aba")
        refused(site, "full", "b", "a", "FSGSBASE")
        refused(site, "full", "b", "c", "SMEP")
