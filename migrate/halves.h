/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest in two halves: it runs at the destination of a move by post-copy while pages of it are at the source alone.
 * What either end knows of it, and what its operator may want. Host loop.
 */
#pragma once

#include "migrate/dest.h"

struct vm;

struct halves {
    bool here;            /* it runs here; else its memory is here */
    char peer[DEST_PEER]; /* the other end: ADDRESS:PORT */
    /* MIGRATE_POSTCOPY_ACTIVE, _PAUSED (there is no connection), or _RECOVER (what is missing is just being said). */
    enum migrate_status status;
    u64 silent_ms; /* since anything has last come from the other end */
    bool lost;     /* the other end is where it ran, and has answered that it knows of no such guest */
    u64 missing;   /* bytes */
    u64 ms_left;   /* until none is missing, or LEFT_UNKNOWN, LEFT_UNASKED (migrate/stats.h) */
};

/* Is this VM in two halves, of which one is here? */
bool halves_of(const struct vm *vm, struct halves *halves);

/* Contract: source_start_postcopy; and -ENODEV: it goes to a file. */
int halves_make(struct vm *vm);

/* All that is missing shall come, asked for or not: the operator says so at either end. Returns 0, or -ENOENT if the VM
 * is whole. */
int halves_join(struct vm *vm);
