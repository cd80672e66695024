# SPDX-License-Identifier: BSD-2-Clause
"""The codes for the cipher (docs/keys.md "Speed"): those in vector registers leave a guest's alone, though the machine
has one processor for both; and the fastest is used.

The guest mover writes patterns into all its vector registers when it starts, and looks for them ten times a second.
"""

import pytest
from machine import vm
from migration import Site, beats, move

MOVER = vm("mover", "mover.elf", memory="16M", cmdline="pages=1000")


def use(host, code):
    assert host.post("/v1/cipher", code=code) == {"cipher": code}
    assert host.get("/v1/query-keys")["cipher"] == code


@pytest.mark.parametrize("emu", ["qemu", "bochs"])
def test_registers_stay(tmp_path, emu):
    """Between two answers of the API, which are encrypted, the guest has its turn."""
    with Site(tmp_path / "site") as site:
        site.a.boot(MOVER, emu=emu, mem=192, alone=True)
        site.a.ready()
        keys = site.a.get("/v1/query-keys")
        assert [row["code"] for row in keys["codes"]] == ["any", "bmi2", "sse2", "avx2"]
        assert keys["cipher"] == max(keys["codes"], key=lambda row: row["bytes-per-second"])["code"]
        for code in "avx2", "sse2":
            use(site.a, code)
            for _ in range(3):
                assert len(site.a.get("/v1/log")["lines"]) > 10
                beats(site.a)


def test_registers_stay_in_a_move(tmp_path):
    """Pages are encrypted by the one, and decrypted by the other, while the guest runs."""
    with Site(tmp_path / "site") as site:
        site.boot(MOVER)
        for source, dest, code in (site.a, site.b, "avx2"), (site.b, site.a, "sse2"):
            use(source, code)
            use(dest, code)
            move(source, dest, "mover", "verify")
            beats(dest)
