/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Services to measure the stack with, if the configuration says so: echo (TCP port 7, RFC 862); discard (9, RFC 863),
 * which logs how many bytes came and their sum; and source (19, in the spirit of RFC 864), which sends as long as the
 * client reads.
 */
#pragma once

#define TESTD_DISCARD 9 /* TCP port */

/* Listen. Boot, after net_init. */
void testd_start(void);
