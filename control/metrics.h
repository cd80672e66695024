/* SPDX-License-Identifier: BSD-2-Clause */
/* All counters, in Prometheus' text format 0.0.4. docs/api.md lists the metrics. */
#pragma once

#include "control/buffer.h"

/* Write the head of a metric: its help, and its type: "counter" ... */
static inline void metric_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Append the metrics as they are now. Host loop. */
void metrics_write(struct buffer *out);
