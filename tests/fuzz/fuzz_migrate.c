/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/dest.c migrate/dest_load.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: migrate/record.c migrate/crc32c.c migrate/ram.c migrate/handoff.c */
/* sources: migrate/state.c migrate/state_check.c hv/lib/stream.c */
/*
 * libFuzzer entry for what comes to the migration port. The first byte chooses: the rest is the stream as it is; or it
 * is cut into records whose framing and CRCs are made right, behind a good header, so that the fuzzer gets to the
 * contents. Whatever it says, the guest must not run without COMMIT after a complete PREPARE, and nothing may be left
 * behind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/lib/bits.h"
#include "hv/lib/log.h"
#include "migrate/dest.h"
#include "migrate/state.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)
#define PAGES 8

struct machine {
    u64 now;
    u8 *memory;
    bool exists, running, ready;
    struct vcpu_image image;
    const u8 *bytes; /* still to be received */
    size_t len;
};

static const struct state_limits limits = {
    .cr4 = CR4_PAE | CR4_OSXSAVE,
    .efer = EFER_LME | EFER_SCE | EFER_NXE,
    .xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX,
    .maxphyaddr = 40,
    .component[2] = { .offset = 576, .size = 256 },
};

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    (void)level, (void)prefix, (void)format;
}

static u64 now(void *ctx)
{
    return ((struct machine *)ctx)->now;
}

static enum wire_code check(void *ctx, const struct migrate_description *d, struct wire_accepted *accepted,
                            char reason[WIRE_REASON])
{
    (void)ctx, (void)accepted, (void)reason;
    REQUIRE(memchr(d->head.name, 0, sizeof(d->head.name)));
    return d->head.memory == PAGES * PAGE_SIZE && d->range[0].gpa == 0 && d->head.nr_ranges == 1 ? WIRE_OK
                                                                                                 : WIRE_E_MEMORY;
}

static enum wire_code create(void *ctx, const struct migrate_description *d, void **vm, char reason[WIRE_REASON])
{
    struct machine *m = ctx;

    (void)d, (void)reason;
    REQUIRE(!m->exists);
    m->memory = calloc(PAGES, PAGE_SIZE);
    m->exists = true;
    *vm = m;
    return WIRE_OK;
}

static u8 *page(void *vm, gpa_t gpa)
{
    struct machine *m = vm;

    REQUIRE(m->exists && gpa / PAGE_SIZE < PAGES);
    return m->memory + gpa;
}

static int load(void *vm, const struct wire_section *section, struct reader *r, char reason[WIRE_REASON])
{
    struct machine *m = vm;
    const char *why;

    REQUIRE(m->exists && section->len <= WIRE_BODY_MAX);
    return state_decode(&m->image, section->instance, &limits, r, &why);
}

static enum wire_code ready(void *vm, char reason[WIRE_REASON])
{
    (void)reason;
    ((struct machine *)vm)->ready = true;
    return WIRE_OK;
}

static int section(void *vm, unsigned index, struct wire_section *s, struct writer *w)
{
    (void)vm, (void)index, (void)s, (void)w;
    return -ENOENT;
}

static void run(void *vm, u64 paused_ns, u64 arrived)
{
    struct machine *m = vm;

    (void)paused_ns, (void)arrived;
    REQUIRE(m->exists && m->ready && !m->running);
    m->running = true;
}

static void announce(void *vm, u64 epoch)
{
    (void)epoch;
    REQUIRE(((struct machine *)vm)->running);
}

static bool frame(void *vm, const void *bytes, size_t len)
{
    REQUIRE(((struct machine *)vm)->running && len >= WIRE_FRAME_MIN && len <= WIRE_FRAME_MAX && bytes);
    return true;
}

static void record(void *ctx, const u8 vm_id[WIRE_ID], u64 epoch, bool running)
{
    (void)ctx, (void)vm_id, (void)epoch, (void)running;
}

static void release(void *vm)
{
    struct machine *m = vm;

    REQUIRE(m->exists && !m->running);
    free(m->memory);
    m->exists = m->ready = false;
}

static const struct migrate_dest_ops ops = {
    .now = now,
    .check = check,
    .create = create,
    .page = page,
    .load = load,
    .ready = ready,
    .section = section,
    .run = run,
    .announce = announce,
    .frame = frame,
    .record = record,
    .free = release,
};

static long input_send(struct transport *t, const struct chunk *chunks, unsigned count)
{
    (void)t, (void)count;
    return (long)chunks[0].len;
}

static long input_receive(struct transport *t, void *bytes, size_t len)
{
    struct machine *m = t->ctx;
    size_t n = MIN(MIN(len, m->len), 1000);

    if (!n)
        return -EPIPE;
    memcpy(bytes, m->bytes, n);
    m->bytes += n;
    m->len -= n;
    return (long)n;
}

static void input_close(struct transport *t)
{
    (void)t;
}

static const struct transport_ops input = { .send = input_send, .receive = input_receive, .close = input_close };

/* Gathers what an outbox sends. */
struct tape {
    u8 bytes[1 << 20];
    size_t len;
};

static long tape_send(struct transport *t, const struct chunk *chunks, unsigned count)
{
    struct tape *tape = t->ctx;
    long sent = 0;

    for (unsigned i = 0; i < count && tape->len + chunks[i].len <= sizeof(tape->bytes); i++) {
        memcpy(tape->bytes + tape->len, chunks[i].bytes, chunks[i].len);
        tape->len += chunks[i].len;
        sent += (long)chunks[i].len;
    }
    return sent ? sent : -EPIPE;
}

/* Records of type byte, length byte (times 4) and a body, with the framing made right. */
static void framed(struct tape *tape, const u8 *data, size_t size)
{
    static const struct transport_ops to_tape = { .send = tape_send };
    struct transport transport = { .ops = &to_tape, .ctx = tape };
    struct wire_header header = { .version_min = 1, .version_max = 1, .kind = WIRE_MOVE, .epoch = 2 };
    struct {
        struct wire_reserve head;
        struct wire_range range;
    } reserve = { .head = { .name = "g", .memory = PAGES * PAGE_SIZE, .nr_ranges = 1, .nr_vcpus = 1 },
                  .range = { 0, PAGES * PAGE_SIZE } };
    static u8 contents[PAGE_SIZE];
    struct outbox box;

    REQUIRE(outbox_init(&box, WIRE_BODY_MAX) == 0);
    outbox_header(&box, &header);
    outbox_flush(&box, &transport);
    outbox_record(&box, WIRE_RESERVE, &reserve, sizeof(reserve));
    while (outbox_flush(&box, &transport) == 0 && size >= 2) {
        size_t len = MIN(data[1] * 4ULL, size - 2);

        outbox_begin(&box);
        put_bytes(&box.body, data + 2, len);
        if (data[0] == WIRE_PAGES)
            outbox_page(&box, contents);
        outbox_end(&box, data[0]);
        data += 2 + len;
        size -= 2 + len;
    }
    outbox_fini(&box);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct dest dest;
    static struct tape tape;
    static struct machine m;
    struct transport transport = { .ops = &input, .ctx = &m };

    if (!size)
        return 0;
    tape.len = 0;
    memset(&m, 0, sizeof(m));
    m.bytes = data + 1;
    m.len = size - 1;
    if (data[0] & 1) {
        framed(&tape, data + 1, size - 1);
        m.bytes = tape.bytes;
        m.len = tape.len;
    }
    dest_init(&dest, &ops, &m);
    REQUIRE(dest_accept(&dest, &transport, NULL, "peer") == 0);
    while (dest_step(&dest))
        m.now += 1000;
    m.now += 100 * 1000000000ULL;
    while (dest_step(&dest))
        m.now += 1000;
    dest_fini(&dest);
    REQUIRE(m.exists == m.running);
    if (m.running)
        free(m.memory);
    return 0;
}
