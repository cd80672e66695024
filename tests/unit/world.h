/* SPDX-License-Identifier: BSD-2-Clause */
/* Two machines, a link and a guest that writes: a world for whole migrations on the build machine. */
#pragma once

#include "migrate/dest.h"
#include "migrate/source.h"
#include "tests/unit/pipe.h"

#define FAKE_PAGES 400 /* in two ranges, with a hole */
#define FAKE_LOW 300
#define WORLD_PIPES 64
#define WORLD_OWNER 1000   /* the source's number in claims */
#define WORLD_AGE_MS 10000 /* and the age of its copy in them */

struct world;

/* A page that is missing; the guest waits for it; and somebody has fetched that wish. */
enum fake_missing { FAKE_HERE, FAKE_MISSING, FAKE_WANTED, FAKE_FETCHED };

/* A guest: memory, a program counter that proves that it runs, and a dirty log. */
struct fake_vm {
    struct world *world;
    bool exists, running, gate_open, logging;
    u8 *memory; /* FAKE_PAGES pages */
    u64 dirty[(FAKE_PAGES + 63) / 64];
    struct dirty_counters logged;
    u64 used[(FAKE_PAGES + 63) / 64]; /* its A bits */
    unsigned looks;                   /* parts of looks at these */
    bool no_a_bits;
    unsigned taken;    /* words of it, by a harvest */
    u64 counter;       /* its only register */
    bool reset_wanted; /* and comes before anything else */
    u64 resets;
    u32 throttle;                      /* percent of the steps in which it does not run */
    u64 write_limit, written, limited; /* new pages a second (0: any); that it wrote to since this time */
    u64 steps;
    u64 paused_ns, ran_at;
    u8 missing[FAKE_PAGES]; /* enum fake_missing, of each page */
    unsigned nr_missing;
    unsigned supplied, twice; /* missing pages that have come; pages that came though they were here */
    bool departed;            /* it runs elsewhere, and its memory is here */
    unsigned restored, parts; /* sections; of the end of its log */
    unsigned saved;           /* sections, in rehearsals, too */
    unsigned first, end;      /* frames by number, of those that world_frame made: kept at the source for the guest */
    u8 given[256];            /* how often it was given each */
    bool off;                 /* it has shut down, or is not started yet: a guest that starts anew */
    bool filed;               /* the files from which it starts have come */
};

struct world {
    u64 now;
    struct fake_vm source_vm, dest_vm;
    struct source source;
    struct dest dest;
    struct pipe pipe[WORLD_PIPES];
    unsigned pipes; /* used so far */
    bool link_down, dest_down;
    u64 look_ns;         /* that each look at the destination's clock takes */
    unsigned dest_slow;  /* its clock runs at so many times less than the pace of the source's; 0: as that */
    unsigned accident;   /* the pipe that has one */
    u64 cut[2], flip[2]; /* its accidents, each way */
    size_t cap, piece;
    u64 delay; /* ns that the link takes, each way */
    u8 *tape;
    size_t tape_cap;

    u64 page_ns[2];      /* that looking at a page takes: at the source, at the destination */
    unsigned overlooked; /* this page (1-based) is taken for untouched once */
    unsigned writes;     /* pages that the guest writes a step */
    unsigned working_set;
    unsigned busy; /* percent of the time in which its processors run */
    u64 ran_ns;    /* for which they have */
    u64 random;
    int no_memory; /* what describing the guest returns: 0 or -errno */
    enum wire_code refuse_check, refuse_create;
    bool full;                     /* there is memory at the destination for one guest */
    struct wire_accepted accepted; /* the destination's warnings */
    bool refuse_restore;           /* the destination refuses a section of state */
    bool restores_wrong;           /* the destination's vcpu is not what came */
    unsigned refuse_in;            /* the destination refuses the section which it restores in so many; 0: none */
    struct world_protect *protect; /* world_protect.h; NULL: its guest is not protected */
    bool source_down;              /* the source's machine is */
    unsigned forgets;              /* this page (1-based) is written without being logged */
    int no_map;                    /* what noting missing pages returns */
    bool taken;                    /* an operator has taken the pages that are missing */
    unsigned announced, epochs_noted;
    u64 in_doubt_epoch;
    unsigned noted_standing;       /* epochs that were noted while no copy ran */
    int shuts_down;                /* the guest: so many steps until it has; below 0: why it does not */
    bool stays_off;                /* it is not to be started where it is in the end */
    unsigned to_free, freed_parts; /* parts of the memory of guests that have gone from the destination */
};

/* A world with a guest running at the source, epoch 7. */
void world_init(struct world *world);
void world_fini(struct world *world);

/* Its memory is gone. */
void fake_vm_free(struct fake_vm *vm);

/* The time of a step passes, for the clocks and the link. */
void world_tick(struct world *world);

/* A step of all; asserts that the guest doesn't run twice. */
void world_step(struct world *world);

/* Steps until the source is idle, at most `steps` (fails beyond) . */
void world_run(struct world *world, unsigned steps);

/* Somebody claims the guest: the destination hears it, or the source. */
void world_claim(struct world *world, u64 epoch, u64 owner);
void world_claim_to_source(struct world *world, u64 epoch, u64 owner, u64 age_ms);

/* A new world in which COMMIT is on its way. */
void world_to_commit(struct world *world);

/* The default settings of tests: 1 ms downtime-limit, 10 rounds, verify, hot pages last. */
struct migrate_settings world_settings(void);

/* The destination's machine restarts: it forgets everything and its guests are gone. */
void world_crash_dest(struct world *world);

/* A frame for the guest reaches the source: it is given to it, or kept. Returns its number. */
unsigned world_frame(struct world *world);

/* The operator resets the guest at the source. False: refused, for it stands for the end of a move. */
bool world_reset(struct world *world);

/* Where does it run? 0 nowhere, 1 source, 2 destination. */
int world_where(const struct world *world);
extern const u8 world_id[WIRE_ID];
