/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving end of moves. It trusts nothing that a source says: it checks lengths, counts, addresses, order and
 * values, and a mistake costs its sender the attempt, never this machine. A guest runs here only when handoff.h said
 * so.
 *
 * How to plug it in. A machine has one struct dest. Call dest_accept for every connection that brings a guest or ends a
 * move (reception.h knows which connections do). The host loop calls dest_step: again at once while it returns true,
 * otherwise when a connection can send or has received, or after 10 ms. When a VM that came this way ends or moves on,
 * call dest_forget. Code that hears a claim for a VM calls dest_heard. All on the host loop.
 */
#pragma once

#include "owners/handoff.h"
#include "stream/ram_digest.h"
#include "stream/file_receiver.h"
#include "stream/record.h"
#include "migrate/stats.h"
#include "migrate/vm_ops.h"

#define DEST_SESSIONS 10 /* connections at a time */
#define DEST_MOVES 4     /* connections of moves: the others are left for sources that ask how a move has ended */
#define DEST_PEER 96     /* text of an address, with its peer's name */
#define DEST_ATTEMPTS 64 /* moves that are remembered, under way or over */

struct dest_stats {
    u64 pages, zero, sections, rounds;               /* received */
    u64 suspects;                                    /* pages whose CRC didn't match when they came */
    u64 began, reserved, closed, prepared, released; /* ns: when each happened; closed: PREPARE came */
    u64 run_ns;                                      /* from COMMIT's arrival to the guest being let go */
    u64 verify_ns;                                   /* from PREPARE until all was found to be the same */
    u64 verify_bytes;                                /* bytes of RAM that were digested since PREPARE */
    u64 announce_ns;                                 /* ns that the first announcement took */
    u64 missing, filled, wanted; /* pages that stayed behind; that have come since; that were asked for */
    u64 recoveries;              /* connections made anew by which post-copy went on */
    u64 frames, delivered;       /* frames that the source has sent on; those that the guest's card has taken */
};

/* One attempt to move a VM here. */
struct incoming {
    bool used;
    u8 vm_id[WIRE_ID];
    char name[WIRE_NAME]; /* "" before RESERVE */
    char peer[DEST_PEER]; /* who wants to move it here */
    u64 owner;            /* the number of its source: struct wire_claim */
    u64 beside;           /* bytes that are held beside its RAM, for a checkpoint */
    u64 file_bytes;       /* of the files that it starts from, and that had to come */
    bool dry_run;
    u8 mode;            /* migrate_said_mode */
    bool cold, stopped; /* the guest starts anew here; or does not, or not yet */
    bool announce;      /* announce the guest as soon as RUNNING is said */
    bool follows;       /* the files from which it starts are to follow it, and have not come yet */
    bool forgotten;     /* it was given up, and nothing is to be said of it: no connection finds it again */
    bool settled; /* the source knows how the move ended and is not in doubt: it has said so, or the operator has */
    struct handoff_dest handoff;
    u64 stamp;            /* order of acceptance */
    enum wire_code error; /* why the guest did not come to run here, or not with all of its memory */
    char reason[WIRE_REASON];
    struct dest_session *session;
    u64 heard;                    /* ns: when anything has last come from its source */
    struct dest_protect *protect; /* it is to be kept up to date by checkpoints (dest_protect.c); NULL: no */
    struct dest_session *lane;    /* split: the second connection; NULL: none */
    bool demand;                  /* split: the source sends only what is asked for, as far as we know */
    bool pull;                    /* the operator wants all of it */
    struct migrate_pace pace;     /* split: of the pages that have come since it runs here */
    struct incoming *instead; /* before this one is accepted: the earlier attempt that it will make void; NULL: none */
    struct dest_stats stats;

    /* Only while it is received. */
    struct migrate_description *description;
    struct ram ram;
    u64 *seen, *suspect;         /* by page: received; damaged as far as we know */
    u64 *sections;               /* the digest of each section of state, as it came */
    u64 work, said_work;         /* of KEEPALIVE: ours; what was said of it */
    u64 peer_work;               /* the highest that the source has said */
    struct ram_digest digest;    /* of our memory */
    struct wire_round round;     /* that is answered as soon as no page is stale */
    struct digest_work digested; /* since ROUND or PREPARE came */
    struct wire_handoff prepare; /* the source's PREPARE */
    struct wire_handoff found;   /* our digests */

    void *vm; /* until it is freed, or not ours to free any more: running */
};

/* How far a connection has come. dest_stages.c has a row for each stage (what it is, does, and how long it may last),
 * and a table of the records that may come in it. */
enum session_stage {
    SESSION_GREET,   /* waits for the header */
    SESSION_RESERVE, /* waits for RESERVE */
    SESSION_ROOM,    /* RESERVE has come: waits until the memory of guests that have gone is free */
    SESSION_TRY,     /* a check alone: tries the sections of state */
    SESSION_RECEIVE, /* takes pages and sections of state */
    SESSION_CLEAR,   /* clears the pages of a ZERO record */
    SESSION_DIGEST,  /* digests memory, before it answers ROUND */
    SESSION_VERIFY,  /* PREPARE has come: digests memory, and compares */
    SESSION_PROTECT, /* the same, and the copy is kept up to date: takes checkpoints, and keeps them apart */
    SESSION_PUT,     /* takes nothing while a checkpoint is put into the copy */
    SESSION_HANDOFF, /* the copy is complete: what is said is for the handoff */
    SESSION_ASKED,   /* the same, of a source in doubt that has connected anew; or a check is over */
    SESSION_FILL,    /* split, and the guest runs here: takes the pages that are missing */
    SESSION_LANE,    /* the second connection for that, which brings the pages that something waits for */
    SESSION_FILLED,  /* either of both, and no guest that runs here misses pages any more: takes what is under way */
    SESSION_CLOSE,   /* says its last words */
    NR_SESSION_STAGES,
};

struct dest_session {
    bool used;
    enum session_stage stage;
    struct transport transport;
    struct inbox inbox;
    struct outbox outbox;
    bool mute; /* the peer has closed: nothing is sent any more */
    struct {
        unsigned run, runs;       /* the next run, and the number of runs */
        u64 page;                 /* the next page of that run */
        enum session_stage stage; /* to go back to */
    } zero;                       /* of the ZERO record in the inbox: what is still to be cleared */
    unsigned say;                 /* ACTION_SAY_*, SAY_REFUSED, SAY_FILED */
    struct wire_refused refused;
    struct wire_filed filed;
    struct file_receiver files;
    bool files_over; /* FILED is said: what of these files is still under way is passed over */
    u64 epoch;       /* of its header */
    char peer[DEST_PEER];
    u64 since; /* ns: when it was accepted, its guest last got on, or it began to close: the limit of a stage */
    u64 last_said, last_heard, last_whole; /* ns; last_whole: when no record was half received */
    struct incoming fresh;                 /* the attempt of this session, before its RESERVE is accepted */
    struct incoming *incoming;             /* the attempt, one that is remembered; NULL: there is none, or not yet */
    struct incoming *lane_of;              /* the attempt of which it is the lane; NULL: it is none */
    u64 list; /* SESSION_FILL: the next page of which the source is told whether it is missing; beyond them: all is said
               */
    bool pulled;        /* PULL is said */
    u8 page[WIRE_PAGE]; /* a page that was missing, as it comes */
    struct dest *dest;
};

struct dest {
    const struct migrate_dest_ops *ops;
    void *ctx;
    struct dest_session session[DEST_SESSIONS];
    struct incoming incoming[DEST_ATTEMPTS];
    u64 stamps;
    u64 limit, limit_per_host;                 /* bytes that incoming guests may hold (dest_limit) */
    char refused[WIRE_NAME + WIRE_REASON + 4]; /* the last guest that was to be protected here, and why it was not */
    u64 noise;                                 /* headers with an epoch that nobody believes (epoch_is_noise) */
};

/* Of each attempt of a destination, remembered or not: `in` points to it, and is const if *dest is. */
#define each_attempt(in, dest) \
    for (typeof(&(dest)->incoming[0]) in = (dest)->incoming; in < (dest)->incoming + DEST_ATTEMPTS; in++)

void dest_init(struct dest *dest, const struct migrate_dest_ops *ops, void *ctx);

/* Close all connections and free all copies that don't run. */
void dest_fini(struct dest *dest);

/* Take over a connection from `peer`, an address in words. `header` is its header if that has come already, else NULL.
 * Returns 0, or -EBUSY or -ENOMEM; the connection is closed then. */
int dest_accept(struct dest *dest, const struct transport *transport, const struct wire_header *header,
                const char *peer);

/* Do a part of all that can be done now without waiting. Returns true if more can be done at once. */
bool dest_step(struct dest *dest);

/* Is there something to do, now or when something comes? Else dest_step need not be called. */
bool dest_busy(const struct dest *dest);

/* How many bytes of RAM may be held for guests that are being received or prepared, and for files that are on their
 * way: in all, and for guests from one host. 0: no limit. */
void dest_limit(struct dest *dest, u64 bytes, u64 bytes_per_host);

/* How many bytes of RAM are held for these now. */
u64 dest_held(const struct dest *dest);

/* The highest epoch that is remembered as used for a VM and that bars a new attempt under `epoch`; 0: no epoch does. */
u64 dest_known_epoch(const struct dest *dest, const u8 *vm_id, u64 epoch);

/* The operator does not want this VM, which is on its way here; its source is told so. Returns 0, and the VM is gone;
 * or -ENOENT if the VM is not on its way, or is stranded (see dest_resolve). */
int dest_cancel(struct dest *dest, const void *vm);

/* This VM has ended, or moved on: it will not run here any more, and its handle is void. */
void dest_forget(struct dest *dest, void *vm);

/* Another machine claims a VM: free our copy if its epoch is lower, and a stranded copy if its own source claims it. */
void dest_heard(struct dest *dest, const struct wire_claim *claim);

/* The attempt that brought `vm`, if it is in this state; else NULL. DEST_PREPARED: whether or not the connection still
 * stands; the copy may be the only one, and its source may be dead. DEST_INCOMPLETE: it runs here, with pages missing.
 */
const struct incoming *dest_find(const struct dest *dest, const void *vm, enum dest_state state);

/* How many bytes of such a guest are missing, and in how many ms they will be here, or LEFT_UNKNOWN, LEFT_UNASKED. */
u64 dest_missing(const struct dest *dest, const struct incoming *in, u64 *ms);

/* Of such a guest: does its memory come (MIGRATE_POSTCOPY_ACTIVE), is its source just told what is missing (_RECOVER),
 * or is there no connection (_PAUSED)? */
enum migrate_status dest_fill_status(const struct incoming *in);

/* Ask the source of such a guest to send all that is missing. Returns 0, or -ENOENT if nothing of `vm` is missing. */
int dest_pull(struct dest *dest, const void *vm);

/*
 * A prepared copy is stranded when its connection has ended. It may be the only copy, so it is kept until the source or
 * an operator says what became of the guest. dest_stranded: the attempt that brought `vm`, if that is stranded, else
 * NULL. dest_resolve: the operator decides. With `adopt` the guest runs here from now on, else this copy is given up.
 * Returns 0; -ENOENT if the copy is not stranded; or -EBUSY: it is not to be adopted, for pages of it are missing, or
 * not to be given up, for those who decide about a copy that was kept up to date let it run.
 */
const struct incoming *dest_stranded(const struct dest *dest, const void *vm);
int dest_resolve(struct dest *dest, void *vm, bool adopt);

/* Of the copy `vm`, which is kept up to date: do what is ordered (protect.h). Returns 0, or -ENOENT if it is none, or
 * not prepared. dest_protect_info: how it stands; false: it is none. */
int dest_protect(struct dest *dest, const void *vm, enum protect_order order);
bool dest_protect_info(const struct dest *dest, const void *vm, struct protect_info *info);

/* The operator's word: no source will ask any more how its move to here has ended; of this VM, or of any (NULL). That
 * answer is still given, but its place may go to a new move. It does not count for a move that is under way, for a
 * prepared copy, or for a guest that runs here. Returns for how many moves no source had said so. */
unsigned dest_settle(struct dest *dest, const u8 *vm_id);
