/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of secrets that a hypervisor takes while it runs. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

/* Send the file as the body of POST /v1/COMMAND, and show the answer. Nothing is sent in the clear. */
enum status secrets_run(const char *command, const char *file, bool as_json);
