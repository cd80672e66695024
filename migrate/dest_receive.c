/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a stopped guest of records: reservation, memory, state, and the check that all of it has come. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "stream/crc32c.h"
#include "migrate/dest_parts.h"

void receive_release(struct incoming *in)
{
    free(in->description);
    free(in->seen);
    free(in->suspect);
    free(in->sections);
    ram_digest_fini(&in->digest);
    in->description = NULL;
    in->seen = in->suspect = in->sections = NULL;
}

/* Read the body of RESERVE. Returns 0 or -EINVAL. */
static int parse_reserve(const struct inbox *box, struct migrate_description *d)
{
    struct codec c = codec_restorer(box->body, box->len);
    const struct wire_reserve *head = &d->head;

    codec_bytes(&c, &d->head, sizeof(d->head));
    if (head->nr_ranges > WIRE_RANGES || head->nr_vcpus > WIRE_VCPUS || !head->nr_vcpus ||
        head->nr_cpuid > WIRE_CPUID || head->nr_devices > WIRE_DEVICES || !head->name[0] ||
        !memchr(head->name, 0, sizeof(head->name)))
        return -EINVAL;
    codec_bytes(&c, d->range, head->nr_ranges * sizeof(d->range[0]));
    codec_bytes(&c, d->cpuid, head->nr_cpuid * sizeof(d->cpuid[0]));
    codec_bytes(&c, d->device, head->nr_devices * sizeof(d->device[0]));
    for (u32 i = 0; i < head->nr_devices; i++)
        if (!memchr(d->device[i].name, 0, sizeof(d->device[i].name)))
            return -EINVAL;
    return c.err || c.at != c.len ? -EINVAL : 0;
}

/* A guest that starts anew has no memory that could be compared, or be missing. */
static bool flags_fit(u32 flags)
{
    return !(flags & WIRE_COLD) || !(flags & (WIRE_VERIFY | WIRE_DEMAND | WIRE_GUARDED));
}

/* Allocate what the description asks for. Returns WIRE_OK or the code. */
static enum wire_code reserve(struct dest *dest, struct incoming *in, char reason[WIRE_REASON])
{
    enum wire_code code;

    in->seen = ram_bitmap(&in->ram);
    in->suspect = ram_bitmap(&in->ram);
    in->sections = calloc(WIRE_SECTIONS, sizeof(*in->sections));
    if (!in->seen || !in->suspect || !in->sections ||
        (in->description->head.flags & WIRE_VERIFY && ram_digest_init(&in->digest, &in->ram))) {
        snprintf(reason, WIRE_REASON, "no memory for the bookkeeping");
        return WIRE_E_MEMORY;
    }
    code = dest->ops->create(dest->ctx, in->description, &in->vm, reason);
    if (code)
        in->vm = NULL;
    return code;
}

/* Is the attempt within the limit of memory, of `peer`'s host or (NULL) of all hosts? With `alone`, stranded copies are
 * not counted, for they can be freed for it. */
static enum wire_code check_limit(const struct dest *dest, const struct incoming *in, const char *peer, bool alone,
                                  char reason[WIRE_REASON])
{
    u64 limit = peer ? dest->limit_per_host : dest->limit, held = attempt_held(dest, peer, in->instead, false);
    const char *end = peer ? strrchr(peer, ':') : NULL;

    held -= alone ? attempt_held(dest, peer, in->instead, true) : 0;
    if (!limit || held + attempt_bytes(in) <= limit)
        return WIRE_OK;
    snprintf(reason, WIRE_REASON, "guests from %.*s hold %lu MiB of at most %lu, it needs %lu: see %s",
             end ? (int)(end - peer) : 10, peer ? peer : "all hosts", held >> 20, limit >> 20, attempt_bytes(in) >> 20,
             peer ? "incoming-memory-per-host" : "incoming-memory");
    return WIRE_E_MEMORY;
}

/* Would the guest be taken, and is it within the limits? `alone`: as in check_limit. */
static enum wire_code check(struct dest *dest, struct incoming *in, bool alone, struct wire_accepted *accepted,
                            char reason[WIRE_REASON])
{
    enum wire_code code;

    in->description->from = in->peer;
    in->description->moves = 1;
    each_attempt (other, dest)
        in->description->moves += other != in->instead && attempt_under_way(other) && same_host(other->peer, in->peer);
    in->description->held = attempt_bytes(in) + attempt_held(dest, in->peer, in->instead, false);
    in->description->spare = attempt_bytes(in->instead) + (alone ? attempt_held(dest, NULL, in->instead, true) : 0);
    code = dest->ops->check(dest->ctx, in->description, accepted, reason);
    in->description->spare = 0;
    if (!code)
        code = check_limit(dest, in, in->peer, alone, reason);
    if (!code)
        code = check_limit(dest, in, NULL, alone, reason);
    return code;
}

/* The next stranded copy to free for this attempt: one of its own host, if that host holds too much. */
static struct incoming *next_stranded(struct dest *dest, const struct incoming *in)
{
    char reason[WIRE_REASON];
    bool own = check_limit(dest, in, in->peer, false, reason);

    return attempt_stranded(dest, own ? in->peer : NULL, in->instead);
}

/* There is no memory for this guest. If there would be without the stranded copies, the next of them is freed, and
 * *freed is set. */
static enum wire_code make_room(struct dest *dest, struct incoming *in, struct wire_accepted *accepted, bool *freed,
                                char reason[WIRE_REASON])
{
    struct incoming *old;
    enum wire_code code = check(dest, in, true, accepted, reason);

    if (in->dry_run || code)
        return code;
    old = next_stranded(dest, in);
    if (!old)
        return check(dest, in, false, accepted, reason);
    dest_free_stranded(dest, old);
    *freed = true;
    return WIRE_OK;
}

/* A check frees no stranded copy, so there is no VM on which the guest's state could be tried. */
static void untried(struct wire_accepted *accepted)
{
    if (accepted->count < WIRE_WARNINGS)
        snprintf(accepted->warning[accepted->count++], WIRE_REASON,
                 "its state was not tried: a copy whose source is lost has the memory, and would be freed");
}

void receive_reserve(struct dest_session *session)
{
    struct incoming *in = &session->fresh;

    in->description = calloc(1, sizeof(*in->description));
    if (!in->description) {
        dest_refuse(session, WIRE_E_MEMORY, "no memory for the description");
        return;
    }
    if (parse_reserve(&session->inbox, in->description) || !flags_fit(in->description->head.flags) ||
        ram_init(&in->ram, in->description->range, in->description->head.nr_ranges) ||
        in->description->head.memory != in->ram.pages * WIRE_PAGE) {
        dest_refuse(session, WIRE_E_STREAM, "malformed description");
        return;
    }
    memcpy(in->description->vm_id, in->vm_id, WIRE_ID);
    memcpy(in->name, in->description->head.name, WIRE_NAME);
    in->mode = migrate_said_mode(in->description->head.flags);
    in->dry_run = in->description->head.flags & WIRE_DRY_RUN;
    in->demand = in->description->head.flags & WIRE_DEMAND;
    in->cold = in->description->head.flags & WIRE_COLD;
    in->stopped = in->description->head.flags & WIRE_STOPPED;
    in->follows = in->description->head.flags & WIRE_FOLLOW;
    in->beside = in->description->head.flags & WIRE_GUARDED ? protect_room(&in->ram) * WIRE_PAGE : 0;
    in->description->epoch = in->handoff.epoch;
    in->owner = in->description->head.owner;
    attempt_contest(session->dest, in);
    session->stage = SESSION_ROOM;
}

void receive_room(struct dest_session *session)
{
    struct incoming *in = &session->fresh;
    struct dest *dest = session->dest;
    struct wire_accepted accepted = { 0 };
    char reason[WIRE_REASON] = "";
    const char *barred = "";
    enum wire_code code;
    bool no_room, freed = false;

    if (!dest->ops->room(dest->ctx, in->description))
        return;
    code = attempt_admit(session, &barred);
    if (code) {
        dest_refuse(session, code, barred);
        return;
    }
    in->description->instead = in->instead ? in->instead->vm : NULL;
    code = check(dest, in, false, &accepted, reason);
    no_room = code == WIRE_E_MEMORY;
    if (no_room)
        code = make_room(dest, in, &accepted, &freed, reason);
    if (!code && !freed)
        attempt_replace(dest, in);
    /* What has given way is freed a part at a time. Then all is judged again: meanwhile something else may have come.
     */
    if (!code && (freed || !dest->ops->room(dest->ctx, in->description)))
        return;
    if (!code && in->dry_run && no_room)
        untried(&accepted);
    else if (!code)
        code = reserve(dest, in, reason);
    if (code) {
        dest_refuse(session, code, reason);
        return;
    }
    in->stats.reserved = session->since = dest_now(dest);
    session->stage = in->dry_run ? SESSION_TRY : SESSION_RECEIVE;
    attempt_keep(session);
    outbox_record(&session->outbox, WIRE_ACCEPTED, &accepted, sizeof(accepted));
}

void say_keepalive(struct dest_session *session)
{
    struct incoming *in = session_attempt(session);
    u64 work = in ? in->work : 0;

    outbox_record(&session->outbox, WIRE_KEEPALIVE, &work, sizeof(work));
    if (in)
        in->said_work = work;
}

void receive_got_on(struct dest_session *session, u64 work)
{
    struct incoming *in = session_attempt(session);

    session->since = session->last_heard;
    in->work += work;
    if (!session_fills(session) && in->work - in->said_work >= WIRE_KEEPALIVE_PAGES)
        say_keepalive(session);
}

u8 *receive_place(void *ctx, const struct wire_page *page)
{
    struct dest_session *session = ctx;
    struct incoming *in = session_attempt(session);

    if (!in || ram_index(&in->ram, page->gpa) == GUEST_PAGE_NONE)
        return NULL;
    if (session_fills(session))
        return session->page;
    if (session->stage == SESSION_PROTECT)
        return protect_place(session, page->gpa);
    /* Behind MISSING come no more pages before the guest runs; to one that starts anew none at all. */
    return session->stage != SESSION_RECEIVE || in->handoff.split || in->cold
               ? NULL
               : session->dest->ops->page(in->vm, page->gpa);
}

void receive_page(struct dest_session *session)
{
    struct incoming *in = session_attempt(session);
    const struct inbox *box = &session->inbox;
    u64 index = ram_index(&in->ram, box->page.gpa);

    receive_got_on(session, 1);
    if (session_fills(session)) {
        fill_page(session);
        return;
    }
    if (session->stage == SESSION_PROTECT) {
        protect_page(session);
        return;
    }
    bitmap_set(in->seen, index);
    ram_digest_forget(&in->digest, index);
    in->stats.pages++;
    if (crc32c(0, box->target, WIRE_PAGE) == box->page.crc) {
        bitmap_clear(in->suspect, index);
        return;
    }
    /* The page was written while it was on its way, and so will come again; or it is damaged, and receive_prepare will
     * see that. */
    bitmap_set(in->suspect, index);
    in->stats.suspects++;
}

static struct wire_run zero_run(const struct inbox *box, unsigned index)
{
    struct wire_run run;

    memcpy(&run, box->body + index * sizeof(run), sizeof(run));
    return run;
}

/* Is this page to stay behind? All such pages count as seen. */
static bool is_missing(const struct incoming *in, const struct dest *dest, gpa_t gpa)
{
    return in->handoff.split && bitmap_test(in->seen, ram_index(&in->ram, gpa)) && dest->ops->is_missing(in->vm, gpa);
}

/* A page that comes for the first time is zeros already. Returns whether this one has come before. */
static bool clear_page(struct dest_session *session, gpa_t gpa)
{
    struct incoming *in = session->incoming;
    u64 index = ram_index(&in->ram, gpa);
    bool seen = bitmap_test(in->seen, index);

    in->stats.zero++;
    if (seen)
        memset(session->dest->ops->page(in->vm, gpa), 0, WIRE_PAGE);
    bitmap_set(in->seen, index);
    bitmap_clear(in->suspect, index);
    ram_digest_forget(&in->digest, index);
    return seen;
}

void receive_clear(struct dest_session *session)
{
    unsigned looked = 0, cleared = 0;

    while (looked < WIRE_KEEPALIVE_LOOKED && cleared < WIRE_KEEPALIVE_PAGES && session->zero.run < session->zero.runs) {
        struct wire_run run = zero_run(&session->inbox, session->zero.run);
        gpa_t gpa = run.gpa + session->zero.page * WIRE_PAGE;

        looked++;
        if (session->zero.stage == SESSION_RECEIVE && is_missing(session->incoming, session->dest, gpa)) {
            dest_refuse(session, WIRE_E_STREAM, "ZERO of a page that MISSING has named");
            return;
        }
        if (session->zero.stage == SESSION_RECEIVE)
            cleared += clear_page(session, gpa);
        else if (fill_zero(session, gpa))
            cleared++;
        else
            return;
        if (++session->zero.page == run.pages) {
            session->zero.page = 0;
            session->zero.run++;
        }
    }
    receive_got_on(session, looked);
    if (session->zero.run == session->zero.runs)
        session->stage = session->zero.stage;
}

void receive_zero(struct dest_session *session)
{
    const struct inbox *box = &session->inbox;
    u64 count = box->len / sizeof(struct wire_run), end = 0;

    if (box->len % sizeof(struct wire_run) || count > WIRE_RUNS) {
        dest_refuse(session, WIRE_E_STREAM, "malformed ZERO");
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        struct wire_run run = zero_run(box, i);

        /* Runs must be ascending, so that a record costs no more than one pass over memory. */
        if (!ram_take_run(&session_attempt(session)->ram, &run, &end)) {
            dest_refuse(session, WIRE_E_STREAM, "ZERO of what isn't RAM");
            return;
        }
    }
    if (session->stage == SESSION_PROTECT) {
        protect_zero(session);
        return;
    }
    receive_got_on(session, !session_fills(session));
    session->zero.run = 0;
    session->zero.page = 0;
    session->zero.runs = (unsigned)count;
    session->zero.stage = session->stage;
    session->stage = SESSION_CLEAR;
}

static void refuse_section(struct dest_session *session, const struct wire_section *section, const struct codec *c)
{
    bool unknown = c->err == -ENOENT || c->err == -ENOTSUP;
    char reason[WIRE_REASON];

    snprintf(reason, sizeof(reason), "state of %s %u: %s", section->name, section->instance, c->why);
    dest_refuse(session, unknown ? WIRE_E_DEVICE : WIRE_E_STATE, reason);
}

void receive_state(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    const struct inbox *box = &session->inbox;
    struct codec c = codec_restorer(box->body, box->len);
    struct wire_section section;

    if (session->stage == SESSION_PROTECT) {
        protect_state(session);
        return;
    }
    codec_bytes(&c, &section, sizeof(section));
    if (!in->vm) { /* a check, and the section can't be tried: there is no VM */
        receive_got_on(session, 1);
        return;
    }
    if (c.err || section.len != c.len - c.at || in->stats.sections == WIRE_SECTIONS ||
        !memchr(section.name, 0, sizeof(section.name))) {
        dest_refuse(session, WIRE_E_STREAM, "malformed STATE");
        return;
    }
    receive_got_on(session, 1);
    in->found.state_digest = section_digest(in->found.state_digest, &section, c.buf + c.at);
    in->sections[in->stats.sections] = section_digest(0, &section, c.buf + c.at);
    if (in->cold)
        session->dest->ops->definition(in->vm, in->stats.sections++, &section, &c);
    else
        session->dest->ops->section(in->vm, in->stats.sections++, &section, &c);
    codec_judge(&c, c.at == c.len, "it is longer than expected");
    if (c.err)
        refuse_section(session, &section, &c);
    else
        protect_keep(session);
}

/* Is all of memory here that has to be? A guest that starts anew has none. */
static bool memory_came(const struct incoming *in)
{
    return in->cold ||
           (bitmap_count(in->seen, in->ram.pages) == in->ram.pages && !bitmap_count(in->suspect, in->ram.pages));
}

void receive_prepare(struct dest_session *session, const struct wire_handoff *prepare)
{
    struct incoming *in = session->incoming;
    char reason[WIRE_REASON] = "";
    enum wire_code code;

    if (!memory_came(in)) {
        dest_refuse(session, WIRE_E_DAMAGED, "pages arrived damaged or not at all");
        return;
    }
    if (!in->protect && in->description->head.flags & WIRE_GUARDED) {
        dest_refuse(session, WIRE_E_STREAM, "a copy that is to be kept up to date, without PROTECT");
        return;
    }
    if (in->found.state_digest != prepare->state_digest) {
        dest_refuse(session, WIRE_E_DIGEST, "state arrived damaged or not at all");
        return;
    }
    code = (in->cold ? session->dest->ops->defined : session->dest->ops->ready)(in->vm, reason);
    if (code) {
        dest_refuse(session, code, reason);
        return;
    }
    if (!in->cold && !in->protect) /* that one's port stays shut until the guest runs here */
        session->dest->ops->open(in->vm);
    in->prepare = *prepare;
    in->digested = (struct digest_work){ 0 };
    in->stats.closed = dest_now(session->dest);
    session->stage = SESSION_VERIFY;
}
