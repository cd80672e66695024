/* SPDX-License-Identifier: BSD-2-Clause */
/* godwit shutdown, suspend: ask a guest to end, or to sleep; wait until it does, and say what came of it. */
#pragma once

#include "tools/godwit/client.h"

#define SHUTDOWN_USAGE "VM [--timeout S] [--force] [--detach]"
#define SHUTDOWN_HELP                                                                             \
    "      presses its power button: something in the guest must listen, as systemd does\n"       \
    "      --timeout S       how long the guest may take, 1 to 3600 seconds; 90 unless told\n"    \
    "      --force           power it off if it has not ended by then; without this it runs on\n" \
    "      --detach          return as soon as the guest has been asked; godwit vm VM shows what comes of it\n"

#define SUSPEND_USAGE "VM [--timeout S] [--detach]"
#define SUSPEND_HELP                                                                                       \
    "      presses its sleep button: something in the guest must listen, as systemd does; godwit resume\n" \
    "      wakes it, and so does its power button\n"                                                       \
    "      --timeout S       how long to wait for it to sleep, 30 seconds unless told; it is asked once\n" \
    "      --detach          return as soon as the guest has been asked\n"

/* Run it with the arguments behind the command's name. STATUS_OK: the guest has ended (or with --detach, was asked). */
enum status shutdown_run(int argc, char **argv);
/* The same. STATUS_OK: the guest sleeps. */
enum status suspend_run(int argc, char **argv);
