/* SPDX-License-Identifier: BSD-2-Clause */
/* The source's parts for each other: source.c (connection, ends), source_stages.c (what is said when), source_ram.c,
 * source_digest.c. */
#pragma once

#include "migrate/source.h"

#define NS_PER_MS 1000000ULL

u64 source_now(const struct source *s);

/* Enter a phase; the time spent in the last one is added to *spent, if given. */
void source_enter(struct source *s, enum source_phase phase, u64 *spent);

/* Carry out what the handoff decided: enum handoff_action. */
void source_apply(struct source *s, unsigned actions);

/* Before COMMIT: the move has failed, or is cancelled; the guest goes on here. */
void source_fail(struct source *s, enum wire_code code, const char *reason);
/* It runs there, or the dry run is over. */
void source_complete(struct source *s);
/* All is said. */
void source_finish(struct source *s);

/* Open the connection, if it is time. True if there is one now. */
bool source_connect(struct source *s);
/* ACCEPTED and ROUND_DONE have come. */
void source_accepted(struct source *s);
void source_round_done(struct source *s, const struct wire_round *answer);
/* Make the next record, or get nearer to it. False if there is nothing to do now. */
bool source_produce(struct source *s);

/* That it lives, and how far it has got. */
void source_say_keepalive(struct source *s);

/* Verification. part: digest some of the pages that are to be digested; true: that was the last of them. live: the
 * same while the guest runs; false if there is none now. measure: a round is over, in which the destination has
 * digested for dest_us. due: shall the next live round be the first one that ends with digests? It is the one after
 * which the guest would be stopped, or the last that there may be. */
bool source_digest_part(struct source *s);
bool source_digest_live(struct source *s);
void source_digest_measure(struct source *s, u32 dest_us);
bool source_digest_due(const struct source *s, enum policy_verdict verdict);

/* In SOURCE_CLOSING: make a FRAME record. False if there is none now; s->forwarding tells whether more may come. */
bool source_forward(struct source *s);

/* Make the next PAGES or ZERO record of the round. True if it did something; *done when nothing is left of it. */
bool source_ram_produce(struct source *s, bool *done);
/* All pages are to be sent, or those written since the last time. Returns how many, or -errno. */
void source_ram_all(struct source *s);
/* A part of taking what was written into the bitmap. Returns 0: that was it, -EAGAIN: more is left, or what harvest of
 * vm_ops.h says. */
int source_ram_harvest(struct source *s);
