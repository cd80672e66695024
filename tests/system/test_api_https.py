# SPDX-License-Identifier: BSD-2-Clause
"""What test_api.py asks, by HTTPS: requests and answers of each form and length.

Those tests are not here that open many connections at a time: each would cost the emulated machine a handshake.
"""

import pytest
import test_api
from https import secured
from network import Network
from test_api import (  # noqa: F401
    test_client_that_goes_away, test_console, test_empty_lines_between_requests, test_errors, test_godwit,
    test_godwit_console, test_godwit_console_takes_long_input, test_godwit_uses_no_proxy, test_head_has_no_body,
    test_keep_alive_and_pipelining, test_log_is_followed, test_malformed, test_metrics, test_pause_and_resume,
    test_reads, test_request_in_small_pieces, test_same_port_again, test_token, test_waiting_ends_without_news)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    directory = tmp_path_factory.mktemp("api-https")
    ca = secured(directory, test_api.TOKEN, test_api.ADDRESS)
    config = test_api.CONFIG.replace("insecure = yes\n", "certificate = api.pem\n")

    def connect(*to):
        return ca.client(Network.connect(*to), test_api.ADDRESS)

    yield from test_api.qemu_target(directory, connect, 443, config, GODWIT_CACERT=str(ca.file), GODWIT_INSECURE="0")
