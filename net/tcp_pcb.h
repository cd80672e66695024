/* SPDX-License-Identifier: BSD-2-Clause */
/* A TCP port that takes connections, for tcp_server.c and tcp_stream.c; inside net/ only. */
#pragma once

#include <lwip/altcp.h>

/* Listen on a port of all addresses; `accept` is called with `arg` for each connection. Returns 0, -EADDRINUSE or
 * -ENOMEM. Host loop. */
int tcp_listen(u16_t port, void *arg, altcp_accept_fn accept);
