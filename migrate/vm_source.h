/* SPDX-License-Identifier: BSD-2-Clause */
/* The sending end with a real VM: the ops that source.h needs. Host loop. */
#pragma once

#include "host/list.h"
#include "net/forward.h"
#include "migrate/source.h"
#include "migrate/vm_cold.h"
#include "mm/dirty.h"
#include "net/tcp_stream.h"
#include "stream/ram_window.h"

/* A VM that was ever asked to move. It is kept until the VM has moved, else for ever. */
struct vm_source {
    struct list node;
    struct vm *vm; /* NULL: the guest is gone, and its copy here destroyed */
    struct source source;
    struct tcp_address to;
    struct tcp_stream *connecting;
    struct transport file; /* .ops not NULL: the connection, of a VM that is saved, until it is taken */
    struct ram_window window;
    u64 used_page;           /* where a look at what the guest uses goes on */
    struct forward forward;  /* frames for a guest that is gone */
    enum dirty_producer log; /* at first the one that is wanted, then the one that is used */
    enum dirty_split split;
    struct vm_cold cold;
    struct guest_image image; /* what the VM starts from */
    bool frozen;              /* the VM stands still for the last part of the move */
    bool gone;                /* the guest runs elsewhere: destroy the copy here as soon as the last words are said */
    bool again;               /* it only sends files, of a guest that has left before */
    struct move *move;        /* the record of its last move */
    struct migration_totals *totals;
};

/* All of them. vm_source_find: that of a VM; NULL: it was never asked to move. */
extern struct list vm_sources;
struct vm_source *vm_source_find(const struct vm *vm);

/* The ops of migrate/source.h; their `vm` is a struct vm_source. */
extern const struct migrate_source_ops vm_source_ops;

/* No move of the VM, which is here, is under way: do what the last one has left to be done. */
void vm_source_idle(struct vm_source *from);

/* Abort the connection that the last attempt was still opening, if there is one. */
void vm_source_end(struct vm_source *from);
