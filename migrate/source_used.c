/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest has used a moment ago it will use again at once. Of a split move these pages are pushed first, behind
 * the neighbours of one that is wanted. The A bits of the nested tables tell: they are cleared while the guest still
 * runs here, and looked at WATCH_MS later. Where nothing tells, the push goes by addresses.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/bits.h"
#include "migrate/source_parts.h"

#define WATCH_MS 20
#define LOOKS 2 /* the first one only clears A bits */

void source_watch_begin(struct source *s)
{
    if (!s->used && !s->settings.demand)
        s->used = ram_bitmap(&s->ram);
    s->looks = s->used ? 0 : LOOKS;
    s->used_cursor = 0;
}

bool source_watch_due(const struct source *s, u64 *due)
{
    if (s->stage != STAGE_WATCH)
        return false;
    *due = s->looks == 1 ? s->looked + WATCH_MS * NS_PER_MS : 0;
    return true;
}

/* Do a part of a look. */
static void look(struct source *s)
{
    int err = s->ops->used(s->vm, s->looks ? s->used : NULL);

    if (err == -EAGAIN)
        return;
    if (err)
        source_watch_fini(s);
    s->looks = err ? LOOKS : s->looks + 1;
    s->looked = source_now(s);
}

bool source_watch(struct source *s)
{
    u64 due;

    if (!source_watch_due(s, &due) || source_now(s) < due)
        return false;
    s->work++;
    if (s->looks < LOOKS)
        look(s);
    /* If nothing was sent, all of memory is what stays behind, which is said faster of large pages: they come back. */
    else if (s->settings.policy.max_rounds || source_stop_log(s))
        source_enter(s, STAGE_LANE);
    return true;
}

void source_watch_fini(struct source *s)
{
    free(s->used);
    s->used = NULL;
}

u64 source_used_next(struct source *s)
{
    u64 pages = s->ram.pages, index = bitmap_next(s->bitmap, pages, s->cursor);

    if (!s->used || index < s->near_end)
        return index;
    s->near_end = 0;
    while ((s->used_cursor = bitmap_next(s->used, pages, s->used_cursor)) < pages)
        if (bitmap_test(s->bitmap, s->used_cursor++))
            return s->used_cursor - 1;
    source_watch_fini(s); /* all of these are sent: it goes on by addresses */
    return index;
}
