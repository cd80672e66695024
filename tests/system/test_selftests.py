# SPDX-License-Identifier: BSD-2-Clause
"""What the processor does for programs, by the tests that Linux has of it: the same with Godwit as without, before, in
and after a move. `make selftests` runs all of them, on both backends, beside the emulators alone."""

import pytest
import selftests
from migration import Site


def test_programs(tmp_path):
    """Those that are quick, on AMD-V."""
    if selftests.missing():
        pytest.skip(selftests.missing())
    with Site(tmp_path) as site:
        selftests.boot(site, "qemu")
        first, moves = selftests.run(site, "quick", moves=1)
        again, _ = selftests.run(site, "quick")
    assert moves == 1 and len(first) > 35
    for results in (first, again):
        assert {name: status for name, status in results.items() if status} == selftests.FAILS["qemu"]
