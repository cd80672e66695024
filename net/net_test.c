/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One block is sent again and again. The time runs from the connection to the last acknowledgement: bytes that only
 * wait in a buffer do not count as sent.
 */
#include "net/net_test.h"

#include <errno.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/bits.h"
#include "host/host_work.h"
#include "net/tcp_stream.h"

#define POLL_NS 1000000       /* pause between two polls; frames wake the host loop earlier */
#define SILENCE_NS 5000000000 /* as long as a move waits for its peer */

static struct net_test test;
static struct tcp_stream *stream;
static u64 heard; /* clock_ns of the last progress */

static u8 block[32768]; /* what it sends again and again, never copied */

static void end(const char *error)
{
    test.ended = clock_ns();
    test.error = error;
    test.status = error ? NET_TEST_FAILED : NET_TEST_COMPLETED;
    if (error)
        tcp_stream_abort(stream);
    else
        tcp_stream_close(stream);
}

static const char *error_text(int state)
{
    return state == -ECONNREFUSED ? "connection refused: does the peer have test-services = yes?"
                                  : "the connection broke";
}

/* Send what there is room for. */
static void push(void)
{
    while (test.sent < test.size) {
        long n = tcp_stream_send(stream, block, MIN(sizeof(block), test.size - test.sent), true);

        if (n < 0)
            break;
        test.sent += (u64)n;
        heard = clock_ns();
    }
}

/* Host work. */
static u64 net_test_poll(void)
{
    int state;

    if (test.status != NET_TEST_ACTIVE)
        return ~0ULL;
    state = tcp_stream_state(stream);
    if (state == 0) {
        if (!test.began)
            test.began = clock_ns();
        push();
    }
    if (state && state != -EAGAIN)
        end(error_text(state));
    else if (test.sent == test.size && !tcp_stream_unacknowledged(stream))
        end(NULL);
    else if (clock_ns() - heard > SILENCE_NS)
        end(test.began ? "the peer takes nothing" : "no answer");
    tcp_stream_push_all();
    return rdtsc() + clock_ns_to_ticks(POLL_NS);
}

int net_test_start(const struct tcp_address *to, u64 size)
{
    static bool polled;
    int err;

    if (test.status == NET_TEST_ACTIVE)
        return -EBUSY;
    err = tcp_stream_connect(to, TCP_ANYBODY, &stream);
    if (err)
        return err;
    test = (struct net_test){ .status = NET_TEST_ACTIVE, .to = *to, .size = size };
    heard = clock_ns();
    if (!polled)
        host_work_add(net_test_poll);
    polled = true;
    return 0;
}

const struct net_test *net_test_result(void)
{
    return &test;
}
