/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that has held a secret. */
#pragma once

#include <string.h>

/* Fill it with zeros, also if the compiler sees that nobody will read them. */
static inline void wipe(void *memory, size_t len)
{
    memset(memory, 0, len);
    __asm__ volatile("" ::"r"(memory) : "memory");
}
