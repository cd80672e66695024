/* SPDX-License-Identifier: BSD-2-Clause */
/* godwit migrate: begin a move, show how it goes, say how it ended. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

#define MIGRATE_USAGE "VM DEST [--check] [--mode live|stop-copy] [--verify] [--detach]"

/* Run it with the arguments behind the command's name. */
enum status migrate_run(int argc, char **argv, bool as_json);
