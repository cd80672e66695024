/* SPDX-License-Identifier: BSD-2-Clause */
/* A migration that does nothing but remember what the commands asked of it. A move that is active can be cancelled. */
#pragma once

#include "migrate/halves.h"
#include "migrate/migration.h"

struct fake_migration {
    unsigned moves; /* 0 or 1 */
    struct move move;
    enum migrate_status status;  /* that moves have at once, and keep */
    int cancel;                  /* what migration_cancel returns */
    enum source_state contested; /* what migration_contested says; SOURCE_OWNER: nothing */
    bool outgoing, busy;         /* busy: a move of one that has ended is ending */
    bool judged;                 /* a witness is asked before a guest is started */
    bool asking;                 /* others are asked who has web */
    u64 contested_epoch;
    u64 stranded_epoch; /* of the copy that has come and is prepared; 0: none */
    bool split;         /* and pages of that copy are elsewhere */
    bool adopted;
    enum resolution resolution;
    unsigned resolved, limits_changed;
    struct halves halves; /* of "web"; nothing missing: it is whole */
    int resolve;          /* what migration_resolve returns */
};

extern struct fake_migration fake_migration;
