/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows the log of a hypervisor, to its end or for ever. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

#define LOG_USAGE "[--follow] [COUNT] [LEVEL]"

/* godwit log: print the last lines; with --follow go on with each new line until a request fails. */
enum status log_run(int argc, char **argv, bool as_json);
