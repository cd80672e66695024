/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "save"
#include "save/saving.h"

#include <errno.h>
#include <stdlib.h>

#include "host/clock.h"
#include "host/log.h"
#include "hv/vm.h"
#include "migrate/migration.h"
#include "net/tcp_stream.h"
#include "save/image_writer.h"
#include "stream/tcp_transport.h"

struct saving {
    struct image_writer writer;
    struct tcp_stream *stream;
    struct vm *vm; /* it lives as long as its move, which this is */
    bool live;
};

static struct image_counters counters;

struct image_counters *image_counters(void)
{
    return &counters;
}

static u64 now(void *ctx)
{
    (void)ctx;
    return clock_ns();
}

/* The guest's vcpus stand outside of it for the end of the move: it is paused before they may go on. */
static void whole(void *ctx)
{
    struct saving *saving = ctx;

    counters.saved++;
    if (!saving->live && saving->vm->status == VM_RUNNING)
        vm_pause(saving->vm);
}

static void end(void *ctx, bool whole)
{
    struct saving *saving = ctx;

    counters.failed += !whole;
    if (whole)
        tcp_stream_close(saving->stream);
    else
        tcp_stream_abort(saving->stream);
    free(saving);
}

static const struct image_writer_ops ops = { .now = now, .whole = whole, .end = end };

int saving_begin(struct vm *vm, const struct save_request *request, struct tcp_stream *stream, const char **reason)
{
    struct transport file = tcp_transport(stream);
    struct saving *saving = calloc(1, sizeof(*saving));
    struct migration_request move = { .mode = request->live ? MODE_LIVE : MODE_STOP_COPY, .verify = request->verify };
    int err = saving ? image_writer_init(&saving->writer, &ops, saving, &file, request->live) : -ENOMEM;

    *reason = "no memory";
    if (!err) {
        saving->stream = stream;
        saving->vm = vm;
        saving->live = request->live;
        tcp_stream_lend(stream, vm);
        move.file = image_writer_transport(&saving->writer);
        err = migration_start(vm, &move, reason);
        if (err)
            image_writer_fini(&saving->writer);
    }
    if (err)
        free(saving);
    return err;
}
