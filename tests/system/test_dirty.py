# SPDX-License-Identifier: BSD-2-Clause
"""The dirty log against its oracle: the guest writer writes, the hypervisor keeps a second copy of its memory by the
log alone and compares all of it after every round."""

import re

import pytest
from machine import boot, budget, vm

# All that can track writes there; with PML only VT-x.
PRODUCERS = {"bochs": ["write-protect", "dbit", "pml"], "qemu": ["write-protect", "dbit"]}
# Each pattern; in passing both ways of splitting and, where booting is quick, both kinds of host.
SPLIT = {"sequential": "lazy", "hot": "lazy", "uniform": "eager", "few": "eager"}
CASES = [(emu, producer, patterns, cpus)
         for emu, patterns, cpus in (("bochs", list(SPLIT), 2), ("qemu", ["sequential", "hot"], 2),
                                     ("qemu", ["uniform", "few"], 1))
         for producer in PRODUCERS[emu]]
# How long to write, so that several rounds come meanwhile. Under Bochs time is counted in instructions, and a round of
# the debug image needs several times as many; in QEMU a guest with a processor of its own races with rounds in real
# time.
TICKS = {("bochs", 2): budget(300, debug=600), ("qemu", 1): 200, ("qemu", 2): 2000}


def writer(log, pattern="uniform", split="lazy", check=50, drop=0, name="writer", **options):
    options = {"pages": 512, "rate": 8, "ticks": 60, "words": 64, "pattern": pattern} | options
    if pattern == "few":
        del options["words"]
    cmdline = " ".join(f"{key}={value}" for key, value in options.items())
    keys = {"dirty-log": log, "dirty-split": split, "dirty-check": check, "dirty-drop": drop}
    return vm(name, "writer.elf", memory="8M", cmdline=cmdline, **keys)


def counts(done, name="writer"):
    """The numbers of the summary by their names."""
    lines = re.findall(rf" dirty: {name}: (rounds .*|by fault .*|harvests .*|scanned .*)", done.log)
    assert len(lines) == 4, done.log[-4000:]
    found = re.findall(r"([a-z][a-z -]*?) (\d+)", " ".join(lines))
    return {name.removeprefix("of ").removeprefix("by "): int(number) for name, number in found}


def passed(done, name="writer"):
    """The counts of a run in which all went well."""
    assert done.end_of(name) == ("passed", "verdict 0"), done.log[-4000:]
    assert "writer: PASS every page holds what was written to it" in done.guest_lines(name)
    assert done.status == 0, done.errors
    n = counts(done, name)
    assert n["missed"] == 0 and n["rounds"] > 0 and n["pages"] > 0
    # One flush a vcpu for a round that took something, and none for one that did not.
    assert n["retired"] <= n["harvests"]
    assert n["flushes"] <= n["generations"] <= n["retired"] + n["starts"]
    return n


@pytest.mark.parametrize("emu, producer, patterns, cpus", CASES,
                         ids=["-".join([emu, producer, *patterns]) for emu, producer, patterns, _ in CASES])
def test_nothing_is_missed(tmp_path, emu, producer, patterns, cpus):
    """Of guests that write at once."""
    guests = "".join(writer(producer, pattern, SPLIT[pattern], 100, name=pattern, ticks=TICKS[emu, cpus])
                     for pattern in patterns)
    done = boot(tmp_path, guests, emu, cpus, 256)
    for pattern in patterns:
        n = passed(done, pattern)
        reported = {"write-protect": n["fault"], "dbit": n["dbit"], "pml": n["pml"]}
        assert reported.pop(producer) > 0
        assert not any(reported.values())
        if producer == "write-protect":
            assert n["faults"] <= 1.02 * n["fault"]
        else:
            assert n["faults"] <= 4  # one for each 2 MiB: also eagerly, if it is used first while the log is on


@pytest.mark.parametrize("emu, producer", [("bochs", "pml"), ("qemu", "dbit")])
def test_what_a_device_writes(tmp_path, emu, producer):
    """No processor's log has a byte that a device put into the guest's memory."""
    config = writer(producer, input=2, ticks=TICKS[emu, 2] // 2)
    n = passed(boot(tmp_path, config, emu, 2, 256))
    assert n["hypervisor"] > 0 and n[producer] > 0


def test_change_of_producer(tmp_path):
    """Each in turn, stopped and started again in between."""
    n = passed(boot(tmp_path, writer("each", check=10, ticks=200), "bochs", 2, 256))
    assert n["starts"] > len(PRODUCERS["bochs"])
    assert n["fault"] > 0 and n["dbit"] > 0


def test_full_buffers(tmp_path):
    """More pages than a PML buffer has entries, between two exits."""
    config = writer("pml", "sequential", "eager", pages=1000, rate=1000, words=1, tick=20000, ticks=10)
    n = passed(boot(tmp_path, config, "bochs", 2, 256))
    assert 0 < n["log-full"] <= 1.05 * -(-n["pml"] // 512)


def test_the_check_notices(tmp_path):
    """A harvest that loses one page in seven."""
    done = boot(tmp_path, writer("write-protect", drop=7), "bochs", 1, 256)
    assert done.end_of("writer")[0] == "failed"
    assert done.status == 1
    assert counts(done)["missed"] > 0
    assert re.search(r"dirty: writer: missed gpa 0x[0-9a-f]+ in harvest", done.log)


def test_dirty_rate(tmp_path):
    """Measured without a migration: the log goes on, and off again. The clock counts instructions, one in two
    nanoseconds, so that a busy host makes no difference."""
    config = writer("dbit", "sequential", tick=10000, rate=10, words=8, check=1000, ticks=400)
    done = boot(tmp_path, config, "qemu", 1, 256, extra=["-icount", "shift=1"])
    passed(done)
    rate = done.number(r"dirty: writer: dirty rate (\d+) pages/s")
    assert 500 < rate < 600  # all 512 in a second, and the guest's start
    off, on = (done.log.index(f"dirty: writer: log {word}") for word in ("off", "on by dbit"))
    assert on < off
