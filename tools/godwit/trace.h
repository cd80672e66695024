/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows the traced events of a virtual machine, or writes them to a file. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

#define TRACE_USAGE "VM [--kinds KIND,...] [--count N] [--chrome FILE]"

/* godwit trace: print the last events. With --chrome write as many as the hypervisor gives, unless told otherwise, to a
 * file in Chrome's trace-event format, which Perfetto and chrome://tracing open. */
enum status trace_run(int argc, char **argv, bool as_json);
