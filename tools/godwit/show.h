/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows answers to people. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

/* Print the answer as text, or as JSON. If it is none of JSON: as reply_json. */
enum status show(struct reply *reply, bool as_json);
