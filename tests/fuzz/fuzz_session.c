/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c migrate/dest_forward.c */
/* sources: migrate/dest_protect.c stream/stash.c stream/sections.c tests/unit/fake_frames.c */
/* sources: migrate/dest_stranded.c migrate/dest_files.c stream/file_receiver.c dev/sha256.c */
/* sources: tests/unit/fake_kept.c */
/* sources: migrate/dest_attempts.c migrate/dest_stages.c migrate/dest_fill.c migrate/stats.c stream/ram_digest.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c owners/handoff.c dev/codec.c */
/*
 * libFuzzer entry for peers that speak the protocol: several connections of several hosts to one destination, on which
 * well-formed records of every type come in any order, beside operators' commands, claims, and time that passes. After
 * each step the memory of guests on their way is what the destination says that it holds, and within its limits; a
 * guest runs only if COMMIT or an operator said so, once, and never after ABORTED. At the end, when all have hung up
 * and the operator has settled what is left, each guest can come here.
 */
#include "config/digest.h"
#include "stream/crc32c.h"
#include "tests/fuzz/dest_machine.h"

#define LINES (DEST_SESSIONS + 1)
#define ROOM 16384
#define SECOND 1000000000ULL

/* Bytes on their way. */
struct way {
    u8 bytes[ROOM];
    size_t head, len;
};

struct line {
    bool open, hung_up; /* hung_up: by the destination */
    struct way to, back;
    struct outbox out;
    struct inbox in;
    u8 id;
    u64 epoch, digest;
    u32 heard; /* type of the last answer */
    struct wire_refused refused;
};

static struct line lines[LINES];
static struct dest dest;
static u64 limit;

/* --- Connections ---------------------------------------------------------------------------------------------- */

static long push(struct way *way, const struct chunk *chunks, unsigned count)
{
    long sent = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t n = MIN(chunks[i].len, ROOM - way->len);

        memcpy(way->bytes + way->len, chunks[i].bytes, n);
        way->len += n;
        sent += (long)n;
        if (n < chunks[i].len)
            break;
    }
    return sent ? sent : -EAGAIN;
}

static long pull(struct way *way, void *bytes, size_t len)
{
    size_t n = MIN(len, way->len - way->head);

    if (!n)
        return -EAGAIN;
    memcpy(bytes, way->bytes + way->head, n);
    way->head += n;
    if (way->head == way->len)
        way->head = way->len = 0;
    return (long)n;
}

static long dest_send(struct transport *t, const struct chunk *chunks, unsigned count)
{
    struct line *line = t->ctx;

    return line->open ? push(&line->back, chunks, count) : -EPIPE;
}

static long dest_receive(struct transport *t, void *bytes, size_t len)
{
    struct line *line = t->ctx;
    long n = pull(&line->to, bytes, len);

    return n == -EAGAIN && !line->open ? -EPIPE : n;
}

static void dest_close(struct transport *t)
{
    struct line *line = t->ctx;

    REQUIRE(!line->hung_up);
    line->hung_up = true;
}

static long peer_send(struct transport *t, const struct chunk *chunks, unsigned count)
{
    return push(&((struct line *)t->ctx)->to, chunks, count);
}

static long peer_receive(struct transport *t, void *bytes, size_t len)
{
    return pull(&((struct line *)t->ctx)->back, bytes, len);
}

static const struct transport_ops dest_end = { .send = dest_send, .receive = dest_receive, .close = dest_close };
static const struct transport_ops peer_end = { .send = peer_send, .receive = peer_receive };

static void line_open(struct line *line)
{
    static const char *const hosts[] = { "10.0.0.1:5", "10.0.0.2:5", "10.0.0.1:6", "[::1]:5" };
    struct transport transport = { .ops = &dest_end, .ctx = line };

    line->to.head = line->to.len = line->back.head = line->back.len = 0;
    line->open = true;
    line->hung_up = false;
    line->id = 0;
    line->epoch = line->digest = line->heard = 0;
    outbox_reset(&line->out);
    inbox_reset(&line->in);
    dest_accept(&dest, &transport, NULL, hosts[(line - lines) % 4]);
}

/* What the destination answers is remembered by attempt. */
static void line_hear(struct line *line)
{
    struct transport transport = { .ops = &peer_end, .ctx = line };
    int event;

    while ((event = inbox_next(&line->in, &transport)) > 0) {
        struct said *attempt = of(line->id, line->epoch);

        if (event != INBOX_RECORD || line->in.type == WIRE_KEEPALIVE)
            continue;
        line->heard = line->in.type;
        attempt->aborted |= line->heard == WIRE_ABORTED && attempt->prepared;
        attempt->prepared |= line->heard == WIRE_PREPARED;
        if (line->heard == WIRE_REFUSED)
            REQUIRE(!inbox_body(&line->in, &line->refused, sizeof(line->refused)) && line->refused.code);
    }
    REQUIRE(event != -EPROTO);
}

/* Let the destination work, and see to what must hold. */
static void settle(void)
{
    u64 held = 0;

    for (unsigned i = 0; i < 100 && dest_step(&dest); i++)
        now += 1000;
    for (unsigned i = 0; i < LINES; i++)
        line_hear(&lines[i]);
    for (unsigned i = 0; i < GUESTS; i++)
        held += guests[i].exists && !guests[i].running ? SIZE : 0;
    /* And the files of guests that start anew here. */
    REQUIRE(held <= dest_held(&dest) && dest_held(&dest) <= held + GUESTS * SIZE);
    REQUIRE(!limit || dest_held(&dest) <= limit);
}

static void flush(struct line *line)
{
    struct transport transport = { .ops = &peer_end, .ctx = line };

    /* What finds no room is lost: the stream is cut there. */
    if (outbox_flush(&line->out, &transport))
        outbox_cancel(&line->out);
}

static void say(struct line *line, u32 type, const void *body, size_t len)
{
    outbox_record(&line->out, type, body, len);
    flush(line);
}

/* --- What peers say ------------------------------------------------------------------------------------------- */

static void say_header(struct line *line, enum wire_kind kind, u8 id, u64 epoch)
{
    struct wire_header header = { .version_min = 1, .version_max = 1, .kind = kind, .features = 1, .epoch = epoch };

    header.vm_id[0] = line->id = id;
    line->epoch = epoch;
    outbox_header(&line->out, &header);
    flush(line);
}

static void say_reserve(struct line *line, u32 flags, u64 owner, u64 memory)
{
    struct {
        struct wire_reserve head;
        struct wire_range range;
    } body = { .head = { .name = "g", .nr_ranges = 1, .nr_vcpus = 1, .flags = flags, .owner = owner },
               .range = { 0, memory } };

    body.head.memory = memory;
    line->digest = 0;
    say(line, WIRE_RESERVE, &body, sizeof(body));
}

static void say_page(struct line *line, u64 gpa, u32 crc)
{
    static const u8 contents[WIRE_PAGE] = { 1 };
    struct wire_pages count = { .count = 1 };
    struct wire_page page = { .gpa = gpa, .len = WIRE_PAGE };

    page.crc = crc32c(0, contents, WIRE_PAGE) ^ crc;
    outbox_begin(&line->out);
    codec_bytes(&line->out.body, &count, sizeof(count));
    codec_bytes(&line->out.body, &page, sizeof(page));
    outbox_page(&line->out, contents);
    outbox_end(&line->out, WIRE_PAGES);
    flush(line);
}

static void say_state(struct line *line, u32 instance, u64 value)
{
    struct {
        struct wire_section section;
        u64 value;
    } body = { .section = { .name = "vcpu", .instance = instance, .len = sizeof(value) }, .value = value };

    line->digest = digest_bytes(digest_bytes(line->digest, &body.section, sizeof(body.section)), &value, sizeof(value));
    say(line, WIRE_STATE, &body, sizeof(body));
}

/* PROTECT, or that a checkpoint has come whole: with what was said since the last one of these. */
static void say_protect(struct line *line, u64 epoch, unsigned what)
{
    struct wire_protect wish = { .interval_ms = 25, .limit_ms = 300, .room_pages = what };
    struct wire_checkpoint checkpoint = {
        .epoch = epoch, .number = what >> 4, .state_digest = line->digest, .pages = what & 1, .zero_pages = what & 4
    };

    if (what & 2)
        say(line, WIRE_PROTECT, &wish, sizeof(wish));
    else
        say(line, WIRE_CHECKPOINT, &checkpoint, sizeof(checkpoint));
    line->digest = what & 2 ? line->digest : 0;
}

static void say_handoff(struct line *line, u32 type, u64 epoch, u32 wish, u64 memory_digest)
{
    struct wire_handoff message = {
        .epoch = epoch, .wish = wish, .state_digest = line->digest, .memory_digest = memory_digest
    };

    if (type == WIRE_COMMIT)
        of(line->id, epoch)->run = true;
    say(line, type, &message, sizeof(message));
}

/* Bytes of the fuzzer's choice: a record's contents, or bytes of the stream. */
static void say_anything(struct line *line, struct fuzz *fuzz)
{
    static u8 bytes[1024];
    u8 how = fuzz_u8(fuzz), type = fuzz_u8(fuzz);
    size_t len = how & 2 ? fuzz_u8(fuzz) * 4 : fuzz_u8(fuzz);
    struct chunk chunk = { bytes, len };

    fuzz_bytes(fuzz, bytes, len);
    of(line->id, line->epoch)->run |= type == WIRE_COMMIT;
    if (how & 4)
        push(&line->to, &chunk, 1);
    else
        say(line, type | (how & 1 ? WIRE_OPTIONAL : 0), bytes, len);
}

/* Of the guest's one file: OFFER, FILE or DIGEST; or all of that. */
static void say_file(struct line *line, unsigned what)
{
    static u8 part[sizeof(struct wire_part) + 100];
    struct wire_offer offer = { .count = 1, .file[0] = { 100, digest_bytes(0, part + sizeof(struct wire_part), 100) } };
    struct wire_digest digest = { .index = 0 };

    sha256(part + sizeof(struct wire_part), 100, digest.sha256);
    if (what == 0 || what == 3)
        say(line, WIRE_OFFER, &offer, sizeof(offer));
    settle();
    if (what == 1 || what == 3)
        say(line, WIRE_FILE, part, sizeof(part));
    if (what == 2 || what == 3)
        say(line, WIRE_DIGEST, &digest, sizeof(digest));
}

/* A checkpoint of no page, or one. */
static void say_checkpoint(struct line *line, u64 epoch, unsigned number, bool page)
{
    line->digest = 0;
    if (page)
        say_page(line, 0, 0);
    say_state(line, 0, 8);
    say_protect(line, epoch, number << 4 | page);
    settle();
}

/* A whole guest of zeros, up to one of its stages; split: its pages stay behind; guarded: it is kept up to date. */
static void say_story(struct line *line, u8 id, u64 epoch, u64 owner, unsigned stages, bool split, bool guarded)
{
    struct wire_run run = { 0, PAGES };

    say_header(line, WIRE_MOVE, id, epoch);
    if (stages > 0)
        say_reserve(line, guarded ? WIRE_GUARDED : 0, owner, SIZE);
    if (stages > 0 && guarded)
        say_protect(line, epoch, 2);
    if (stages > 1)
        say(line, split ? WIRE_MISSING : WIRE_ZERO, &run, sizeof(run));
    if (stages > 2)
        say_state(line, 0, 7);
    if (stages > 3)
        say_handoff(line, WIRE_PREPARE, epoch, 0, 0);
    settle();
    for (unsigned i = 1; guarded && i < stages; i++)
        say_checkpoint(line, epoch, i, i & 1);
    if (stages > 4)
        say_handoff(line, WIRE_COMMIT, epoch, 0, 0);
}

/* --- Copies that are kept up to date ---------------------------------------------------------------------------- */

/* As without a witness: they obey their source and the operator. */
static void obey(struct guest *guest, enum protect_event event)
{
    if (event == PROTECT_CHECKPOINTED)
        dest_protect(&dest, guest, PROTECT_SAY);
    else if (event == PROTECT_COMMIT)
        dest_protect(&dest, guest, PROTECT_ADOPT);
    else if (event == PROTECT_ABORT || event == PROTECT_OWNER_HEARD || event == PROTECT_HIGHER_EPOCH)
        dest_protect(&dest, guest, PROTECT_FREE);
}

/* They decide by themselves. */
static void surprise(struct guest *guest, unsigned what)
{
    static const enum protect_order orders[] = { PROTECT_SAY, PROTECT_CLOSE, PROTECT_ADOPT, PROTECT_STILL,
                                                 PROTECT_FORGET };
    struct protect_info info;

    if (!dest_protect_info(&dest, guest, &info))
        return;
    if (orders[what % ARRAY_SIZE(orders)] == PROTECT_ADOPT)
        of(guest->id, guest->epoch)->run = true;
    REQUIRE(info.pages + info.zero_pages <= PAGES);
    REQUIRE(info.epoch == guest->epoch && dest_protect(&dest, guest, orders[what % ARRAY_SIZE(orders)]) == 0);
}

/* --- What happens --------------------------------------------------------------------------------------------- */

static u64 fuzz_epoch(struct fuzz *fuzz)
{
    return epochs[fuzz_u8(fuzz) % ARRAY_SIZE(epochs)];
}

static void operate(struct fuzz *fuzz)
{
    u8 what = fuzz_u8(fuzz);
    struct guest *guest = &guests[what % GUESTS];

    if (what & 16)
        surprise(guest, what >> 5);
    switch (what >> 2 & 3) {
    case 0: dest_cancel(&dest, guest); return;
    case 1: dest_resolve(&dest, guest, false); return;
    case 2:
        if (dest_stranded(&dest, guest))
            of(guest->id, guest->epoch)->run = true;
        dest_resolve(&dest, guest, true);
        return;
    default: /* it ends */
        if (!guest->running)
            return;
        dest_forget(&dest, guest);
        guest->exists = guest->running = false;
    }
}

static void claim(struct fuzz *fuzz)
{
    struct wire_claim heard = { .kind = WIRE_CLAIM_OWNS, .epoch = fuzz_epoch(fuzz), .owner = fuzz_u8(fuzz) % 4 };

    heard.vm_id[0] = fuzz_u8(fuzz) % IDS;
    claim_seal(&heard);
    dest_heard(&dest, &heard);
}

static void talk(struct fuzz *fuzz, struct line *line, unsigned what)
{
    static const u32 types[] = { WIRE_COMMIT, WIRE_PREPARE, WIRE_QUERY, WIRE_ABORT };
    static const u8 frame[WIRE_FRAME_MAX + 1];
    struct wire_run run = { 0, PAGES };
    struct wire_round round = { 0 };
    u64 number;

    switch (what) {
    case 0: say_header(line, fuzz_u8(fuzz) % 6, fuzz_u8(fuzz) % IDS, fuzz_epoch(fuzz)); return;
    case 1: say_reserve(line, fuzz_u8(fuzz) & 127, fuzz_u8(fuzz) % 4, SIZE + (fuzz_u8(fuzz) % 8 == 7)); return;
    case 2: say_page(line, fuzz_u8(fuzz) % 5 * (u64)WIRE_PAGE, fuzz_u8(fuzz) % 4 == 3); return;
    case 3:
        run.gpa = fuzz_u8(fuzz) % 5 * (u64)WIRE_PAGE;
        run.pages = run.gpa ? 1 : PAGES;
        say(line, fuzz_u8(fuzz) & 1 ? WIRE_MISSING : WIRE_ZERO, &run, sizeof(run));
        return;
    case 4: say_state(line, fuzz_u8(fuzz) % 2, fuzz_u8(fuzz)); return;
    case 5:
        number = fuzz_u8(fuzz);
        round.number = (u32)number;
        round.digest = number & 1;
        if (number & 128) {
            say_protect(line, line->epoch, number & 127);
            return;
        }
        say(line, WIRE_ROUND, &round, sizeof(round));
        return;
    case 6: say_handoff(line, types[fuzz_u8(fuzz) % 4], line->epoch, 0, 0); return;
    case 7:
        say_handoff(line, types[fuzz_u8(fuzz) % 4], fuzz_epoch(fuzz), fuzz_u8(fuzz) & 1, fuzz_u8(fuzz) % 8 == 7);
        return;
    case 8:
        number = fuzz_u8(fuzz);
        say(line, WIRE_KEEPALIVE, (u64[2]){ number }, number % 3 * sizeof(number));
        return;
    case 9:
        number = fuzz_number(fuzz, 2);
        if (number & 0x8000)
            say_file(line, number & 3);
        else
            say(line, WIRE_FRAME, frame, number % sizeof(frame));
        return;
    case 10: say_anything(line, fuzz); return;
    case 11:
        number = fuzz_u8(fuzz);
        line->open = number % 4;          /* it hangs up, or its link breaks */
        line->out.seq += number % 4 == 3; /* a record is lost */
        return;
    default:
        number = fuzz_u8(fuzz);
        say_story(line, number % IDS, epochs[number / 2 % ARRAY_SIZE(epochs)], number & 1, fuzz_u8(fuzz) % 6,
                  number & 64, number & 128);
    }
}

static void act(struct fuzz *fuzz)
{
    u8 what = fuzz_u8(fuzz), which = what >> 4;
    struct line *line = &lines[which < 12 ? which % 3 : (which - 9) % LINES]; /* most on few of them */

    switch (what & 15) {
    case 13: now += fuzz_u8(fuzz) * SECOND / 8; break;
    case 14: operate(fuzz); break;
    case 15: claim(fuzz); break;
    default:
        if (line->hung_up)
            line_open(line);
        if (line->open)
            talk(fuzz, line, what & 15);
    }
    settle();
}

/* --- The end -------------------------------------------------------------------------------------------------- */

static void all_hang_up(void)
{
    for (unsigned i = 0; i < LINES; i++)
        lines[i].open = false;
    settle();
    now += 20 * SECOND;
    settle();
    for (unsigned i = 0; i < LINES; i++)
        REQUIRE(lines[i].hung_up);
}

/* Whoever reaches the port may have brought all sorts of guests: the operator ends them. Then each can come again. */
static void a_good_move_works(u8 id)
{
    u64 epoch = 8;

    for (unsigned i = 0; i < GUESTS; i++) {
        struct guest *guest = &guests[i];

        if (guest->exists && guest->running) {
            dest_forget(&dest, guest);
            guest->exists = guest->running = false;
        } else if (guest->exists) {
            REQUIRE(dest_resolve(&dest, guest, false) == 0);
        }
    }
    REQUIRE(dest_held(&dest) == 0);
    for (unsigned tries = 0; tries < 5; tries++) {
        line_open(&lines[0]);
        say_story(&lines[0], id, epoch, 1, 5, false, false);
        settle();
        if (lines[0].heard != WIRE_REFUSED || lines[0].refused.code != WIRE_E_REPLAY)
            break;
        REQUIRE(lines[0].refused.epoch >= epoch && !epoch_is_noise(epoch, lines[0].refused.epoch));
        epoch = lines[0].refused.epoch + 1; /* as a source does */
        all_hang_up();
    }
    REQUIRE(lines[0].heard == WIRE_RUNNING && guest_of(id) && guest_of(id)->running);
    say(&lines[0], WIRE_END, NULL, 0);
    all_hang_up();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };
    u8 limits = fuzz_u8(&fuzz);

    memset(guests, 0, sizeof(guests));
    memset(said, 0, sizeof(said));
    now = SECOND;
    dest_init(&dest, &ops, NULL);
    decide = obey;
    limit = limits & 1 ? 2 * SIZE : 0;
    dest_limit(&dest, limit, limits & 2 ? SIZE : 0);
    for (unsigned i = 0; i < LINES; i++) {
        lines[i].open = false;
        lines[i].hung_up = true;
        if (!lines[i].in.buf)
            REQUIRE(!outbox_init(&lines[i].out, WIRE_BODY_MAX) && !inbox_init(&lines[i].in, WIRE_BODY_MAX, NULL, NULL));
        inbox_reset(&lines[i].in);
        lines[i].to.head = lines[i].to.len = lines[i].back.head = lines[i].back.len = 0;
    }
    while (fuzz.size)
        act(&fuzz);
    all_hang_up();
    for (u8 id = 0; id < IDS; id++)
        a_good_move_works(id);
    dest_fini(&dest);
    REQUIRE(!fake_kept_holds() && !fake_kept_part());
    fake_kept_init(false);
    return 0;
}
