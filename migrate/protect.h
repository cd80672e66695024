/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest whose copy elsewhere is kept up to date by checkpoints, as the two ends of the stream see it
 * (docs/failover-protocol.md): what they report, and what they are ordered to do. Who may run the guest, and what of
 * its output may leave, the driver of protection decides (protect/); the ends know nothing of it. Host loop.
 */
#pragma once

#include "host/types.h"

/* What an end reports, with a number. An order may be given in the middle of a report. */
enum protect_event {
    /* Source, where the guest runs. */
    PROTECT_STOPPED,      /* the guest stands for the copy of this epoch, E. Answer 0, or -errno: the move fails */
    PROTECT_PREPARED,     /* that copy is prepared, and the guest runs on */
    PROTECT_TAKEN,        /* the guest stands, and its checkpoint of this number was taken */
    PROTECT_CHECKPOINTED, /* checkpoint number n is acknowledged. Destination: it is whole, and in the copy */
    PROTECT_LAST,         /* the last one, number n, is acknowledged, and the guest stands: PROTECT_FINISH is done */
    PROTECT_NO_ROOM,      /* the guest has written more than a checkpoint may have; no more are taken */
    PROTECT_ENDED,        /* the guest has ended; no more are taken */
    PROTECT_ABORTED,      /* ABORTED has come: the copy does not run, and never will */
    PROTECT_UNKNOWN,      /* the destination knows of no such copy; perhaps it was started anew */
    /* Both. */
    PROTECT_LINK_LOST, /* the connection has ended, or is of no more use. No more checkpoints are taken */
    PROTECT_OVER, /* nothing is left of this end. The number is why: enum wire_code. Who owns the guest shows then */
    /* Destination, where the copy is. */
    PROTECT_STANDBY, /* the copy of this epoch, E, is prepared */
    PROTECT_COMMIT,  /* COMMIT has come */
    PROTECT_ABORT,   /* ABORT has come; or (number 1) QUERY with the wish to abort; or (2) the operator gives it up */
    PROTECT_OWNER_HEARD,  /* its source claims the VM under an epoch below E; the connection ended 2 s ago or more */
    PROTECT_HIGHER_EPOCH, /* a claim of this epoch, above E, has come */
    PROTECT_RESERVED,     /* a copy is to come under this epoch, and the VM, which is superseded, is in its way */
};

/* What an end is ordered to do. */
enum protect_order {
    /* Source. */
    PROTECT_PART, /* take no more checkpoints, and ask the destination to abort, by ever new connections if need be. The
                   * guest runs on. Behind PROTECT_HAND: ask so instead of saying COMMIT */
    PROTECT_ALONE, /* the copy there will never run: the guest goes on, the destination is told, and this end is over */
    PROTECT_FINISH, /* take a last checkpoint, and let the guest stand */
    PROTECT_HAND,   /* behind PROTECT_LAST: shut the guest's port, and say COMMIT */
    PROTECT_PAUSE,  /* behind PROTECT_PART: the guest stands until it is known who has it */
    PROTECT_STAND,  /* another machine has it: the copy here stands, superseded */
    /* Destination. */
    PROTECT_SAY,    /* say CHECKPOINTED of the last checkpoint that is whole */
    PROTECT_CLOSE,  /* take no more checkpoints, and no other attempt of the owner */
    PROTECT_ADOPT,  /* let the guest run here, from the last checkpoint that is whole, as soon as that is in the copy */
    PROTECT_FREE,   /* the copy will never run: it is freed, and its source told */
    PROTECT_FORGET, /* it is freed, and its source told nothing but UNKNOWN: it may yet count as the owner's */
    PROTECT_STILL,  /* say PREPARED: it may yet be let run */
};

struct vm;

/* Who decides. Each function is told of an event, with its number; what `source` returns counts for PROTECT_STOPPED. */
struct protect_watcher {
    int (*source)(struct vm *vm, enum protect_event event, u64 number);
    void (*dest)(struct vm *vm, enum protect_event event, u64 number);
};

/* Whose word counts from now on. Boot, once. */
void migration_protect_watch(const struct protect_watcher *driver);

/* Tell it. For the two ends of real VMs (vm_source.c, vm_dest.c). Contract: struct protect_watcher. */
int protect_tell_source(struct vm *vm, enum protect_event event, u64 number);
void protect_tell_dest(void *vm, enum protect_event event, u64 number);

/* How an end stands. Times in ns. */
struct protect_info {
    bool source;      /* else the destination */
    bool linked;      /* the connection stands */
    u64 epoch;        /* E */
    u64 other;        /* the owner number of the machine at the other end; 0: not known yet */
    const char *peer; /* destination: the source's address in words */
    u32 interval_ms, limit_ms;
    u64 heard;             /* when anything has last come on the connection, by this machine's clock */
    u64 taken;             /* source: the number of the last checkpoint that was taken */
    u64 number;            /* the last one that was acknowledged; destination: that is whole */
    u64 pages, zero_pages; /* in the last one */
    u64 room_pages;        /* that one may have */
    u64 interval;          /* source: from one to the next, as it is now */
    u64 pause, pause_max;  /* source: that the guest stood for the last one, and for any but the copy of E */
    u64 put;               /* that it took to put the last one into the copy */
    u64 total_pages;       /* source: in all of them */
};
