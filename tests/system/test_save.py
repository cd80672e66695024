# SPDX-License-Identifier: BSD-2-Clause
"""Guests that are saved into files, and restored from them: their memory checks itself."""

import json

import pytest
from machine import vm
from migration import Site, beats

MOVER = vm("mover", "mover.elf", memory="16M", cmdline="pages=512 rate=100 tick=1000")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The mover on a; b is empty."""
    with Site(tmp_path_factory.mktemp("save")) as site:
        site.a.boot(MOVER)
        site.b.boot()
        site.a.ready()
        site.b.ready()
        yield site


def done(result):
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


def refused(result, words):
    assert result.returncode == 1 and words in result.stderr, (result.stdout, result.stderr)


def leave(host, name="mover"):
    """Nothing is left of it there."""
    host.post(f"/v1/vms/{name}/poweroff")
    host.wait_for("it can be forgotten", lambda: host.ask("POST", f"/v1/vms/{name}/forget")[0] == 200)


def test_saved_and_restored(pair, tmp_path):
    """Saved, it is paused, and the file is whole. As long as it lives here it is not restored. Then it goes on where it
    was."""
    file = tmp_path / "mover.image"
    before = beats(pair.a)
    print(done(pair.a.godwit("save", "mover", str(file))))
    assert pair.a.guests()["mover"] == "paused"
    seen = json.loads(done(pair.a.godwit("--json", "image", str(file))))
    print(seen)
    refused(pair.a.godwit("restore", str(file)), "is there already")
    leave(pair.a)
    print(done(pair.a.godwit("restore", str(file))))
    assert beats(pair.a) > before
