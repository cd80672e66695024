# SPDX-License-Identifier: BSD-2-Clause
"""What a verified move finds, and how little it digests while the guest stands."""

import mmap
import re

import pytest
from machine import vm
from migration import Site, beats, digested, move

MOVER = vm("mover", "mover.elf", memory="32M", cmdline="pages=1024 rate=8 tick=10000")
MEM = 256
# In the guest's constants, which it never writes; in none of its output.
CONSTANT = b"the pool of page tables is large enough"


pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """mover on one of two hypervisors in QEMU, of which the test sees the memory of one, as a file."""
    directory = tmp_path_factory.mktemp("verify")
    ram = directory / "ram"
    with Site(directory / "site") as made:
        made.a.boot(MOVER, mem=MEM, extra=(
            "-object", f"memory-backend-file,id=seen,size={MEM}M,mem-path={ram},share=on",
            "-machine", "memory-backend=seen"))
        made.b.boot(mem=MEM)
        made.a.ready()
        made.b.ready()
        made.ram = ram
        yield made


def test_little_is_digested_in_the_downtime(site):
    """There and back: of 32 MiB what the guest wrote last, at either end (move sees to that); without it nothing.
    However long a round takes, the guest writes 4 MiB at most, and its stack."""
    for source, dest in ((site.a, site.b), (site.b, site.a)):
        done = move(source, dest, "mover", "verify")
        assert digested(done) < done["ram"]["total"] / 4, done
        assert done["rounds"][-1]["verify-ms"] > 0
        beats(dest)
    done = move(site.a, site.b, "mover")
    assert not any(row["verify-ms"] for row in done["rounds"])
    move(site.b, site.a, "mover", "verify")


def change(path):
    """A byte of the guest's constants, wherever they are in the machine's memory: in the guest's, and in the file that
    it was started from."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        places = [found.start() for found in re.finditer(re.escape(CONSTANT), memory)]
        for place in places:
            memory[place] ^= 0x20
    return places


def test_a_changed_byte_is_found(site):
    """At the source, behind the back of its hypervisor, after the page was sent: the guest stays, and can
    move as it is then."""
    site.a.set(max_bandwidth=1 << 20)
    site.a.begin("mover", site.b, "verify")
    site.a.wait_for("its image is sent", lambda: site.a.query("mover")["ram"]["normal"] > 512)
    assert change(site.ram)
    site.a.set(max_bandwidth=0)
    failed = site.a.wait_status("mover", "failed")
    assert (failed["error"], failed["reason"]) == ("digest", "memory differs from the source's")
    beats(site.a)
    site.b.wait_for("the copy is freed", lambda: "mover" not in site.b.guests())
    move(site.a, site.b, "mover", "verify")
    beats(site.b)
