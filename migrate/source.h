/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending end of a move: its stages as a state machine that never blocks, over a transport and a VM's ops. A move
 * that fails before COMMIT ends with the guest running here; after COMMIT only the handoff (handoff.h) decides.
 *
 * How to plug it in. A VM that may move has a struct source for life (source_init), since epochs and doubt outlive a
 * move. The host loop calls source_step() for every VM whose source_active(): again at once while it returns true,
 * otherwise when the transport can send or has received, or after 10 ms. source_start, source_cancel and source_resolve
 * are the commands migrate, migrate_cancel and resolve; `stats` is what query-migrate shows. Code that hears a claim of
 * this VM calls source_heard(). All on the host loop. The transport may send guest pages without a copy: they stay
 * mapped until ops->leave. Before that call, a connection whose bytes are not all acknowledged is closed, whatever its
 * destination says.
 */
#pragma once

#include "owners/handoff.h"
#include "stream/ram_digest.h"
#include "stream/file_sender.h"
#include "stream/record.h"
#include "migrate/protect.h"
#include "migrate/stats.h"
#include "migrate/vm_ops.h"
#include "net/bucket.h"

/* The stages of a move, in the order in which it passes them; a live one goes back to ROUND from HARVEST and RESET.
 * source_stages.c has a row for each of them: what it shows, says and waits for, how long it may last, and what ends
 * it. source.c checks which records may come in which stage. */
enum stage {
    STAGE_IDLE, /* no move yet, or the last one is over */
    STAGE_CONNECT,
    STAGE_GREET,        /* says its header, and waits for the answer */
    STAGE_RESERVE,      /* says RESERVE */
    STAGE_ACCEPT,       /* waits for ACCEPTED */
    STAGE_PROTECTING,   /* protect: says PROTECT, and waits for PROTECTING */
    STAGE_START_LOG,    /* ends the log of an earlier move */
    STAGE_MEASURE,      /* a check, or mode auto: what the guest writes, and what the link carries */
    STAGE_REHEARSE,     /* a live or split move: saves the state of the living guest, for nothing, and starts its log */
    STAGE_TRY_STATE,    /* a check alone: saves and sends the state of the living guest */
    STAGE_TRIED,        /* a check alone: waits until the destination has restored it */
    STAGE_ROUND,        /* a live round */
    STAGE_ROUND_WAIT,   /* waits until the destination has the round */
    STAGE_HARVEST,      /* takes up the pages written meanwhile */
    STAGE_FILES,        /* cold: sends the files from which the guest starts, as far as they are wanted */
    STAGE_SHUTDOWN,     /* cold: waits until the guest has shut down */
    STAGE_RESET,        /* the guest was reset just as it was to stop: the same, for another live round */
    STAGE_WATCH,        /* split: sees which pages the guest uses */
    STAGE_LANE,         /* split: opens the second connection */
    STAGE_STOP,         /* stops the guest */
    STAGE_LAST_HARVEST, /* takes up the pages written since the last harvest */
    STAGE_FINAL_RAM,    /* sends the rest of memory; split: says which pages stay behind */
    STAGE_STATE,
    STAGE_DIGEST,      /* verify: digests of memory */
    STAGE_PREPARE,     /* says PREPARE, and waits for PREPARED */
    STAGE_PROTECTED,   /* protect: the guest runs; waits until it is time for a checkpoint */
    STAGE_TAKE,        /* the guest stands, and its checkpoint is taken */
    STAGE_CHECKPOINT,  /* the guest runs; says the checkpoint that was taken */
    STAGE_ACKNOWLEDGE, /* waits for CHECKPOINTED */
    STAGE_PARTING,     /* says QUERY, and waits for what others decide */
    STAGE_COMMIT,      /* says COMMIT: in doubt until the destination answers */
    STAGE_SERVE,       /* split, and the guest runs there: sends the pages that stayed behind */
    STAGE_END_LOG,     /* the outcome is known from here on; the dirty log is ended, whatever the connection does */
    STAGE_FORWARD,     /* the guest runs there: sends on the frames for it that reach this machine */
    STAGE_FOLLOW,      /* the files from which it starts follow it */
    STAGE_LAST_WORDS,  /* says ABORT or END */
    NR_STAGES,
};

/* The connection to the destination. */
enum source_link {
    LINK_NONE,
    LINK_OPEN,    /* nothing is said yet */
    LINK_GREETED, /* our header is said */
};

/* Pages gathered for one record, until the bucket lets it go. */
struct source_batch {
    u64 gpa[WIRE_BATCH];
    const void *page[WIRE_BATCH];
    unsigned pages;
};

/* The second connection of a split move, and the pages that something at the destination waits for: they go here. */
struct source_lane {
    struct transport transport; /* unless LINK_NONE */
    enum source_link link;
    bool answered; /* the destination's header has come */
    struct inbox inbox;
    struct outbox outbox;
    u64 last_said, last_heard, next_try; /* ns */
    struct source_batch batch;
    struct wire_run run[WIRE_BATCH]; /* wanted pages that are zeros */
    unsigned runs;
    struct wire_run missing[WIRE_RUNS]; /* that stay behind, for one record */
    unsigned nr_missing;
};

/* What STAGE_MEASURE has seen. */
struct source_measure {
    u64 *seen;               /* maps of the pages that were written in one window, in two, in three at least */
    unsigned windows;        /* that are over */
    u64 watched;             /* ns of these */
    u64 since, ran;          /* ns: when all this began; for how long the guest's vcpus had run by then */
    u64 cursor, stride;      /* the next page to look at, one in `stride` */
    u64 volley, sent, began; /* bytes to send at once; that are sent; when that began */
    u64 rate; /* bytes/s, of the best large volley that was answered, else of the last one; 0: none was */
};

struct source {
    const struct migrate_source_ops *ops;
    void *vm;
    u8 vm_id[WIRE_ID];
    u64 owner; /* this machine's number: struct wire_claim */
    struct handoff_source handoff;
    bool logging; /* the dirty log is on for a move, or is not ended yet */
    bool unnoted; /* COMMIT may not have been sent yet; its epoch is noted after that */

    /* Of the move that is on, or was the last one: */
    enum stage stage;
    struct migrate_settings settings;
    struct migrate_stats stats;
    struct transport transport; /* unless LINK_NONE */
    enum source_link link;
    struct inbox inbox;
    struct outbox outbox;
    unsigned say;                   /* messages that are still to be said: ACTION_SAY_*, SAY_END */
    u64 work, said_work, peer_work; /* of KEEPALIVE: ours, and what is said of it; the peer's highest */
    bool beyond;                    /* this move has passed an epoch that the destination remembered */
    u64 last_said, last_heard, last_whole, next_try; /* ns; last_whole: when no record was half received */
    u64 got_on;                                      /* ns: when the destination last got on, or had nothing to do */

    struct migrate_description *description;
    struct ram ram;
    u64 *bitmap;      /* pages that this round still has to send */
    u64 cursor, left; /* next page to look at; bits set in bitmap */
    u64 *hot;         /* pages that wait for the last round; NULL: none does */
    u64 *written;     /* with it: those that the last live round has seen written */
    u64 held;         /* bits set in hot */
    struct source_batch batch;
    struct wire_run run[WIRE_RUNS];
    unsigned runs;
    u64 *used;       /* split: pages that the guest used before it stopped, to be pushed first; NULL: not known */
    u64 used_cursor; /* the next of these to look at */
    unsigned looks;  /* at A bits, that are over */
    u64 looked;      /* ns: when the last one was */
    u64 near_end;    /* up to this page are the neighbours of the last one that was wanted */
    struct source_measure measure;
    struct policy_round now;    /* the round in progress */
    struct source_lane *lane;   /* NULL: the move was not split yet */
    u64 peer_features;          /* of the destination's header */
    bool recovering;            /* connected anew; the destination has not answered yet */
    bool listens;               /* connected anew; the destination has not said yet all that it misses */
    u64 missed;                 /* pages that were missing when the connection broke */
    u64 served;                 /* pages sent since RUNNING was heard on this connection; peer_work: those taken */
    struct migrate_pace pace;   /* of post-copy, of the pages that were sent */
    u64 next_sample, sample_ns; /* ns: when stats.progress gets its next sample, and how long after the last one */
    u64 ahead;                  /* so many may be sent unasked before they are taken */
    bool switch_now;            /* the operator wants no further round: migrate-start-postcopy */
    bool was_reset;             /* since the last harvest the guest was reset, which has written all of its RAM */
    struct bucket bucket;

    struct source_protect *protect; /* NULL: the move is an ordinary one */
    struct file_sender files;
    u64 files_left; /* bytes of files that were needed when the destination said so last; ~0: it has not */
    u64 cut_since;  /* ns: the connection has ended since no file more has become whole; 0: it has not */
    bool reported;  /* the outcome is logged */

    struct ram_digest digest;    /* verify: of our memory */
    bool digesting;              /* from now on live rounds end with digests */
    struct digest_work digested; /* since the round began */
    u32 dest_digest_us;          /* time for which the destination has digested in this round */
    u64 page_ns;                 /* time that both ends together take for the digests of one page; 0: not known */

    unsigned section;
    u64 state_digest;
    u64 started, stage_began, round_began, stopped, header_said; /* ns */
};

/* Begin with a VM that this machine owns under `epoch`; claims name this machine as `owner`. */
void source_init(struct source *source, const struct migrate_source_ops *ops, void *vm, const u8 vm_id[WIRE_ID],
                 u64 epoch, u64 owner);

/* May another move begin? If an earlier move has failed, the guest is still here, and only its dirty log and last words
 * are left, the next move ends the log before it does anything else to the guest, and the words are cut short: the
 * destination will know the outcome by the higher epoch of the next move. */
bool source_settle(struct source *source);

/* Begin a move. Returns 0; -EBUSY: a move is on; -EPERM: the VM is not ours to move; -EINVAL, -ENOMEM, or an error of
 * ops->describe. */
int source_start(struct source *source, const struct migrate_settings *settings);

/* Is a move on, or its end still to be done? The dirty log of a move may be left when another one could not begin. */
static inline bool source_active(const struct source *source)
{
    return source->stage != STAGE_IDLE || source->logging;
}

/* Do all that can be done now without waiting. Returns true if more can be done at once. */
bool source_step(struct source *source);

/* Break the move off: the guest runs on here, at once. Returns 0; -ENOENT: no move is on; -EBUSY: too late, COMMIT is
 * said. */
int source_cancel(struct source *source);

/* Give the move that is under way, if there is one, other limits from now on. Units as in struct migrate_settings. */
void source_limit(struct source *source, u32 downtime_limit, u64 max_bandwidth);

/* The operator wants the guest to be handed over now, with the rest of its memory behind it. Returns 0; -ENOENT: no
 * live move is on; -EAGAIN: what its destination can do is not known yet; -EBUSY: the guest stops already; -ENOTSUP:
 * the move verifies, protects or is cold, or its destination does not know how. */
int source_start_postcopy(struct source *source);

/* From now on send what is missing unasked, too. Returns 0, or -ENOENT if no pages are served. */
int source_pull(struct source *source);

/* A move is over whose guest runs at the destination under stats->epoch, and which was `name` here: send the files that
 * it starts from after it, as far as they are not there. The source was made by source_init for this alone; its
 * ops->now and ->connect are called, and ->image once. The statistics go on from those of the move. Returns 0 or
 * -ENOMEM. */
int source_send_files(struct source *source, const char *name, const struct migrate_stats *stats, u64 max_bandwidth);
/* The operator wants no more files to be sent after the guest. Returns 0, or -ENOENT: none are. */
int source_stop_files(struct source *source);

/* How many bytes of a guest that runs at the destination are here alone, as far as this end knows, and in how many ms
 * they will be there, or LEFT_UNKNOWN, LEFT_UNASKED. Only while pages are served. */
u64 source_missing(const struct source *source, u64 *ms);

/* How an operator resolves a contested guest. ABORT, in doubt: ask the destination to abort if it still can. FORCE_*,
 * in doubt, superseded or serving: the operator decides by force. */
enum resolution { RESOLUTION_ABORT, RESOLUTION_FORCE_RESUME, RESOLUTION_FORCE_GIVE_UP };

/* Returns 0; -ENOENT if the VM is neither in doubt nor superseded, nor serves pages, nor was protected; or -EBUSY: it
 * was, runs here, and is not given up so. */
int source_resolve(struct source *source, enum resolution resolution);

/* Of a protected guest. source_protect: do what is ordered (protect.h); `epoch`: of PROTECT_STAND. Returns 0; -ENOENT:
 * no copy of it is prepared elsewhere; -EBUSY: it is too late or too early for that; or an error of ops->pause.
 * source_protect_info: how it stands; false: no such move is on. source_protect_ended: the guest has ended.
 * source_protect_due: is nothing to be done before *due (ns)? */
int source_protect(struct source *source, enum protect_order order, u64 epoch);
bool source_protect_info(const struct source *source, struct protect_info *info);
void source_protect_ended(struct source *source);
bool source_protect_due(const struct source *source, u64 *due);

/* The same of a split move that waits to see what its guest uses; false: it does not. */
bool source_watch_due(const struct source *source, u64 *due);

/* Another machine claims this VM. Our copy has been here for age_ms. If the claimed epoch is higher than any that is
 * known here, or if it is equal to ours and the claimed copy is to stay (claim_prevails), our copy stands still, and
 * whatever was under way ends. */
void source_heard(struct source *source, const struct wire_claim *claim, u64 age_ms);
