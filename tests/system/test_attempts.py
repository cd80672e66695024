# SPDX-License-Identifier: BSD-2-Clause
"""Who tries tokens: the API, as a program of this machine, hears less and less of him."""

import contextlib
import time

import pytest
from machine import PROGRAM
from test_api import TOKEN, host_target, keep_alive


@pytest.fixture
def target():
    yield from host_target()


def test_wrong_tokens(target):
    """After many of them an address is not heard, whatever it sends; but connections that are known go on, and what has
    no token at all is no attempt."""
    with target.connect() as known:
        known.settimeout(PROGRAM)
        for _ in range(30):
            assert target.ask("GET", "/v1/vms", token="")[0] == 401
        deadline, count = time.monotonic() + PROGRAM, 0
        known.sendall(keep_alive("/v1/version"))
        assert known.recv(4096).startswith(b"HTTP/1.1 200")
        while (answer := target.ask("GET", "/v1/vms", token=f"guess{count}"))[0] == 401:
            count += 1
            assert time.monotonic() < deadline
        assert answer[0] == 429 and answer[1]["Retry-After"] == "1" and answer[1]["Connection"] == "close"
        assert count >= 20
        status = target.ask("GET", "/v1/vms", token=TOKEN)[0]
        assert status == 429 or time.monotonic() > deadline - PROGRAM + 20
        known.sendall(keep_alive("/v1/version"))
        assert known.recv(4096).startswith(b"HTTP/1.1 200")
        while target.ask("GET", "/v1/vms", token=TOKEN)[0] != 200:
            assert time.monotonic() < deadline


def admitted(target, stack):
    """A connection whose token is looked at, as soon as there is one."""
    while True:
        with contextlib.ExitStack() as mine, contextlib.suppress(ConnectionResetError):
            sock = mine.enter_context(target.connect())
            sock.settimeout(PROGRAM)
            sock.sendall(keep_alive("/v1/version"))
            if sock.recv(4096).startswith(b"HTTP/1.1 200"):
                stack.push(mine.pop_all())
                return sock


def test_they_stay_strangers(target):
    """Those that are not heard have no more places than others."""
    while target.ask("GET", "/v1/vms", token="guess")[0] != 429:
        pass
    with contextlib.ExitStack() as stack:
        known = admitted(target, stack)
        for _ in range(30):
            sock = stack.enter_context(target.connect())
            with contextlib.suppress(OSError):
                sock.sendall(keep_alive("/v1/version").replace(TOKEN.encode(), b"guess"))
        known.sendall(keep_alive("/v1/version"))
        assert known.recv(4096).startswith(b"HTTP/1.1 200")
