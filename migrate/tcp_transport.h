/* SPDX-License-Identifier: BSD-2-Clause */
/* A migration's transport over a TCP stream of net/. Host loop. */
#pragma once

#include "migrate/transport.h"

struct tcp_stream;

/* The stream belongs to the transport from now on. */
struct transport tcp_transport(struct tcp_stream *stream);
