/* SPDX-License-Identifier: BSD-2-Clause */
/* Of memory only this is kept: which pages have come, whether unharmed, and a digest of each. */
#include "tools/godwit/image_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/digest.h"
#include "host/bits.h"
#include "stream/crc32c.h"
#include "stream/ram_digest.h"
#include "stream/record.h"

#define MEMORY_MAX (1ULL << 42) /* bytes of RAM that anybody has */

struct reading {
    struct image_check *check;
    struct inbox inbox;
    struct ram ram;
    u64 *seen, *suspect; /* by page: it has come; not as it was sent */
    struct ram_digest digest;
    u64 state_digest;
    u64 records;
    u8 page[WIRE_PAGE];
    bool ended;
};

/* Returns false. */
static bool fails(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fails(struct reading *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(r->check->reason, IMAGE_REASON, format, args);
    va_end(args);
    return false;
}

static bool take_header(struct reading *r)
{
    const struct wire_header *header = &r->check->header;

    r->check->header = r->inbox.header;
    if (header->kind != WIRE_IMAGE)
        return fails(r, "it is no image, but the beginning of a connection of kind %u", header->kind);
    if (header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN)
        return fails(r, "it has version %u, expected %u", header->version_min, WIRE_VERSION);
    return true;
}

static bool take_reserve(struct reading *r)
{
    struct wire_reserve *reserve = &r->check->reserve;
    struct wire_range range[WIRE_RANGES];
    struct codec c = codec_restorer(r->inbox.body, r->inbox.len);

    codec_bytes(&c, reserve, sizeof(*reserve));
    if (c.err || reserve->nr_ranges > WIRE_RANGES || !memchr(reserve->name, 0, WIRE_NAME))
        return fails(r, "its description is malformed");
    codec_bytes(&c, range, reserve->nr_ranges * sizeof(range[0]));
    if (c.err || ram_init(&r->ram, range, reserve->nr_ranges) || reserve->memory != r->ram.pages * WIRE_PAGE ||
        reserve->memory > MEMORY_MAX)
        return fails(r, "its description of memory is malformed");
    r->seen = ram_bitmap(&r->ram);
    r->suspect = ram_bitmap(&r->ram);
    if (!r->seen || !r->suspect || ((reserve->flags & WIRE_VERIFY) && ram_digest_init(&r->digest, &r->ram)))
        return fails(r, "there is no memory to check it");
    return true;
}

/* Contract: inbox->place. */
static u8 *place(void *ctx, const struct wire_page *page)
{
    struct reading *r = ctx;

    return r->seen && ram_index(&r->ram, page->gpa) != GUEST_PAGE_NONE ? r->page : NULL;
}

static void take_page(struct reading *r)
{
    const struct wire_page *page = &r->inbox.page;
    u64 index = ram_index(&r->ram, page->gpa);

    r->check->pages++;
    bitmap_set(r->seen, index);
    if (crc32c(0, r->page, WIRE_PAGE) == page->crc)
        bitmap_clear(r->suspect, index);
    else
        bitmap_set(r->suspect, index);
    if (r->digest.stale)
        ram_digest_take(&r->digest, &r->ram, index, r->page);
}

static bool take_zero(struct reading *r)
{
    u64 count = r->inbox.len / sizeof(struct wire_run), end = 0;

    if (r->inbox.len % sizeof(struct wire_run) || count > WIRE_RUNS)
        return fails(r, "a record of zero pages is malformed");
    for (u64 i = 0; i < count; i++) {
        struct wire_run run;
        u64 first;

        memcpy(&run, r->inbox.body + i * sizeof(run), sizeof(run));
        if (!ram_take_run(&r->ram, &run, &end))
            return fails(r, "a record of zero pages names what is no memory");
        first = ram_index(&r->ram, run.gpa);
        bitmap_set_run(r->seen, first, run.pages);
        bitmap_clear_run(r->suspect, first, run.pages);
        r->check->zero += run.pages;
        for (u64 page = first; r->digest.stale && page < first + run.pages; page++)
            ram_digest_take(&r->digest, &r->ram, page, NULL);
    }
    return true;
}

static bool take_state(struct reading *r)
{
    struct image_check *check = r->check;
    struct wire_section section;

    if (r->inbox.len < sizeof(section) || check->sections == WIRE_SECTIONS)
        return fails(r, "a section of state is malformed");
    memcpy(&section, r->inbox.body, sizeof(section));
    if (section.len != r->inbox.len - sizeof(section) || !memchr(section.name, 0, WIRE_SECTION_NAME))
        return fails(r, "a section of state is malformed");
    r->state_digest = digest_bytes(r->state_digest, &section, sizeof(section));
    r->state_digest = digest_bytes(r->state_digest, r->inbox.body + sizeof(section), section.len);
    check->section[check->sections] = (struct image_section){ .instance = section.instance, .len = section.len };
    memcpy(check->section[check->sections++].name, section.name, WIRE_SECTION_NAME);
    return true;
}

/* `bytes`: what was before this record. */
static bool take_end(struct reading *r, u64 bytes)
{
    struct wire_image_end *end = &r->check->end;

    if (inbox_body(&r->inbox, end, sizeof(*end)))
        return fails(r, "its end is malformed");
    if (end->bytes != bytes || end->records != r->records)
        return fails(r, "its end is that of another image");
    if (bitmap_count(r->seen, r->ram.pages) != r->ram.pages || bitmap_count(r->suspect, r->ram.pages))
        return fails(r, "pages of memory are damaged or missing");
    if (end->state_digest != r->state_digest)
        return fails(r, "state is damaged or missing: its digest is another");
    if (r->digest.stale && end->memory_digest != r->digest.sum)
        return fails(r, "memory is not what was saved: its digest is another");
    r->check->verified = r->digest.stale;
    r->ended = true;
    return true;
}

static bool take_record(struct reading *r, u64 bytes)
{
    u32 type = r->inbox.type;

    if ((type == WIRE_RESERVE) != !r->records)
        return fails(r, "its description is not where it must be");
    if (type != WIRE_END)
        r->records++;
    switch (type) {
    case WIRE_RESERVE: return take_reserve(r);
    case WIRE_ZERO: return take_zero(r);
    case WIRE_STATE: return take_state(r);
    case WIRE_END: return take_end(r, bytes);
    case WIRE_ROUND: r->check->rounds++; return true;
    case WIRE_PAGES:
    case WIRE_KEEPALIVE: return true;
    default: return fails(r, "a record of type %#x is none of an image", type);
    }
}

/* Take the next thing. Returns whether to go on. */
static bool step(struct reading *r, struct transport *file)
{
    u64 before = r->check->bytes;
    int event = inbox_next(&r->inbox, file);

    if (event == INBOX_HEADER || event == INBOX_RECORD || event == INBOX_PAGE)
        r->check->bytes = r->inbox.bytes;
    switch (event) {
    case INBOX_HEADER: return take_header(r);
    case INBOX_RECORD: return take_record(r, before);
    case INBOX_PAGE: take_page(r); return true;
    case -EPROTO: return fails(r, "damaged, or no image, behind byte %llu", (unsigned long long)before);
    default: return fails(r, "cut off behind byte %llu", (unsigned long long)r->inbox.bytes);
    }
}

bool image_check(struct image_check *check, struct transport *file)
{
    struct reading r = { .check = check };
    u8 more;

    memset(check, 0, sizeof(*check));
    if (inbox_init(&r.inbox, WIRE_BODY_MAX, place, &r))
        return fails(&r, "there is no memory to check it");
    while (!r.ended && step(&r, file))
        ;
    if (r.ended && file->ops->receive(file, &more, 1) > 0)
        r.ended = fails(&r, "something is behind its end, at byte %llu", (unsigned long long)check->bytes);
    inbox_fini(&r.inbox);
    ram_digest_fini(&r.digest);
    free(r.seen);
    free(r.suspect);
    return r.ended;
}
