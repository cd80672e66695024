/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP for the small servers of the Linux guest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A listening socket on all addresses, IPv4 and IPv6. Exits with a message if there is none to be had. */
int serve_listen(uint16_t port);

/* Who connects is answered from here on: the program goes on in the background, and who started it need not wait. */
void serve_in_background(void);

/* Send all. Returns 0, or -1 when the peer has gone. */
int serve_send(int fd, const void *data, size_t size);

/* The same for a formatted text of at most 511 characters. */
int serve_print(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
