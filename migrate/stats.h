/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings and statistics of a move. Names are those of QEMU's query-migrate, where it has one. Data only. */
#pragma once

#include <stddef.h>

#include "host/types.h"
#include "policy/predict.h"
#include "stream/wire.h"
#include "mm/dirty.h"

#define MIGRATE_ROUNDS 64 /* live rounds at most */

enum migrate_status {
    MIGRATE_NONE,
    MIGRATE_SETUP,
    MIGRATE_ACTIVE,           /* live rounds */
    MIGRATE_PRE_SWITCHOVER,   /* stopping the guest, final RAM */
    MIGRATE_DEVICE,           /* state, PREPARE */
    MIGRATE_IN_DOUBT,         /* COMMIT said, no answer yet. QEMU has no such status */
    MIGRATE_PROTECTED,        /* its copy there is kept up to date. Neither has QEMU such a one */
    MIGRATE_POSTCOPY_ACTIVE,  /* it runs there, and its missing pages are sent */
    MIGRATE_POSTCOPY_PAUSED,  /* the same without a connection */
    MIGRATE_POSTCOPY_RECOVER, /* connected anew: the destination says what it misses */
    MIGRATE_COMPLETED,
    MIGRATE_FAILED,
    MIGRATE_CANCELLING,
    MIGRATE_CANCELLED,
};

/* What has become of the files that follow a guest, or come before it (cold). */
enum migrate_files { FILES_NONE, FILES_COMING, FILES_THERE, FILES_FAILED };

struct migrate_settings {
    struct policy_settings policy; /* downtime-limit, max-rounds, on-stall, cpu-throttle-... */
    u64 max_bandwidth;             /* bytes/s, in every phase; 0: no limit */
    u64 fixed_us;                  /* a guess of the part of the downtime that is neither memory nor round trips */
    enum migrate_mode mode;        /* for the destination's people */
    bool verify, dry_run;
    bool image;          /* save it: what a move would say before COMMIT is an image, and the guest stays */
    bool split;          /* after its live rounds, hand over before all memory has moved */
    bool demand;         /* then send only pages that are asked for */
    bool choose;         /* measure guest and link first, and take the mode that predict_choose says */
    bool cold;           /* the guest shuts down, and starts anew there; */
    bool stopped;        /* or does not, until somebody says so */
    bool follow;         /* the files from which it starts follow it */
    bool protect;        /* the copy there is not let run, but kept up to date by checkpoints */
    bool quiet;          /* that it fails is not logged */
    u64 above;           /* protect: the epoch of the attempt is to be above this one, if that is credible */
    u32 interval, limit; /* protect: ms between them; ms of silence after which a machine may be dead */
};

/* In ns: while a phase goes on, times of the step's clock; in reports, durations. */
struct migrate_phases {
    u64 setup, precopy, stop, final_ram, device_state, commit, postcopy, protect; /* source */
};

/* How fast missing pages come: from a time on (ns), at which so many had come. */
struct migrate_pace {
    u64 since, pages;
};

/* The time until all pages that are missing have come: not known, or without end, until somebody says pull. */
#define LEFT_UNKNOWN ~0ULL
#define LEFT_UNASKED (~0ULL - 1)

/* So many are `missing`, and so many `came` by now: how many ms is that, at this pace? Or LEFT_UNKNOWN. */
u64 migrate_pace_left(const struct migrate_pace *pace, u64 now, u64 came, u64 missing);

/* What was sent of a guest that runs at the destination already, so many ns after its hand-over. */
struct postcopy_sample {
    u64 ns, pages, requests; /* pages: of the whole move, zero ones, too */
};

#define POSTCOPY_SAMPLES 32

struct migrate_stats {
    enum migrate_status status;
    enum wire_code error; /* why the move failed */
    char reason[WIRE_REASON];
    struct wire_accepted accepted; /* the destination's warnings */
    u64 epoch;

    u64 total_time, setup_time, downtime, expected_downtime; /* ns; downtime: from the stop to RUNNING's arrival */
    u64 verify_time;                                         /* ns of the downtime in which this end has digested */
    u64 rtt;                                                 /* ns, the shortest of setup's and the rounds' */
    struct migrate_phases phases;

    u64 total, remaining;                  /* RAM bytes */
    u64 transferred, wire_bytes;           /* bytes of records with pages; all bytes that were sent */
    u64 duplicate, normal, normal_bytes;   /* zero pages; pages with contents */
    u64 precopy_bytes, downtime_bytes;     /* parts of `transferred` */
    u64 postcopy_bytes, postcopy_requests; /* another part; pages that the destination has asked for */
    u64 recoveries;                        /* connections made anew by which post-copy went on */
    struct postcopy_sample progress[POSTCOPY_SAMPLES];
    unsigned samples;
    u64 downtime_verify_bytes;              /* RAM that this end has digested while the guest stood */
    u64 dirty_pages_rate, dirty_sync_count; /* policy_dirty_rate; rounds */
    u64 forwarded;                          /* frames that were sent on after the guest */
    u64 file_bytes;                         /* of the files from which it starts, that were sent */
    enum migrate_files files;
    char files_reason[WIRE_REASON];            /* why they have not come */
    u64 pages_per_second, bytes_per_second;    /* mbps is 8e-6 of the latter */
    struct policy_round round[MIGRATE_ROUNDS]; /* live rounds */
    unsigned rounds;
    /* The dirty log's counters: before its start, and at the end of the harvest of each live round and of the last one,
     * while the guest stands. */
    struct dirty_counters logged[MIGRATE_ROUNDS + 2];
    unsigned harvests;
    struct policy_round stopped;            /* the pages that were sent while the guest stood */
    u64 write_limit;                        /* new pages a second that the guest may write to in the end; 0: any */
    u32 cpu_throttle;                       /* percent, the highest of this move: cpu-throttle-percentage */
    struct predict_known known;             /* what a check, or a move of mode auto, has measured; rate 0: nothing */
    struct forecast forecast[NR_FORECASTS]; /* what it says of each mode */
    enum migrate_mode chosen;               /* by mode auto */
    char choice[200];                       /* which, and why; "": none was chosen */
    struct policy_prediction prediction;    /* of the last decision */
    u32 downtime_limit;                     /* ms, at that decision */
};

/* The warning about a move whose guest was stopped though a longer downtime than the limit was expected. Fills text;
 * returns false if there is nothing to warn of. */
bool migrate_stall_warning(const struct migrate_stats *stats, char *text, size_t room);

/* A mode was chosen by the forecast: say why. */
void migrate_choice(struct migrate_stats *stats, u32 downtime_limit);

/* Add what the log has counted from harvest number `from` to harvest number `to`; 0: its start. */
void migrate_logged(const struct migrate_stats *stats, unsigned from, unsigned to, struct dirty_counters *sum);

/* "live", "stop-copy" ... */
const char *migrate_mode_name(enum migrate_mode mode);
/* The same of WIRE_MODE, as a peer says it; or "restore", "unknown". migrate_said_mode: what is kept of that field. */
const char *migrate_said_mode_name(u8 said);
u8 migrate_said_mode(u32 flags);
/* "none", "coming" ... */
const char *migrate_files_name(enum migrate_files files);
/* "active", "in-doubt" ... */
const char *migrate_status_name(enum migrate_status status);
