/* SPDX-License-Identifier: BSD-2-Clause */
/* A protection of "web" that is as the test says, and does nothing. */
#pragma once

#include "migrate/protect.h"
#include "protect/protection.h"

struct fake_protection {
    bool there; /* web has a record of it */
    struct protection protection;
    enum protection_state state;
    struct protect_info info;
    bool linked; /* there is an end of the stream, with `info` */
    int want, failover, force;
    u64 deed_epoch; /* by which another machine owns it; 0: none does */
    unsigned ended, forced;
};

extern struct fake_protection fake_protection;
