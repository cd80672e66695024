# SPDX-License-Identifier: BSD-2-Clause
"""Moves of the guest `writer`, which writes pages at a known rate, over a link of a known rate (precopylab.Scale).

    with two_hypervisors(directory) as site:
        boot(site, scale, rho)
        before = progress(site.a)
        answer, where = move(site.a, site.b, "post-copy")
        verify(where)
"""

import re

from moves import pull_later  # also puts the directory of what follows into the path

from machine import TIMEOUT, vm
from migration import OVER, says

GUEST = "writer"
SECONDS = 180  # of one move at most
HYPERVISOR_MIB = 160  # of a machine, beside its guest


def boot(site, scale, rho):
    """Both hypervisors, and on a the guest that dirties rho times as much as the link carries."""
    guest = vm(GUEST, "writer.elf", memory=f"{scale.memory()}M", cmdline=scale.cmdline(rho))
    site.boot(guest, mem=scale.memory() + HYPERVISOR_MIB)
    for host in site.hosts:
        host.set(downtime_limit=scale.limit, max_bandwidth=scale.bandwidth(), hot_pages=scale.hot)


def progress(host):
    """(ticks, us): the guest's next word about how far it is."""
    host.printed(GUEST)
    return tuple(map(int, says(host, GUEST, r"(\d+) ticks in (\d+) us\n").groups()))


def last_progress(host):
    """The same, of the last word that it said there: before it left, if it has. What it makes up for after the downtime
    is not in it."""
    found = re.findall(rf" {GUEST}: \| {GUEST}: (\d+) ticks in (\d+) us", host.machine.log)
    return tuple(map(int, found[-1]))


def move(source, dest, mode="live"):
    """Move the guest until it is there, or the move has failed. Returns (what the source says, where the guest is)."""
    source.begin(GUEST, dest, mode)

    def over():
        answer = source.query(GUEST)
        return answer if answer["status"] in OVER else None
    with pull_later(source, GUEST, mode):
        answer = source.wait_for("the move is over", over, SECONDS)
    return answer, dest if answer["status"] == "completed" else source


def verify(host):
    """End the guest: every page holds what was written to it."""
    host.type(GUEST, "q")
    host.machine.wait(f" vm: {GUEST}: passed", TIMEOUT[host.emu])
