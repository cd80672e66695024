/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the source use of each other: source.c (connection, ends), source_stages.c (what is said when),
 * source_ram.c (pages), source_digest.c (verification), source_forward.c (frames). */
#pragma once

#include "migrate/source.h"

#define NS_PER_MS 1000000ULL

u64 source_now(const struct source *s);

/* Enter a phase; the time spent in the last one is added to *spent, if that is not NULL. */
void source_enter(struct source *s, enum source_phase phase, u64 *spent);

/* Carry out what the handoff decided: enum handoff_action. */
void source_apply(struct source *s, unsigned actions);

/* The move has failed, or is cancelled, before COMMIT; the guest goes on here. */
void source_fail(struct source *s, enum wire_code code, const char *reason);
/* The guest runs there, or the dry run is over. */
void source_complete(struct source *s);
/* All is said: end the move. */
void source_finish(struct source *s);

/* Open the connection, if it is time for that. Returns true if there is a connection now. */
bool source_connect(struct source *s);
/* ACCEPTED has come; ROUND_DONE has come. */
void source_accepted(struct source *s);
void source_round_done(struct source *s, const struct wire_round *answer);
/* Make the next record, or do a part of the work for it. Returns false if there is nothing to do now. */
bool source_produce(struct source *s);

/* Say KEEPALIVE: this end lives, and has got so far. */
void source_say_keepalive(struct source *s);

/* Verification. _part: digest some of the pages that are stale; returns true when none is left. _live: the same while
 * the guest runs; returns false if there is nothing to digest now. _measure: a round is over, in which the destination
 * has digested for dest_us. _due: shall the next live round be the first one that ends with digests? That is the round
 * after which the guest would be stopped, or the last one that is allowed. */
bool source_digest_part(struct source *s);
bool source_digest_live(struct source *s);
void source_digest_measure(struct source *s, u32 dest_us);
bool source_digest_due(const struct source *s, enum policy_verdict verdict);

/* In SOURCE_CLOSING: make a FRAME record. Returns false if there is no frame now; s->forwarding tells whether more may
 * come. */
bool source_forward(struct source *s);

/* Make the next PAGES or ZERO record of the round. Returns true if it did something; *done if nothing is left of the
 * round. */
bool source_ram_produce(struct source *s, bool *done);
/* Mark all pages to be sent. */
void source_ram_all(struct source *s);
/* Do a part of the harvest: the pages written since the last one are marked to be sent. Returns 0: the harvest is
 * complete; -EAGAIN: more is left; or another error of ops->harvest (vm_ops.h). */
int source_ram_harvest(struct source *s);
