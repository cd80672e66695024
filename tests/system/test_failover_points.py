# SPDX-License-Identifier: BSD-2-Clause
"""Some of the points at which something fails; `make proof-failover` goes through all."""

from failover import Pair
from failpoints import FailPoint, fail

POINTS = [FailPoint("in a checkpoint", "primary killed"), FailPoint("taking over", "witness killed"),
          FailPoint("first copy", "secondary killed")]


def test_points(tmp_path):
    """One after the other, on one pair."""
    with Pair(tmp_path) as pair:
        for point in POINTS:
            fail(pair, point)
