/* SPDX-License-Identifier: BSD-2-Clause */
/* The destination's parts for each other: dest.c (connections, handoff), dest_attempts.c (what is remembered),
 * dest_load.c (what a guest is made of), dest_verify.c (is it the same?), dest_stranded.c. */
#pragma once

#include "migrate/dest.h"

#define NS_PER_MS 1000000ULL

/* Carry out what the handoff decided: enum handoff_action. */
void dest_apply(struct dest *dest, struct incoming *in, unsigned actions);

/* Refuse: say so, end the connection, and give up the attempt that was loading on it. */
void dest_refuse(struct dest_session *session, enum wire_code code, const char *reason);

/* Why it did not come to run here: the first reason counts. */
void dest_note_end(struct incoming *in, enum wire_code code, const char *reason);

/* Is this attempt loading or prepared? */
bool attempt_under_way(const struct incoming *in);

/* The highest epoch that is remembered as used for a VM, and that bars a new attempt under `epoch`; 0: none does. */
u64 attempt_bar(const struct dest *dest, const u8 *vm_id, u64 epoch);

/* The latest attempt of a VM under that epoch; NULL: unknown. */
struct incoming *attempt_find(struct dest *dest, const u8 *vm_id, u64 epoch);

/* May session->fresh, whose RESERVE has come, be remembered? WIRE_OK, and fresh.instead is what it would make void; or
 * the code with *reason. */
enum wire_code attempt_admit(struct dest_session *session, const char **reason);

/* What is left of in->instead is freed: the checks of `in` have passed. */
void attempt_replace(struct dest *dest, struct incoming *in);

/* It is accepted: from now on it is remembered. After attempt_admit, in the same step. */
void attempt_keep(struct dest_session *session);

/* Bytes of RAM of an attempt, NULL: 0; and those that are held for guests which come from the host of `peer`,
 * "ADDRESS:PORT", NULL: from all, but for `instead`. With `stranded` only by copies without a session. */
u64 attempt_bytes(const struct incoming *in);
u64 attempt_held(const struct dest *dest, const char *peer, const struct incoming *instead, bool stranded);

/* The oldest stranded copy of that host, NULL: of any; but for `instead`. NULL: there is none. */
struct incoming *attempt_stranded(struct dest *dest, const char *peer, const struct incoming *instead);

/* Free it, for its memory is needed. */
void dest_free_stranded(struct dest *dest, struct incoming *in);

/* A RESERVE, ZERO or STATE record, or a page, has come; PREPARE has. They refuse what is wrong. */
void load_reserve(struct dest_session *session);
void load_zero(struct dest_session *session);
void load_state(struct dest_session *session);
void load_page(struct dest_session *session);
/* FRAME has come: give it to the guest. */
void load_frame(struct dest_session *session);
void load_prepare(struct dest_session *session, const struct wire_handoff *claim);

/* For inbox->place. */
u8 *load_place(void *ctx, const struct wire_page *page);

/* Has a ZERO record come that is not carried out yet? Then load_clear goes on with it, a part at a time. */
static inline bool load_clearing(const struct dest_session *session)
{
    return session->zero.run < session->zero.runs;
}
void load_clear(struct dest_session *session);

/* ROUND has come: answer it, or digest first what it asks for. */
void load_round(struct dest_session *session, const struct wire_round *round);

/* After such a ROUND, and after PREPARE: digest and compare, a part at a time, until ROUND_DONE, PREPARED or REFUSED is
 * said. */
void load_digest(struct dest_session *session);

/* Go on with `digest` over a section of state. */
u64 load_section_digest(u64 digest, const struct wire_section *section, const u8 *bytes);

/* What loading needed; the VM apart. */
void load_release(struct incoming *in);
