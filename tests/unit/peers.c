/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"

void pump(struct peer *p)
{
    for (unsigned i = 0; i < 50; i++) {
        int event;

        outbox_flush(&p->out, &p->transport);
        p->w.now += 1000000;
        dest_step(&p->w.dest);
        while ((event = inbox_next(&p->in, &p->transport)) > 0) {
            if (event != INBOX_RECORD)
                continue;
            p->heard[p->records++ % 64] = p->in.type;
            if (p->in.type == WIRE_REFUSED)
                assert_int_equal(inbox_body(&p->in, &p->refused, sizeof(p->refused)), 0);
        }
        p->gone |= event < 0;
    }
}

void dial(struct peer *p)
{
    struct transport other;

    pipe_init(&p->pipe, 1 << 20, 1 << 20);
    p->transport = pipe_end(&p->pipe, 0);
    other = pipe_end(&p->pipe, 1);
    assert_int_equal(dest_accept(&p->w.dest, &other, NULL, "peer"), 0);
    outbox_reset(&p->out);
    inbox_reset(&p->in);
    p->records = 0;
    p->gone = false;
    memset(&p->refused, 0, sizeof(p->refused));
}

void hang_up(struct peer *p)
{
    p->transport.ops->close(&p->transport);
    for (unsigned i = 0; i < 5; i++)
        dest_step(&p->w.dest);
    pipe_fini(&p->pipe);
}

struct peer *peer_new(void)
{
    struct peer *p = calloc(1, sizeof(*p));

    world_init(&p->w);
    assert_int_equal(outbox_init(&p->out, WIRE_BODY_MAX), 0);
    assert_int_equal(inbox_init(&p->in, WIRE_BODY_MAX, NULL, NULL), 0);
    dial(p);
    return p;
}

void peer_free(struct peer *p)
{
    hang_up(p);
    assert_false(p->w.dest_vm.exists);
    outbox_fini(&p->out);
    inbox_fini(&p->in);
    world_fini(&p->w);
    free(p);
}

struct wire_header good_header(u64 epoch)
{
    struct wire_header header = {
        .version_min = 1, .version_max = 1, .kind = WIRE_MOVE, .features = 1, .epoch = epoch
    };

    memcpy(header.vm_id, world_id, WIRE_ID);
    return header;
}

void say_header(struct peer *p, struct wire_header header)
{
    outbox_header(&p->out, &header);
    pump(p);
}

void say(struct peer *p, u32 type, const void *body, size_t len)
{
    outbox_record(&p->out, type, body, len);
    pump(p);
}

struct reserve_body good_reserve(void)
{
    return (struct reserve_body){
        .head = { .name = "guest", .memory = FAKE_PAGES * PAGE_SIZE, .nr_ranges = 2, .nr_vcpus = 1 },
        .range = { { 0, FAKE_LOW * PAGE_SIZE }, { MiB(4), (FAKE_PAGES - FAKE_LOW) * PAGE_SIZE } },
    };
}

struct peer *reserved(void)
{
    struct peer *p = peer_new();
    struct reserve_body body = good_reserve();

    say_header(p, good_header(8));
    say(p, WIRE_RESERVE, &body, sizeof(body));
    assert_int_equal(p->heard[p->records - 1], WIRE_ACCEPTED);
    assert_true(p->w.dest_vm.exists);
    return p;
}

void refused_with(struct peer *p, enum wire_code code)
{
    assert_int_equal(p->refused.code, code);
    assert_true(p->refused.reason[0] && p->gone);
    assert_false(p->w.dest_vm.exists);
    peer_free(p);
}

void line_open_from(struct line *line, struct dest *dest, const char *host)
{
    struct transport other;

    memset(line, 0, sizeof(*line));
    assert_int_equal(outbox_init(&line->out, WIRE_BODY_MAX), 0);
    assert_int_equal(inbox_init(&line->in, WIRE_BODY_MAX, NULL, NULL), 0);
    pipe_init(&line->pipe, 1 << 16, 1 << 16);
    line->transport = pipe_end(&line->pipe, 0);
    other = pipe_end(&line->pipe, 1);
    assert_int_equal(dest_accept(dest, &other, NULL, host), 0);
}

void line_open(struct line *line, struct dest *dest)
{
    line_open_from(line, dest, "peer");
}

void line_close(struct line *line)
{
    line->transport.ops->close(&line->transport);
    pipe_fini(&line->pipe);
    outbox_fini(&line->out);
    inbox_fini(&line->in);
}

void line_leave(struct line *line, struct dest *dest)
{
    line->transport.ops->close(&line->transport);
    for (unsigned i = 0; i < 5; i++)
        dest_step(dest);
    pipe_fini(&line->pipe);
    outbox_fini(&line->out);
    inbox_fini(&line->in);
}

void line_header(struct line *line, enum wire_kind kind, u8 id, u64 epoch)
{
    struct wire_header header = good_header(epoch);

    header.kind = kind;
    header.vm_id[0] ^= id;
    outbox_header(&line->out, &header);
    outbox_flush(&line->out, &line->transport);
}

void line_say(struct line *line, u32 type, const void *body, size_t len)
{
    outbox_record(&line->out, type, body, len);
    outbox_flush(&line->out, &line->transport);
}

void line_hear(struct line *line)
{
    int event;

    while ((event = inbox_next(&line->in, &line->transport)) > 0) {
        if (event != INBOX_RECORD || line->in.type == WIRE_KEEPALIVE)
            continue;
        line->heard = line->in.type;
        if (line->heard == WIRE_REFUSED)
            assert_int_equal(inbox_body(&line->in, &line->refused, sizeof(line->refused)), 0);
    }
    line->gone |= event < 0;
}

void line_reserve(struct line *line, struct world *w, u8 id, u64 epoch, u32 flags)
{
    struct reserve_body body = good_reserve();

    body.head.flags = flags;
    line_header(line, WIRE_MOVE, id, epoch);
    line_say(line, WIRE_RESERVE, &body, sizeof(body));
    for (unsigned i = 0; i < 10; i++)
        dest_step(&w->dest);
    line_hear(line);
}
