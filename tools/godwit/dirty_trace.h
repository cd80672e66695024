/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes which pages a guest dirties, interval by interval, to a file. */
#pragma once

#include "tools/godwit/client.h"

#define DIRTY_TRACE_USAGE "VM [--every MS] [--for S] -o FILE"
#define DIRTY_TRACE_HELP                                                                                 \
    "      --every MS  length of an interval, 100 unless told; --for S: of the whole, 10 unless told\n"  \
    "      -o FILE     docs/dirty-trace.md has its format; tools/dirty-trace and tools/replay read it\n" \
    "      Ctrl-C ends the trace; the file is whole then, too\n"

/* godwit dirty-trace: begin a trace, and take it to its end. */
enum status dirty_trace_run(int argc, char **argv);
