# SPDX-License-Identifier: BSD-2-Clause
"""The exits of a guest that runs, over the API and with the godwit tool."""

import json
import re
import time

import pytest
import test_api
from machine import TIMEOUT


@pytest.fixture(params=["host", "qemu"])
def target(request, tmp_path):
    yield from test_api.host_target() if request.param == "host" else test_api.qemu_target(tmp_path)


def last_exits(target):
    """Those of a guest that sleeps between its looks at the console, so that turns are among them."""
    deadline = time.monotonic() + TIMEOUT["qemu"]
    while time.monotonic() < deadline:
        events = target.json("/v1/vms/web/trace?count=1000")["events"]
        if {"io", "turn"} <= {event["event"] for event in events}:
            return events
        time.sleep(0.2)  # of the processor that the guest needs, too
    raise AssertionError(events[-10:])


def test_trace(target, tmp_path):
    """A guest's last exits, oldest first, by name; those of one kind; and as a file for Perfetto."""
    events = last_exits(target)
    times = [event["us"] for event in events]
    assert times == sorted(times) and times[-1] <= 1000 * (target.json("/v1/version")["uptime_ms"] + 1)
    for event in events:
        assert event["vcpu"] == 0 and int(event["rip"], 16) > 0
    kinds = [event["event"] for event in target.json("/v1/vms/web/trace?kinds=io&count=5")["events"]]
    assert kinds and set(kinds) == {"io"}
    shown = target.godwit("trace", "web", "--kinds", "io,turn", "--count", "2").stdout
    assert re.fullmatch(r" *us +vcpu +event +rip\n( *\d+ +0 +(io|turn) +0x[0-9a-f]+\n){2}", shown), shown

    done = target.godwit("trace", "web", "--kinds", "io", "--chrome", tmp_path / "trace.json")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    exits = [event for event in written if event["ph"] == "i"]
    assert done.stdout.startswith(f"{len(exits)} events in ") and exits
    for event in exits:
        assert (event["name"], event["cat"], event["s"], event["pid"], event["tid"]) == ("io", "exit", "t", 1, 0)
        assert isinstance(event["ts"], int) and int(event["args"]["rip"], 16) > 0
    names = {(event["name"], event["args"]["name"]) for event in written if event["ph"] == "M"}
    assert names == {("process_name", "web"), ("thread_name", "vcpu 0")}
