/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c migrate/stats.c dev/codec.c */
/* sources: tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c tests/model/beside.c */
/*
 * Source and destination in the world of the unit tests, which have come to COMMIT. From there on no time passes, and
 * what is said stays in the pipes until the model hears it: in units, which are a record with the header before it, or
 * the header of a lane. Each event is a call of the function by which a step of the engine does that; what else the
 * step does has an event of its own.
 */
#define take_header source_take_header
#include "migrate/source.c"
#undef take_header
#undef STEP_BUDGET
#undef SAYS
#include "migrate/dest.c"

#include "config/digest.h"
#include "tests/model/beside.h"
#include "tests/model/beside_pages.h"
#include "tests/unit/world.h"

#define EVER (1ULL << 60) /* ns */

#ifndef PAGES
#define PAGES 2
#endif

/* The pages that stay behind, by the model's numbers: contents, zeros in another range, contents. */
static const unsigned numbers[] = { 200, 301, 8 };

static struct world w;
static struct source *const source = &w.source;
static struct incoming *const in = &w.dest.incoming[0];
static u8 kinds[WORLD_PIPES] = { BULK, LANE };

/* --- The beginning ------------------------------------------------------------------------------------------------ */

/* A live round, then the guest writes to those pages. */
static void come_to_commit(void)
{
    struct migrate_settings settings = { .split = true, .policy.max_rounds = 1, .max_bandwidth = WIRE_PAGE };

    world_init(&w);
    w.cap = 10000;
    source_start(source, &settings);
    source->bucket.burst = source->bucket.tokens = GiB(1);
    while (source->stage != STAGE_COMMIT) {
        world_tick(&w);
        source_step(source);
        if (source->stage == STAGE_ROUND_WAIT)
            for (unsigned i = 0; i < PAGES; i++)
                bitmap_set(w.source_vm.dirty, numbers[i]);
        if (source->stage != STAGE_COMMIT)
            dest_step(&w.dest);
    }
}

static void set_up(void)
{
    beside_watch(&w, sizeof(w));
    beside_watch(kinds, sizeof(kinds));
    come_to_commit();
    w.link_down = true;
    w.delay = EVER;
    for (unsigned i = 0; i < w.pipes; i++) {
        w.pipe[i].delay = EVER;
        for (unsigned way = 0; way < 2; way++)
            pipe_arrives(&w.pipe[i].way[way], EVER);
    }
    beside_begin();
}

static void enter(void)
{
    static bool begun;

    if (!begun)
        set_up();
    begun = true;
    beside_enter();
}

/* What decides how both go on, beside what the model has. */
static void take_essence(void)
{
    u64 essence[8 + DEST_SESSIONS] = {
        source->cursor,     source->stage, source->link,      source->lane ? source->lane->link : 0,
        source->recovering, source->ahead, in->handoff.state, source->handoff.lost,
    };

    for (unsigned i = 0; i < DEST_SESSIONS; i++) {
        const struct dest_session *session = &w.dest.session[i];

        if (session->used)
            essence[8 + i] = 1 + session->stage + session->mute * 16 + (session == in->session) * 32 +
                             (session == in->lane) * 64 + (session->list << 8);
    }
    beside_essence = digest_bytes(0, essence, sizeof(essence));
}

static bool leave(bool done)
{
    take_essence();
    beside_leave();
    return done;
}

/* --- Units -------------------------------------------------------------------------------------------------------- */

/* The length of the unit there, of so many bytes; 0: it is not whole. */
static size_t unit(const u8 *bytes, size_t left, bool ends_with_header)
{
    static const u64 magic = WIRE_MAGIC;
    size_t n = left && !memcmp(bytes, &magic, sizeof(magic)) ? sizeof(struct wire_header) : 0;
    struct wire_record head;

    if (n == left || (n && ends_with_header))
        return ends_with_header ? n : 0;
    memcpy(&head, bytes + n, sizeof(head));
    return n + record_bytes(&head);
}

static size_t unit_at(unsigned pipe, unsigned way, size_t at)
{
    const struct pipe_direction *d = &w.pipe[pipe].way[way];

    return unit(d->buf + d->head + at, d->used - at, kinds[pipe] == LANE && way == 0);
}

static unsigned units(unsigned pipe, unsigned way)
{
    unsigned count = 0;

    for (size_t at = 0, n; (n = unit_at(pipe, way, at)); at += n)
        count++;
    return count;
}

/* What the source has said on all connections of this kind. */
static unsigned units_out(enum connection kind)
{
    unsigned count = 0;

    for (unsigned i = 0; i < w.pipes; i++)
        count += kinds[i] == kind ? units(i, 0) : 0;
    return count;
}

static unsigned latest(enum connection kind)
{
    unsigned i = w.pipes - 1;

    while (kinds[i] != kind)
        i--;
    return i;
}

/* So many bytes arrive, and the others later. */
static size_t arrive(unsigned pipe, unsigned way, size_t bytes)
{
    struct pipe_direction *d = &w.pipe[pipe].way[way];

    d->first = 0;
    d->arrivals = 2;
    d->arrival[0] = (struct pipe_arrival){ .end = d->total - d->used + bytes };
    d->arrival[1] = (struct pipe_arrival){ .end = d->total, .due = EVER };
    return d->used - bytes;
}

/* So many units stay of what was said on connections of this kind, and the last of them is broken. */
static void cut(enum connection kind, unsigned stay)
{
    for (unsigned i = 0; i < w.pipes; i++) {
        struct pipe_direction *d = &w.pipe[i].way[0];
        size_t at = 0;

        if (kinds[i] != kind)
            continue;
        for (size_t n; stay && (n = unit_at(i, 0, at)); stay--)
            at += n;
        d->total -= d->used - at;
        d->used = at;
        pipe_arrives(d, EVER);
    }
    w.pipe[latest(kind)].way[1].used = 0;
    w.pipe[latest(kind)].broken = true;
}

/* --- The source --------------------------------------------------------------------------------------------------- */

/* The pages that it has to send. */
static unsigned left(void)
{
    unsigned map = 0;

    for (unsigned i = 0; i < PAGES; i++)
        map |= (unsigned)bitmap_test(source->bitmap, numbers[i]) << i;
    return map;
}

/* Would it open a lane now, or does it? Nothing is pushed meanwhile. */
static bool opens_lane(void)
{
    u64 ahead = source->ahead;

    source->lane->next_try = source->ahead = source->served = source->peer_work = 0;
    source_row(source)->produce(source);
    source->ahead = ahead;
    return source->lane->next_try;
}

static bool opens_in_time(void)
{
    bool may = source->stage == STAGE_SERVE && !source->listens && source->lane->link == LINK_NONE;

    return source->stage != STAGE_SERVE || opens_lane() == may;
}

bool pages_demand(void)
{
    enter();
    source->settings.demand = in->demand = true;
    return leave(true);
}

bool pages_source_hears(void)
{
    enter();
    unsigned pipe = latest(BULK);
    size_t n = unit_at(pipe, 1, 0), rest = arrive(pipe, 1, n);

    receive(source);
    return leave(n && w.pipe[pipe].way[1].used == rest && opens_in_time());
}

bool pages_source_wanted(void)
{
    enter();
    unsigned pipe = latest(LANE);
    size_t n = unit_at(pipe, 1, 0), rest = arrive(pipe, 1, n);

    source_lane_step(source);
    return leave(n && w.pipe[pipe].way[1].used == rest);
}

bool pages_push(unsigned *page)
{
    enter();
    unsigned before = left();
    bool said;

    said = source_row(source)->produce(source);
    if (said && left() == before) /* it begins anew at the lowest page */
        said = source_row(source)->produce(source);
    outbox_flush(&source->outbox, &source->transport);
    before &= ~left();
    *page = (unsigned)__builtin_ctz(before | 1U << PAGES);
    return leave(said && bits_count(before) == 1);
}

bool pages_connect(void)
{
    enter();
    kinds[w.pipes] = BULK;
    w.link_down = false;
    source->next_try = 0;
    bool open = open_link(source);
    w.link_down = true;
    transmit(source);
    return leave(open && opens_in_time());
}

bool pages_lane(void)
{
    enter();
    bool opens;

    kinds[w.pipes] = LANE;
    w.link_down = false;
    opens = opens_lane();
    w.link_down = true;
    source_lane_step(source);
    return leave(opens && source->lane->link != LINK_NONE);
}

bool pages_source_pulls(void)
{
    enter();
    return leave(!source_pull(source));
}

/* --- The destination ---------------------------------------------------------------------------------------------- */

static void flush(struct dest_session *session)
{
    if (session->mute || !outbox_flush(&session->outbox, &session->transport))
        return;
    outbox_cancel(&session->outbox);
    session->mute = true;
}

/* All say what they have to, but for what is missing, and wanted. */
static void say_all(void)
{
    for (unsigned i = 0; i < DEST_SESSIONS; i++) {
        struct dest_session *session = &w.dest.session[i];

        if (!session->used)
            continue;
        do
            flush(session);
        while (say(session));
        fill_watch(session);
        if (session->stage == SESSION_CLOSE)
            session_row(session)->work(session);
    }
}

static struct dest_session *session_of(unsigned pipe)
{
    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (w.dest.session[i].used && pipe_of(&w.dest.session[i].transport) == &w.pipe[pipe])
            return &w.dest.session[i];
    return NULL;
}

static unsigned oldest(enum connection kind)
{
    for (unsigned i = 0; i < w.pipes; i++)
        if (kinds[i] == kind && w.pipe[i].way[0].used)
            return i;
    return WORLD_PIPES;
}

bool pages_dest_hears(enum connection kind)
{
    enter();
    unsigned pipe = oldest(kind);
    struct dest_session *session = pipe < WORLD_PIPES ? session_of(pipe) : NULL;
    size_t n = session ? unit_at(pipe, 0, 0) : 0, rest;

    if (!n)
        return leave(false);
    rest = arrive(pipe, 0, n);
    while (w.pipe[pipe].way[0].used > rest && listen(session)) /* a look beyond would find that it is broken */
        flush(session);
    while (session->stage == SESSION_CLEAR)
        session_row(session)->work(session);
    say_all();
    return leave(w.pipe[pipe].way[0].used == rest);
}

bool pages_say(void)
{
    enter();
    bool said = in->session && fill_say(in->session);

    if (said)
        flush(in->session);
    return leave(said);
}

/* Somebody may want others; these come later. */
bool pages_say_want(unsigned page)
{
    enter();
    u8 others[FAKE_PAGES], *missing = w.dest_vm.missing;
    bool said;

    memcpy(others, missing, sizeof(others));
    for (unsigned i = 0; i < FAKE_PAGES; i++)
        missing[i] -= missing[i] == FAKE_WANTED && i != numbers[page];
    said = in->lane && fill_say(in->lane);
    if (said)
        flush(in->lane);
    for (unsigned i = 0; i < FAKE_PAGES; i++)
        missing[i] = i != numbers[page] ? others[i] : missing[i];
    return leave(said);
}

/* The connection of this kind that it has, is broken. */
bool pages_notices(enum connection kind)
{
    enter();
    struct dest_session *session = kind == BULK ? in->session : in->lane;

    if (session)
        listen(session);
    say_all();
    return leave(session && !session->used);
}

bool pages_dest_pulls(void)
{
    enter();
    return leave(!dest_pull(&w.dest, &w.dest_vm));
}

/* --- Others ------------------------------------------------------------------------------------------------------- */

bool pages_touch(unsigned page)
{
    enter();
    w.dest_vm.missing[numbers[page]] = FAKE_WANTED;
    return leave(true);
}

bool pages_ends(bool anew)
{
    enter();
    memset(w.dest_vm.missing, FAKE_HERE, sizeof(w.dest_vm.missing));
    w.dest_vm.nr_missing = 0;
    w.dest_vm.running = anew;
    if (anew)
        fill_end(&w.dest, in);
    else
        dest_forget(&w.dest, &w.dest_vm);
    say_all();
    return leave(true);
}

bool pages_broken(const struct pages_model *model, bool refused)
{
    enter();
    unsigned lane = latest(LANE);

    if (refused) {
        arrive(lane, 1, w.pipe[lane].way[1].used);
        source_lane_step(source);
    }
    cut(LANE, model->lane_out);
    if (!model->link)
        cut(BULK, model->bulk_out);
    if (!refused && !model->link)
        receive(source);
    else if (!refused)
        source_lane_step(source);
    return leave(true);
}

/* --- Comparison --------------------------------------------------------------------------------------------------- */

/* The pages that have come so far, from least to most. */
static unsigned pages_that_are(enum fake_missing least, enum fake_missing most)
{
    unsigned map = 0;

    for (unsigned i = 0; i < PAGES; i++)
        map |= (w.dest_vm.missing[numbers[i]] >= least && w.dest_vm.missing[numbers[i]] <= most) << i;
    return map;
}

static bool same(const char *what, unsigned model, unsigned c)
{
    if (model != c)
        printf("differs: %s is %u in the model and %u in C\n", what, model, c);
    return model == c;
}

static bool same_source(const struct pages_model *m)
{
    return same("serving", m->serving, source->stage == STAGE_SERVE) &&
           same("link", m->link, source->link != LINK_NONE) && same("lane", m->lane, source->lane->link != LINK_NONE) &&
           same("demand", m->demand, source->settings.demand) && same("listens", m->listens, source->listens) &&
           same("requests", m->requests, source->stats.postcopy_requests > 0) && same("left", m->left, left()) &&
           same("the number of those", bits_count(m->left), (unsigned)source->left) &&
           same("bulk_back", m->bulk_back, units(latest(BULK), 1)) &&
           same("lane_back", m->lane_back, units(latest(LANE), 1));
}

static bool same_pages(const struct pages_model *m)
{
    return same("missing", m->missing, pages_that_are(FAKE_MISSING, FAKE_FETCHED)) &&
           same("asked", m->asked, pages_that_are(FAKE_WANTED, FAKE_FETCHED)) &&
           same("wanted", m->wanted, pages_that_are(FAKE_WANTED, FAKE_WANTED)) &&
           same("bulk_out", m->bulk_out, units_out(BULK)) && same("lane_out", m->lane_out, units_out(LANE));
}

/* What a guest that misses nothing has of these decides nothing any more. */
static bool same_words(const struct pages_model *m)
{
    const struct dest_session *session = in->session;
    unsigned listed = PAGES + 1;

    if (in->handoff.state != DEST_INCOMPLETE || !session)
        return true;
    if (session->list <= in->ram.pages)
        listed = session->list ? PAGES : 0;
    return same("wish", m->wish, in->pull) && same("unasked", m->unasked, !in->demand) &&
           same("pulled", m->pulled, session->pulled) && same("listed", m->listed, listed);
}

bool pages_same(const struct pages_model *m)
{
    enum dest_state state;

    beside_look();
    state = in->handoff.state;
    return same("gone", m->gone, source->handoff.state == SOURCE_GONE) && (m->gone || same_source(m)) &&
           same("runs", m->runs, state != DEST_PREPARED) &&
           same("incomplete", m->runs && m->missing, state == DEST_INCOMPLETE) && same_pages(m) && same_words(m);
}
