# SPDX-License-Identifier: BSD-2-Clause
"""Rounds of save and restore, of guests that check their memory (tools/soak-images says which).

    Rounds(site, directory, random.Random(seed)).turn()

A turn leaves one copy of each guest, which has found nothing wrong, or raises AssertionError.
"""

import random
import time

from machine import vm
from migration import SLACK, Site, beats, free_memory

MOVER = vm("mover", "mover.elf", memory="16M", cmdline="pages=512 rate=100 tick=1000")
SLOWER = vm("slower", "mover.elf", memory="24M", cmdline="pages=3000 rate=4 tick=1000")
STATE = 4000  # bytes at the end of an image that are no pages
FAULTS = {"none": 6, "cut off": 1, "damaged": 1, "client leaves": 1, "still runs": 1}


def leave(host, name):
    """Nothing is left of it there."""
    host.post(f"/v1/vms/{name}/poweroff")
    host.wait_for("it can be forgotten", lambda: host.ask("POST", f"/v1/vms/{name}/forget")[0] == 200)


class Rounds:
    """The guests' machines, and a file."""

    def __init__(self, site, directory, chance):
        self.site, self.file, self.chance = site, directory / "guest.image", chance
        self.free = {}

    def run(self, host, *arguments, words=None):
        """The tool does it, or (words) refuses it with these."""
        result = host.godwit(*arguments, str(self.file))
        assert result.returncode == (words is not None) and (words or "") in result.stderr, (arguments, result)

    def harm(self, fault, live):
        """Change the file so; returns what it was. Of a live save, a page that comes again may well be damaged."""
        whole = self.file.read_bytes()
        at = len(whole) - 1 - self.chance.randrange(STATE if live else len(whole))
        harmed = whole[:at] if fault == "cut off" else whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:]
        self.file.write_bytes(harmed)
        return whole

    def client_leaves(self, host, name):
        host.set(max_bandwidth=1 << 20)
        with host.connect() as sock:
            sock.sendall(host.head("GET", f"/v1/vms/{name}/image?options=live"))
            assert b"200 OK" in sock.recv(4096)
        host.wait_status(name, "failed")
        host.set(max_bandwidth=0)
        beats(host, name)

    def turn(self):
        """One round; returns what it was, in words."""
        name, live = self.chance.choice(["mover", "slower"]), self.chance.random() < 0.5
        fault = self.chance.choices(list(FAULTS), FAULTS.values())[0]
        [source] = self.site.where(name)
        dest = self.chance.choice(self.site.hosts)
        before = beats(source, name)
        if fault == "client leaves":
            self.client_leaves(source, name)
        began = time.monotonic()
        self.run(source, "save", *(["--live"] if live else []), "--verify", name)
        saved = time.monotonic() - began
        self.run(source, "image")
        if fault == "still runs":
            self.run(dest, "restore", words="there already" if dest is source else f"at {source.address}")
        leave(source, name)
        if fault in ("cut off", "damaged"):
            whole = self.harm(fault, live)
            self.run(dest, "image", words="no whole image")
            self.run(dest, "restore", words="cannot restore")
            self.file.write_bytes(whole)
        self.run(dest, "restore")
        assert self.site.where(name) == [dest]
        assert beats(dest, name) >= before
        for host in self.site.hosts:
            names = tuple(sorted(host.guests()))
            free = free_memory(host)
            assert free > self.free.setdefault((host.name, names), free) - SLACK, (host.name, names, free, self.free)
        return f"{name} {source.name} > {dest.name}, {'live' if live else 'standing'}, {fault}, {saved * 1000:.0f} ms"


def run(directory, args):
    """The soak. Returns its status."""
    with Site(directory / "soak" / "site") as site:
        (directory / "soak").mkdir()
        site.a.boot(MOVER + SLOWER, mem=256)
        site.b.boot(mem=256)
        site.a.ready()
        site.b.ready()
        rounds = Rounds(site, directory, random.Random(args.seed))
        for number in range(1, args.rounds + 1):
            print(f"{number:4} {rounds.turn()}", flush=True)
    print(f"soak-images: {args.rounds} rounds of seed {args.seed}, all right")
    return 0
