/* SPDX-License-Identifier: BSD-2-Clause */
/* godwit console VM. */
#pragma once

#include "tools/godwit/client.h"

/* Connect standard input and output to the VM's console until Ctrl-] or the end of input. */
enum status console_run(const char *vm);
