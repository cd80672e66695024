/* SPDX-License-Identifier: BSD-2-Clause */
/* godwit migrate: begin a move, show its progress, say how it ended. */
#pragma once

#include <stdbool.h>

#include "tools/godwit/client.h"

#define MIGRATE_USAGE \
    "VM DEST [--check] [--mode MODE] [--verify] [--with-images] [--stopped] [--force] [--timeout S] [--detach]"
#define MIGRATE_HELP                                                                                               \
    "      DEST is ADDRESS[:PORT], with a port an IPv6 one in brackets; the port is 4900 unless told\n"            \
    "      --check           ask whether it would be taken; nothing moves\n"                                       \
    "      --mode MODE       live, the default: copy it while it runs; stop-copy: stop it first, then copy it;\n"  \
    "                        post-copy: let it run there at once, its memory follows; hybrid: copy it, then so;\n" \
    "                        demand: only what it touches follows, until godwit pull VM;\n"                        \
    "                        cold: shut it down, and start it anew there, with its files;\n"                       \
    "                        auto: live, post-copy or hybrid, as --check would advise\n"                           \
    "      --verify          compare digests of memory and state before it is let go there\n"                      \
    "      --with-images     the files that it starts from follow it, so that it can be reset there\n"             \
    "      --stopped         cold: do not start it there\n"                                                        \
    "      --timeout S       cold: how long it may take to shut down, 90 seconds unless told\n"                    \
    "      --force           cold: power it off if it has not shut down by then; else it stays\n"                  \
    "      --detach          return as soon as the move has begun\n"                                               \
    "      Ctrl-C ends the command, not the move: godwit query-migrate VM tells how that goes on,\n"               \
    "      godwit migrate_cancel VM ends it, and the guest runs on where it was\n"

/* Run it with the arguments behind the command's name. */
enum status migrate_run(int argc, char **argv, bool as_json);
