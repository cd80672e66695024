/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters of connections of TLS (net/tls_counters.h), as `net` and /metrics show them. Host loop. */
#pragma once

struct buffer;
struct json;

void tls_view_metrics(struct buffer *out);
void tls_view_json(struct json *out);
