# SPDX-License-Identifier: BSD-2-Clause
"""The kit's own virtio driver: two guests talk over the switch while a third lies in its rings."""

import re

import pytest
from machine import boot, vm

LIES = ["loop", "beyond the table", "empty buffer", "not in RAM", "writable", "jumped", "indirect", "misaligned"]


@pytest.mark.parametrize("emu", [pytest.param("qemu", marks=pytest.mark.smoke), "bochs"])
def test_peers_and_a_liar(tmp_path, emu):
    config = vm("server", "virtio.elf", cmdline="echo=server", memory="32M") + \
        vm("client", "virtio.elf", cmdline="echo=client", memory="32M", mac="52:54:00:00:00:77") + \
        vm("liar", "virtio.elf", cmdline="attack=rings", memory="32M")
    done = boot(tmp_path, config, emu, 2 if emu == "qemu" else 1, 512)
    for name in ("server", "client", "liar"):
        assert not [line for line in done.guest_lines(name) if "FAIL" in line or "SKIP" in line], done.log[-4000:]
        assert done.end_of(name) == ("passed", "verdict 0")
    assert any("52:54:00:00:00:77" in line for line in done.guest_lines("client"))
    assert done.number(r"server: \| virtio: (\d+) frames echoed") > 200
    # The liar's device was stopped, with a reason each time; nobody else's was, and the log was not flooded.
    stopped = re.findall(r" virtio: (\S+): (\S+) stopped: queue \d: (.*)", done.log)
    assert {(name, device) for name, device, _ in stopped} == {("liar", "virtio-net")}
    for lie in LIES:
        assert any(lie in reason for _, _, reason in stopped), lie
    assert len(stopped) <= 32
    assert done.status == 0, done.errors
