/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of the log about connections of TLS that failed. Strangers can't have many. Host loop. */
#pragma once

#include "net/tcp_address.h"
#include "net/tls_counters.h"

/* Count the fault, and log it unless strangers have had their lines. `peer` may have a port. */
void tls_report(const struct tcp_address *peer, enum tls_fault fault, u64 now);
