/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The facts that lwIP needs about the compiler and the hypervisor. lwIP includes this file by its name, "arch/cc.h".
 *
 * One CPU, the host loop's, runs all of lwIP: no locking, no critical sections.
 */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/types.h>

#include "host/log.h"
#include "host/panic.h"
#include "host/types.h"

#define BYTE_ORDER LITTLE_ENDIAN

#define LWIP_NO_UNISTD_H 1
#define LWIP_NO_INTTYPES_H 1
#define X8_F "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

/* newlib has ssize_t but not SSIZE_MAX, and lwIP takes the type for missing if its limit is. */
#define SSIZE_MAX LONG_MAX

/* lwIP calls LWIP_PLATFORM_DIAG(("format", arguments)); its newlines make empty lines in our log, which are harmless.
 */
#define LWIP_PLATFORM_DIAG(arguments) pr_info arguments
#define LWIP_PLATFORM_ASSERT(message) panic("lwip: %s at %s:%d", message, __FILE__, __LINE__)

/* For port numbers and the like. net/stack.c. */
u32 net_random(void);
#define LWIP_RAND() net_random()

/* Our own checksum, which is faster than lwIP's. */
u16 csum_lwip(const void *data, int len);
#define LWIP_CHKSUM csum_lwip
