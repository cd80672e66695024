/* SPDX-License-Identifier: BSD-2-Clause */
/* godwit save, restore and image: a VM into a file and back, and what a file has. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

#define SAVE_USAGE "VM FILE [--live] [--verify]"
#define SAVE_HELP                                                                                    \
    "      --live    it runs on, and stands for a moment only; else it is paused when it is saved\n" \
    "      --verify  the file has a digest of all memory, which restore and image compare\n"
#define RESTORE_USAGE "FILE [--name NAME] [--paused] [--new-identity]"
#define RESTORE_HELP                                                       \
    "      --name NAME     call it so; else it has the name that it had\n" \
    "      --paused        leave it paused: godwit resume lets it run\n"   \
    "      --new-identity  make another VM of it, with a MAC of its own: a clone\n"

/* Run them with the arguments behind the command's name. */
enum status save_run(int argc, char **argv);
enum status restore_run(int argc, char **argv, bool as_json);
enum status image_run(const char *path, bool as_json);
