# SPDX-License-Identifier: BSD-2-Clause
"""Linux without message-signalled interrupts: its card interrupts by a line, through the I/O APIC or the 8259s, before
and after a move."""

import re

import pytest
from kernel_log import suspicious
from machine import SOON, TIMEOUT, vm
from migration import Site, alive, move, says
from serving import receive, send

BYTES = 1 << 20  # each way: thousands of interrupts

# By name: its address, words for its kernel, and how /proc/interrupts names what carries the card's line.
GUESTS = {
    "nomsi": ("10.9.0.11", "pci=nomsi", r"IO-APIC +17-fasteoi +virtio"),
    "nolapic": ("10.9.0.12", "nolapic", r"XT-PIC +virtio"),
    "noacpi": ("10.9.0.13", "acpi=off", r"XT-PIC +virtio"),
}


def config():
    return "".join(vm(name, "vmlinuz", initrd="initramfs.cpio", memory="128M",
                      autostart="no", cmdline=f"{SOON} quiet ip={address}/24 {words}")
                   for name, (address, words, _) in GUESTS.items())


def serves(site, host, name):
    """It answers and data arrives unharmed, and it is the line that told its driver."""
    address, _, chip = GUESTS[name]
    assert alive(site.net, address)
    send(site.net, address, BYTES)
    receive(site.net, address, BYTES)
    host.type(name, "grep virtio /proc/interrupts; echo lines''end")
    lines = says(host, name, r"(?s)(.*)linesend").group(1)
    assert re.search(chip, lines) and "MSI" not in lines, lines


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("intx") / "site") as both:
        both.a.boot(config(), cpus=2, mem=768)
        both.b.boot(cpus=2, mem=768)
        both.a.answers()
        both.b.ready()
        yield both


@pytest.mark.parametrize("name", GUESTS)
def test_network_by_a_line(site, name):
    """One after the other, and gone in the end: the ticks of two of them never stop."""
    site.a.post(f"/v1/vms/{name}/start")
    site.a.machine.wait(f"{name}: \\| godwit-guest: ready", TIMEOUT["qemu"])
    serves(site, site.a, name)
    # Debian's kernel warns of itself when it wants MSI-X and has no local APIC (drivers/pci/msi/msi.h).
    site.a.type(name, "dmesg -c >/dev/null; echo clea''red")
    says(site.a, name, "cleared")
    move(site.a, site.b, name, "verify")
    serves(site, site.b, name)
    site.b.type(name, "dmesg -r | grep '^<[0-4]>'; echo dmesg''end")
    assert not suspicious(says(site.b, name, r"(?s)(.*)dmesgend").group(1).splitlines())
    site.b.post(f"/v1/vms/{name}/poweroff")
