# SPDX-License-Identifier: BSD-2-Clause
"""The dirty log against its oracle: the guest writer writes, the hypervisor keeps a second copy of its memory by the
log alone and compares all of it after every round."""

import re

import pytest
from machine import boot, vm

# All that can track writes there; with PML only VT-x.
# Under Bochs time is counted in instructions. QEMU's guest races with real time, and may end before a round on a busy
# machine: there the same checks are for people, by the [vm] keys of docs/dirty-log.md.
PRODUCERS = {"bochs": ["write-protect", "dbit", "pml"]}
# Many pages and the same pages often, and in passing both ways of splitting and both kinds of host. The other tests
# have the other patterns.
CASES = [("hot", "lazy", 2), ("few", "eager", 1)]


def writer(log, pattern="uniform", split="lazy", check=50, drop=0, **options):
    options = {"pages": 512, "rate": 8, "ticks": 60, "words": 64, "pattern": pattern} | options
    if pattern == "few":
        del options["words"]
    cmdline = " ".join(f"{key}={value}" for key, value in options.items())
    keys = {"dirty-log": log, "dirty-split": split, "dirty-check": check, "dirty-drop": drop}
    return vm("writer", "writer.elf", memory="8M", cmdline=cmdline, **keys)


def counts(done):
    """The numbers of the summary by their names."""
    lines = re.findall(r" dirty: writer: (rounds .*|by fault .*|harvests .*|scanned .*)", done.log)
    assert len(lines) == 4, done.log[-4000:]
    found = re.findall(r"([a-z][a-z -]*?) (\d+)", " ".join(lines))
    return {name.removeprefix("of ").removeprefix("by "): int(number) for name, number in found}


def passed(done):
    """The counts of a run in which all went well."""
    assert done.end_of("writer") == ("passed", "verdict 0"), done.log[-4000:]
    assert "writer: PASS every page holds what was written to it" in done.guest_lines("writer")
    assert done.status == 0, done.errors
    n = counts(done)
    assert n["missed"] == 0 and n["rounds"] > 0 and n["pages"] > 0
    # One flush a vcpu for a round that took something, and none for one that did not.
    assert n["retired"] <= n["harvests"]
    assert n["flushes"] <= n["generations"] <= n["retired"] + n["starts"]
    return n


@pytest.mark.parametrize("emu,producer", [(emu, producer) for emu in PRODUCERS for producer in PRODUCERS[emu]])
@pytest.mark.parametrize("pattern,split,cpus", CASES, ids=[case[0] for case in CASES])
def test_nothing_is_missed(tmp_path, emu, producer, pattern, split, cpus):
    n = passed(boot(tmp_path, writer(producer, pattern, split), emu, cpus, 256))
    reported = {"write-protect": n["fault"], "dbit": n["dbit"], "pml": n["pml"]}
    assert reported.pop(producer) > 0
    assert not any(reported.values())
    if producer == "write-protect":
        assert n["faults"] <= 1.02 * n["fault"]
    else:
        assert n["faults"] <= (4 if split == "lazy" else 0)  # one for each 2 MiB


@pytest.mark.parametrize("emu", PRODUCERS)
def test_change_of_producer(tmp_path, emu):
    """Each in turn, stopped and started again in between."""
    n = passed(boot(tmp_path, writer("each", check=10, ticks=200), emu, 2, 256))
    assert n["starts"] > len(PRODUCERS[emu])
    assert n["fault"] > 0 and n["dbit"] > 0


def test_full_buffers(tmp_path):
    """More pages than a PML buffer has entries, between two exits."""
    config = writer("pml", "sequential", "eager", pages=1000, rate=1000, words=1, tick=20000, ticks=10)
    n = passed(boot(tmp_path, config, "bochs", 2, 256))
    assert 0 < n["log-full"] <= 1.05 * -(-n["pml"] // 512)


@pytest.mark.parametrize("emu", PRODUCERS)
def test_the_check_notices(tmp_path, emu):
    """A harvest that loses one page in seven."""
    done = boot(tmp_path, writer("write-protect", drop=7), emu, 1, 256)
    assert done.end_of("writer")[0] == "failed"
    assert done.status == 1
    assert counts(done)["missed"] > 0
    assert re.search(r"dirty: writer: missed gpa 0x[0-9a-f]+ in round", done.log)


@pytest.mark.parametrize("emu", PRODUCERS)
def test_dirty_rate(tmp_path, emu):
    """Measured without a migration: the log goes on, and off again."""
    done = boot(tmp_path, writer("dbit", "sequential", tick=10000, rate=10, words=8, check=200), emu, 1, 256)
    passed(done)
    rate = done.number(r"dirty: writer: dirty rate (\d+) pages/s")
    assert 0 < rate < 3000  # 1000, plus the guest's start and less what the emulator is late
    off, on = (done.log.index(f"dirty: writer: log {word}") for word in ("off", "on by dbit"))
    assert on < off
