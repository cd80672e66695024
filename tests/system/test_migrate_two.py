# SPDX-License-Identifier: BSD-2-Clause
"""Two guests that move at once, the same way or past each other: neither stands in the other's way."""

import contextlib
import threading

import pytest
from machine import vm
from migration import PATIENCE, Site, beats, move
from relay import FORWARD, SOURCE, Relay

NAMES = ["one", "two"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Both guests on a."""
    with Site(tmp_path_factory.mktemp("two")) as site:
        site.boot("".join(vm(name, "mover.elf", memory="8M") for name in NAMES), mem=256)
        yield site


def move_both(net, ways):
    """Each by its way (name, source, destination). Neither goes on before both have sent pages."""
    both = threading.Barrier(len(ways))

    def meet():
        both.wait(PATIENCE["qemu"])
        return FORWARD
    ended = {name: beats(source, name) for name, source, _ in ways}
    with contextlib.ExitStack() as stack:
        for name, source, dest in ways:
            relay = stack.enter_context(contextlib.closing(Relay(net, dest.address)))
            relay.stop_at(SOURCE, "PAGES", meet)
            source.begin(name, relay, "verify")
        for name, source, dest in ways:
            assert source.wait_status(name, "completed")["verify"]
            assert name not in source.guests() and dest.guests()[name] == "running"
    for name, _, dest in ways:
        assert beats(dest, name) > ended[name]


def test_the_same_way(two):
    """There and back."""
    for source, dest in ((two.a, two.b), (two.b, two.a)):
        move_both(two.net, [(name, source, dest) for name in NAMES])


def test_crossing(two):
    """Each host sends one and receives the other, there and back."""
    [here] = two.where("one")
    there = two.b if here is two.a else two.a
    move(here, there, "two")
    for source, dest in ((here, there), (there, here)):
        move_both(two.net, [("one", source, dest), ("two", dest, source)])
