# SPDX-License-Identifier: BSD-2-Clause
"""What tests of several files are given."""

import pytest
from network import Network, Unavailable


@pytest.fixture
def net():
    """A network of the test's own; where there can be none, the test is skipped."""
    try:
        with Network() as network:
            yield network
    except Unavailable as missing:
        pytest.skip(f"no test network: {missing}")
