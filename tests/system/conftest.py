# SPDX-License-Identifier: BSD-2-Clause
"""What tests of several files are given, and in which order parallel workers take them."""

import faulthandler
import itertools
import os
import re
import signal
from collections import Counter

import pytest
from network import Network, Unavailable


LONGEST = 1500  # s, more than any program of a test may take: a test that takes longer waits for what never comes
# What takes half a minute or more: machines of which one test after the other asks something, or that only wait.
FIRST = re.compile("::test_linux_serves_and_moves|test_failover.py|test_migrate_converge.py|::test_idle_guest_sleeps|"
                   "test_migrate_failure.py|::test_three_members")
AGAIN = 10  # s


def pytest_configure(config):
    config.terminal = os.dup(2)  # before pytest catches what tests print
    config.addinivalue_line("markers", "alone: measures rates or times, so tools/test runs it with nothing beside it")
    config.addinivalue_line("markers", "smoke: one of a few quick tests in QEMU that `make quick` runs")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A test that hangs fails, and it is shown where each thread waits. It may wait again on its way out, such as for a
    program that its `with` had started, and is thrown out of that, too."""
    def hang(*_):
        faulthandler.dump_traceback(item.config.terminal)
        pytest.fail(f"it hangs: no end after {LONGEST} s")

    signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, LONGEST, AGAIN)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def net():
    """A network of the test's own."""
    with Network() as network:
        yield network


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call):
    """A test that lacks its network is skipped, wherever it made one."""
    if call.excinfo and call.excinfo.errisinstance(Unavailable):
        words = f"no test network: {call.excinfo.value}"
        call.excinfo = pytest.CallInfo.from_call(lambda: pytest.skip(words), call.when).excinfo


def shared_machines(item):
    """A name for the machines that the test shares with others of its file; empty if it boots its own."""
    defined = item._fixtureinfo.name2fixturedefs
    fixtures = sorted(name for name in item.fixturenames if name in defined and defined[name][-1].scope == "module")
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    chosen = [str(parameters[name]) for name in fixtures if name in parameters]
    return " ".join([item.path.stem, *fixtures, *chosen]) if fixtures else ""


@pytest.hookimpl(hookwrapper=True)
def pytest_collection_modifyitems(config, items):
    """Tests that share machines go to one worker together, and every other test goes by itself. What takes long begins
    first, so that in the end no worker waits for another: what is known to, then the groups, then the single tests. Of
    what runs in Bochs, where a boot takes several times as long, every second one is: of more such machines at a time
    each would get so little of a processor that its peer gives it up."""
    if not config.getoption("loadgroup", False):  # of pytest-xdist; without it the order of the files is right
        yield
        return
    sizes = Counter()
    for item in items:
        if group := shared_machines(item):
            item.add_marker(pytest.mark.xdist_group(group))
            sizes[group] += 1
    yield

    def group_of(item):
        mark = item.get_closest_marker("xdist_group")
        return mark.args[0] if mark else ""

    def rank(item):
        return not FIRST.search(item.nodeid), -sizes[group_of(item)], group_of(item)

    items.sort(key=rank)
    scopes = {True: [], False: []}
    for _, scope in itertools.groupby(items, lambda item: group_of(item) or item.nodeid):
        tests = list(scope)
        scopes["bochs" in tests[0].nodeid].append(tests)
    by_turns = itertools.zip_longest(scopes[True], scopes[False], fillvalue=[])
    items[:] = [item for pair in by_turns for tests in pair for item in tests]
