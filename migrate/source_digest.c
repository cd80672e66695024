/* SPDX-License-Identifier: BSD-2-Clause */
/* The source's half of verification: digests of pages, at the end of live rounds and when the guest stands. */
#include "host/bits.h"
#include "migrate/source_parts.h"

#define SAMPLE_PAGES 32 /* fewer pages tell nothing of what a page costs */

bool source_digest_part(struct source *s)
{
    u64 began = source_now(s), before = s->digested.pages;
    bool done = ram_digest_part(&s->digest, &s->ram, s->ops->page, s->vm, &s->digested);

    s->digested.ns += source_now(s) - began;
    s->work += s->digested.pages - before;
    if (!done)
        source_say_keepalive(s, &s->outbox);
    return done;
}

bool source_digest_live(struct source *s)
{
    if (!s->digesting || ram_digest_next(&s->digest, &s->ram) == s->ram.pages)
        return false;
    source_digest_part(s);
    return true;
}

/* Zero pages are nearly free, and the pages that a guest writes are not zero: all of the cost counts for the others. */
void source_digest_measure(struct source *s, u32 dest_us)
{
    const struct digest_work *work = &s->digested;

    s->now.digest_us = MAX(work->ns / 1000, dest_us);
    if (work->filled >= SAMPLE_PAGES)
        s->page_ns = (work->ns + dest_us * 1000ULL) / work->filled;
}

bool source_digest_due(const struct source *s, enum policy_verdict verdict)
{
    const struct policy_settings *policy = &s->settings.policy;

    return s->settings.verify && !s->digesting && s->stats.rounds < policy->max_rounds &&
           (verdict == POLICY_STOP || s->stats.rounds + 1 == policy->max_rounds);
}
