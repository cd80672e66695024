/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows answers to people. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

/* Print the answer as text, or as JSON. It may not be JSON at all: then STATUS_FAILED, with the reason on stderr. */
enum status show(const struct reply *reply, bool as_json);
