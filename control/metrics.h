/* SPDX-License-Identifier: BSD-2-Clause */
/* All counters, in Prometheus' text format 0.0.4. docs/api.md lists the metrics. */
#pragma once

struct buffer;

/* Append the metrics as they are now. Host loop. */
void metrics_write(struct buffer *out);
