# SPDX-License-Identifier: BSD-2-Clause
"""Each instruction that loads what a guest or a peer has chosen may fault, and only that VM ends. Values that would
make one fault are refused long before; so here the instruction itself is made one that faults, UD2."""

import re
import socket
import struct
import subprocess
from typing import NamedTuple

import pytest
from machine import IMAGES, PROGRAM, ROOT, boot, run_to_end, vm
from migration import Site, beats

ELF = IMAGES / "godwit.elf"
UD2 = b"\x0f\x0b"
# How the end of a VM names an instruction, by its bytes.
NAMES = {rb"\x0f\x01\xd1": "XSETBV", rb"[\x48-\x4f]\x0f\xae[\x28-\x2f]": "XRSTOR",
         rb"[\x48-\x4f]\x0f\xae[\x08-\x0f]": "FXRSTOR", rb"\x0f\x30": "WRMSR", rb"\x0f\x23": "MOV to DR6",
         rb"\x0f\x01[\xc2\xc3\xd8\xda]": "VM entry"}


class Place(NamedTuple):
    """An entry of the table that host/fixup.h makes."""
    address: int
    function: str
    code: bytes

    @property
    def name(self):
        return next(name for code, name in NAMES.items() if re.match(code, self.code, re.S))


class Image:
    """The hypervisor's program."""

    def __init__(self):
        self.bytes = ELF.read_bytes()
        offset, count = struct.unpack_from("<Q", self.bytes, 32)[0], struct.unpack_from("<H", self.bytes, 56)[0]
        segments = [struct.unpack_from("<IIQQQQ", self.bytes, offset + 56 * i) for i in range(count)]
        self.segments = [(at, start, size) for _, _, start, at, _, size in segments]
        listing = run_to_end(["nm", "--defined-only", IMAGES / "godwit.debug"], stdout=subprocess.PIPE,
                             text=True, check=True).stdout
        self.symbols = {name: int(at, 16) for at, _, name in re.findall(r"(\w+) (\w) (\S+)\n", listing)}

    def offset(self, address):
        """Where in the file an address is."""
        return next(start + address - at for at, start, size in self.segments if at <= address < at + size)

    def function(self, address):
        return max((at, name) for name, at in self.symbols.items() if at <= address and not name.startswith("."))[1]

    def places(self, *functions):
        """The instructions of these functions that may fault."""
        found = []
        for at in range(self.symbols["__fixups_start"], self.symbols["__fixups_end"], 8):
            address = at + struct.unpack_from("<i", self.bytes, self.offset(at))[0]
            start = self.offset(address)
            found.append(Place(address, self.function(address), self.bytes[start:start + 8]))
        return [place for place in found if place.function in functions]


class Debugger:
    """QEMU's server for gdb, by its serial protocol. While it is connected the machine stands."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PROGRAM)
        self.sock.connect(str(path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ask("D")
        self.sock.close()

    def ask(self, text):
        self.sock.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())
        answer = b""
        while not (found := re.search(rb"\$([^T#][^#]*)#..", answer)):  # T: that it stands
            piece = self.sock.recv(4096)
            assert piece, answer
            answer += piece
        self.sock.sendall(b"+")
        assert found.group(1) == b"OK", (text, answer)

    def write(self, address, data):
        self.ask(f"M{address:x},{len(data):x}:{data.hex()}")


@pytest.mark.parametrize("model, names", [
    ("max", ["VM entry", "VM entry", "WRMSR", "XRSTOR", "XSETBV", "XSETBV"]),
    ("max,-xsave", ["FXRSTOR"])], ids=["xsave", "no xsave"])
def test_one_vm_ends(tmp_path, model, names):
    """One after the other, in QEMU: the guest that is loaded next ends, and names the instruction; the others go on."""
    places = [place for place in Image().places("resident_set", "svm_enter", "svm_enter_vmrun") if place.name in names]
    assert sorted(place.name for place in places) == names
    with Site(tmp_path) as site:
        guests = [f"guest{i}" for i in range(len(places) + 1)]
        a, gdb = site.a, tmp_path / "gdb"
        a.boot("".join(vm(name, "mover.elf", memory="8M", cmdline="rate=1 tick=50000") for name in guests), mem=256,
               extra=["-cpu", model, "-gdb", f"unix:{gdb},server=on,wait=off"])
        a.ready()
        for name in guests:
            beats(a, name)
            a.post(f"/v1/vms/{name}/pause")
        for name, place in zip(guests, places):
            with Debugger(gdb) as debugger:
                debugger.write(place.address, UD2)
            a.post(f"/v1/vms/{name}/resume")
            a.wait_for(f"{name} ends", lambda name=name: a.guests()[name] == "crashed")
            with Debugger(gdb) as debugger:
                debugger.write(place.address, place.code)
            reason = a.get(f"/v1/vms/{name}")["reason"]
            assert reason.startswith(place.name) and reason.endswith("raised #UD invalid opcode")
        a.post(f"/v1/vms/{guests[-1]}/resume")
        beats(a, guests[-1])
        assert sorted(a.guests().values()) == ["crashed"] * len(places) + ["running"]


@pytest.mark.parametrize("function, name", [("vmx_enter", "VM entry"), ("vmx_syscall_put", "WRMSR"),
                                            ("vmx_restore", "MOV to DR6")])
def test_vtx(tmp_path, function, name):
    """In Bochs the program on the disk is changed."""
    image, disk, changed = Image(), tmp_path / "disk.img", tmp_path / "godwit.elf"
    at = image.offset(next(place.address for place in image.places(function) if place.name == name))
    changed.write_bytes(image.bytes[:at] + UD2 + image.bytes[at + len(UD2):])
    config = tmp_path / "godwit.cfg"
    config.write_text(vm("guest", "hello.elf", memory="8M"))
    run_to_end([ROOT / "tools/mkimage", "-o", disk, "-c", config, changed, ROOT / "build/guest/hello.elf"],
               check=True, stdout=subprocess.DEVNULL)
    outcome = boot(tmp_path, None, "bochs", image=disk)
    status, reason = outcome.end_of("guest")
    assert status == "crashed" and reason.startswith(name) and reason.endswith("raised #UD invalid opcode")
    assert outcome.status == 1 and "VMCS: last exit" in outcome.log
