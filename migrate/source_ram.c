/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends the memory of a round: the pages of the bitmap become PAGES and ZERO records. */
#include <string.h>

#include "host/bits.h"
#include "stream/crc32c.h"
#include "migrate/source_parts.h"

#define SCAN_BUDGET 256 /* pages looked at in one go, so that the host loop keeps turning */

void source_ram_all(struct source *s)
{
    bitmap_set_run(s->bitmap, 0, s->ram.pages);
    s->cursor = 0;
    s->left = s->ram.pages;
}

/* A harvest after a live round is complete. What the guest has written in this round and in the one before it writes
 * all the time, and to send it now would be in vain: it waits. What has waited and was not written is sent. */
static void hold_hot(struct source *s)
{
    for (u64 word = 0; word * 64 < s->ram.pages; word++) {
        u64 written = s->bitmap[word], hot = written & s->written[word];

        s->now.kept += bits_count(s->hot[word] & ~written);
        s->bitmap[word] = (written | s->hot[word]) & ~hot;
        s->hot[word] = hot;
        s->written[word] = written;
        s->now.hot += bits_count(hot);
    }
    s->held = s->now.hot;
}

/* All that has waited is sent. */
static void release_hot(struct source *s)
{
    for (u64 word = 0; word * 64 < s->ram.pages; word++) {
        s->bitmap[word] |= s->hot[word];
        s->hot[word] = s->written[word] = 0;
    }
    s->held = 0;
}

int source_ram_harvest(struct source *s)
{
    int err = s->ops->harvest(s->vm, s->bitmap);

    if (err)
        return err;
    ram_digest_forget_set(&s->digest, &s->ram, s->bitmap);
    s->now.dirtied = bitmap_count(s->bitmap, s->ram.pages);
    if (s->hot && s->stage == STAGE_HARVEST)
        hold_hot(s);
    else if (s->hot)
        release_hot(s);
    s->cursor = 0;
    s->left = bitmap_count(s->bitmap, s->ram.pages);
    return 0;
}

void source_add_run(const struct source *s, struct wire_run *runs, unsigned *count, gpa_t gpa, u64 pages)
{
    struct wire_run *last = *count ? &runs[*count - 1] : NULL;

    /* Runs don't cross from one range into the next, which may follow without a gap. */
    if (last && last->gpa + last->pages * WIRE_PAGE == gpa && ram_contains(&s->ram, last->gpa, last->pages + pages))
        last->pages += pages;
    else
        runs[(*count)++] = (struct wire_run){ .gpa = gpa, .pages = pages };
}

/* Take the page at the cursor, which the round has, and up to pages - 1 that follow it, out of the round. Returns how
 * many were taken. */
static u64 take(struct source *s, u64 pages)
{
    u64 taken = 0;

    for (; taken < pages && bitmap_test(s->bitmap, s->cursor); taken++)
        bitmap_clear(s->bitmap, s->cursor++);
    s->left -= taken;
    s->work++;
    return taken;
}

/* How many pages one record may have: where the bandwidth is low, no more than can be sent in a second. */
static unsigned batch_room(const struct source *s)
{
    u64 second = s->settings.max_bandwidth / WIRE_PAGE;
    unsigned most = s->stage == STAGE_SERVE ? PUSH_BATCH : WIRE_BATCH;

    return s->settings.max_bandwidth ? (unsigned)MIN(MAX(second, 1), most) : most;
}

/* Look at pages until a batch or the table of runs is full. */
static void gather(struct source *s)
{
    struct source_batch *batch = &s->batch;
    unsigned room = batch_room(s);

    for (unsigned looked = 0; looked < SCAN_BUDGET && batch->pages < room && s->runs < WIRE_RUNS; looked++) {
        u64 index = source_used_next(s), pages;
        const void *page;
        gpa_t gpa;

        s->cursor = index;
        if (index == s->ram.pages)
            return;
        gpa = ram_gpa(&s->ram, index);
        page = s->ops->page(s->vm, gpa);
        pages = take(s, page ? 1 : s->ops->alike(s->vm, gpa) / WIRE_PAGE);
        if (!page || page_is_zero(page)) {
            source_add_run(s, s->run, &s->runs, gpa, pages);
            continue;
        }
        batch->gpa[batch->pages] = gpa;
        batch->page[batch->pages++] = page;
    }
}

static void account(struct source *s, u64 bytes)
{
    struct migrate_stats *stats = &s->stats;
    u64 us = (source_now(s) - s->round_began) / 1000;

    s->now.bytes += bytes;
    stats->transferred += bytes;
    if (s->stage == STAGE_SERVE)
        stats->postcopy_bytes += bytes;
    else if (source_row(s)->stands)
        stats->downtime_bytes += bytes;
    else
        stats->precopy_bytes += bytes;
    stats->remaining = (s->left + s->held) * WIRE_PAGE;
    /* The few pages of the last round say nothing of the link. */
    if (source_row(s)->stands && stats->rounds)
        return;
    stats->bytes_per_second = s->now.bytes * 1000000 / MAX(us, 1);
    stats->pages_per_second = stats->bytes_per_second / WIRE_PAGE;
}

static u64 pages_bytes(unsigned pages)
{
    return sizeof(struct wire_record) + sizeof(struct wire_pages) + pages * (sizeof(struct wire_page) + WIRE_PAGE);
}

static void put_pages(struct source *s, struct outbox *box, struct source_batch *batch, unsigned pages)
{
    struct wire_pages head = { .count = pages };

    outbox_begin(box);
    codec_bytes(&box->body, &head, sizeof(head));
    for (unsigned i = 0; i < pages; i++) {
        struct wire_page entry = { .gpa = batch->gpa[i],
                                   .crc = crc32c(0, batch->page[i], WIRE_PAGE),
                                   .len = WIRE_PAGE };

        codec_bytes(&box->body, &entry, sizeof(entry));
    }
    for (unsigned i = 0; i < pages; i++)
        outbox_page(box, batch->page[i]);
    outbox_end(box, WIRE_PAGES);
    s->served += pages;
    s->now.pages += pages;
    s->stats.normal += pages;
    s->stats.normal_bytes += pages * WIRE_PAGE;
    account(s, pages_bytes(pages));
    batch->pages -= pages;
    memmove(batch->gpa, batch->gpa + pages, batch->pages * sizeof(batch->gpa[0]));
    memmove(batch->page, batch->page + pages, batch->pages * sizeof(batch->page[0]));
}

bool source_say_pages(struct source *s, struct outbox *box, struct source_batch *batch)
{
    /* The bandwidth may be lower now than when they were gathered: the others come with the next record. */
    unsigned pages = MIN(batch->pages, batch_room(s));

    if (!bucket_take(&s->bucket, pages_bytes(pages), s->ops->now(s->vm)))
        return false;
    put_pages(s, box, batch, pages);
    return true;
}

static u64 zero_bytes(unsigned runs)
{
    return sizeof(struct wire_record) + runs * sizeof(struct wire_run);
}

/* The runs of a record must be ascending. A source that serves jumps to what is wanted, and its runs are not. */
static unsigned ascending(const struct wire_run *runs, unsigned count)
{
    unsigned n = 1;

    while (n < count && runs[n].gpa > runs[n - 1].gpa)
        n++;
    return n;
}

bool source_say_zero(struct source *s, struct outbox *box, struct wire_run *runs, unsigned *count)
{
    unsigned n = ascending(runs, *count);
    u64 pages = 0;

    if (!bucket_take(&s->bucket, zero_bytes(n), s->ops->now(s->vm)))
        return false;
    outbox_record(box, WIRE_ZERO, runs, n * sizeof(*runs));
    for (unsigned i = 0; i < n; i++)
        pages += runs[i].pages;
    s->served += pages;
    s->now.zero += pages;
    s->stats.duplicate += pages;
    account(s, zero_bytes(n));
    *count -= n;
    memmove(runs, runs + n, *count * sizeof(*runs));
    return true;
}

bool source_ram_produce(struct source *s, bool *done)
{
    struct source_batch *batch = &s->batch;
    bool at_end, serves = s->stage == STAGE_SERVE;

    *done = false;
    if (batch->pages < batch_room(s) && s->runs < WIRE_RUNS)
        gather(s);
    at_end = s->cursor == s->ram.pages;
    /* What is gathered is not given to somebody who waits for it, either. */
    if (s->runs == WIRE_RUNS || (s->runs && (serves || (at_end && !batch->pages))))
        return source_say_zero(s, &s->outbox, s->run, &s->runs);
    if (batch->pages >= batch_room(s) || (at_end && batch->pages))
        return source_say_pages(s, &s->outbox, batch);
    *done = at_end;
    if (!at_end && s->work - s->said_work >= WIRE_KEEPALIVE_LOOKED)
        source_say_keepalive(s, &s->outbox);
    return true;
}
