/* SPDX-License-Identifier: BSD-2-Clause */
/* The sending end with a real VM: what source.h needs of it. Host loop. */
#pragma once

#include "host/list.h"
#include "migrate/forward.h"
#include "migrate/source.h"
#include "mm/dirty.h"
#include "net/tcp_stream.h"
#include "migrate/ram_window.h"

/* A VM that was ever asked to move, until it has moved or for ever. */
struct vm_source {
    struct list node;
    struct vm *vm; /* NULL: it is gone, and its copy here destroyed */
    struct source source;
    struct tcp_address to;
    struct tcp_stream *connecting;
    struct ram_window window;
    struct forward forward;  /* frames for a guest that is gone */
    enum dirty_producer log; /* wanted, then used */
    enum dirty_split split;
    bool frozen;       /* stands still for the last part of the move */
    bool gone;         /* it runs elsewhere: to be destroyed as soon as the last words are said */
    struct move *move; /* its record */
    struct migration_totals *totals;
};

/* The ops of migrate/source.h; their `vm` is a struct vm_source. */
extern const struct migrate_source_ops vm_source_ops;

/* Let go of what the last attempt has left: a connection that was not yet there. */
void vm_source_end(struct vm_source *from);
