/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/dirty_trace.c tests/unit/one_vm.c tests/unit/stubs.c */
/* The stream of a dirty trace: what a guest writes in each interval, whatever the reader does. The guest's log is a map
 * of this program; an interval is over when the test says so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dirty/vm_dirty.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "control/dirty_trace.h"
#include "tests/unit/one_vm.h"

#define PAGES (1 << 20)
#define INTERVALS 8

static u64 (*work)(void);
static u64 written[PAGES / 64]; /* by the guest, since the last harvest */
static bool over;               /* the interval */
static bool impatient;

/* What a test has read of the stream. */
static char *bytes;
static u64 length;

/* The same, decoded. */
static struct {
    unsigned intervals;
    u64 pages[INTERVALS], first[INTERVALS], last[INTERVALS]; /* how many were written, the first and the last of them */
    char reason[40];
} read_;

/* --- What dirty_trace.c needs --- */

void host_work_add(u64 (*fn)(void))
{
    work = fn;
}

/* A time is over at once or not at all: that of an interval, and the patience, when the test says so; the whole one
 * never. */
u64 clock_ns_to_ticks(u64 ns)
{
    return (ns == 1000000 && over) || (ns == DIRTY_TRACE_PATIENCE_MS * 1000000ULL && impatient) ? 0 : 1ULL << 60;
}

u64 clock_ticks_to_ns(u64 ticks)
{
    (void)ticks;
    return 5000000;
}

const char *dirty_producer_name(enum dirty_producer producer)
{
    return producer == DIRTY_DBIT ? "dbit" : "another";
}

u64 dirty_words(const struct guest_mem *mem)
{
    return mem->size / PAGE_SIZE / 64;
}

int vm_dirty_start(struct vm *of, enum dirty_producer producer, enum dirty_split split)
{
    (void)split;
    if (of->mem.dirty.producer != DIRTY_OFF)
        return -EBUSY;
    of->mem.dirty.producer = producer;
    return 0;
}

bool vm_harvest_part(struct vm *of, u64 *to_send)
{
    for (u64 i = 0; i < dirty_words(&of->mem); i++)
        to_send[i] |= written[i];
    memset(written, 0, sizeof(written));
    return true;
}

bool vm_harvest_ready(struct vm *of)
{
    (void)of;
    return true;
}

bool vm_dirty_stop_part(struct vm *of)
{
    of->mem.dirty.producer = DIRTY_OFF;
    return true;
}

/* --- Helpers --- */

static int setup(void **state)
{
    (void)state;
    one_vm_make();
    strcpy(vm.name, "web");
    vm.id++;
    vm.mem.size = PAGES * PAGE_SIZE;
    vm.npt.format.dirty = 1;
    memset(written, 0, sizeof(written));
    over = true;
    impatient = false;
    length = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    over = true;
    dirty_trace_stop();
    for (unsigned i = 0; i < 100000 && dirty_trace_query()->status == DIRTY_TRACE_TRACING; i++) {
        dirty_trace_take(dirty_trace_query()->put);
        work();
    }
    assert_int_equal(dirty_trace_query()->status, DIRTY_TRACE_ENDED);
    free(bytes);
    bytes = NULL;
    return 0;
}

static void write_pages(u64 first, u64 count, u64 step)
{
    for (u64 i = 0; i < count; i++, first += step)
        written[first / 64] |= BIT(first % 64);
}

/* Go on until an interval more is in the stream, or nothing changes for lack of room. */
static void one_interval(void)
{
    u64 before = dirty_trace_query()->intervals;

    for (unsigned i = 0; i < 10000 && dirty_trace_query()->intervals == before; i++)
        work();
}

/* Take what there is, by pieces of `room` bytes at most. */
static void take(size_t room)
{
    char piece[4096];
    size_t len;

    do {
        u64 offset = length;

        dirty_trace_take(length);
        len = dirty_trace_read(&offset, piece, room);
        assert_int_equal(offset, length);
        bytes = realloc(bytes, length + len + 1);
        memcpy(bytes + length, piece, len);
        length += len;
    } while (len);
}

static u64 number(const u8 **at)
{
    u64 value = 0;

    for (unsigned shift = 0;; shift += 7) {
        value |= (u64)(**at & 0x7F) << shift;
        if (!(*(*at)++ & 0x80))
            return value;
    }
}

static void decode_interval(const u8 **at)
{
    unsigned i = read_.intervals++;
    u64 page = 0, gap, run;

    assert_in_range(i, 0, INTERVALS - 1);
    assert_int_equal(number(at), 5000);
    while (gap = number(at), run = number(at), run) {
        page += gap;
        if (!read_.pages[i])
            read_.first[i] = page;
        page += run;
        read_.pages[i] += run;
        read_.last[i] = page - 1;
    }
    assert_int_equal(gap, 0);
}

/* Decode the whole stream: its head, intervals, end. */
static void decode(void)
{
    const u8 *at = memchr(bytes, '\n', length);

    memset(&read_, 0, sizeof(read_));
    assert_non_null(at);
    for (at++; *at == 'I';) {
        at++;
        decode_interval(&at);
    }
    assert_int_equal(*at++, 'E');
    memcpy(read_.reason, at, (size_t)((u8 *)bytes + length - 1 - at));
    assert_int_equal(bytes[length - 1], '\n');
}

static void stop_and_read(void)
{
    assert_int_equal(dirty_trace_stop(), 0);
    for (unsigned i = 0; i < 100000 && dirty_trace_query()->status == DIRTY_TRACE_TRACING; i++) {
        work();
        take(4096);
    }
    take(4096);
    decode();
}

/* --- Tests --- */

static void intervals_come_one_after_another(void **state)
{
    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    write_pages(0, 1, 1);
    write_pages(62, 4, 1); /* across words */
    write_pages(PAGES - 1, 1, 1);
    one_interval();
    one_interval();
    write_pages(7, 3, 64);
    stop_and_read();
    assert_memory_equal(bytes,
                        "godwit-dirty-trace 1 vm=web pages=1048576 page=4096 every-ms=1 for-ms=1000 "
                        "producer=dbit\n",
                        strlen("godwit-dirty-trace 1 vm=web pages=1048576 page=4096 every-ms=1 for-ms=1000 "
                               "producer=dbit\n"));
    assert_int_equal(read_.intervals, 3);
    assert_int_equal(read_.pages[0], 6);
    assert_int_equal(read_.first[0], 0);
    assert_int_equal(read_.last[0], PAGES - 1);
    assert_int_equal(read_.pages[1], 0);
    assert_int_equal(read_.pages[2], 3);
    assert_int_equal(read_.last[2], 7 + 128);
    assert_string_equal(read_.reason, "stopped");
    assert_int_equal(vm.mem.dirty.producer, DIRTY_OFF);
    assert_int_equal(dirty_trace_query()->pages, 9);
}

/* Two bytes for each of half a million runs are more than is kept. */
static void a_slow_reader_loses_nothing(void **state)
{
    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    write_pages(0, PAGES / 2, 2);
    one_interval();
    assert_int_equal(dirty_trace_query()->intervals, 0);
    assert_true(dirty_trace_query()->put <= DIRTY_TRACE_KEPT);
    write_pages(1, 5, 2); /* meanwhile */
    for (unsigned i = 0; i < 100000 && !dirty_trace_query()->intervals; i++) {
        take(1000);
        work();
    }
    stop_and_read();
    assert_int_equal(read_.pages[0], PAGES / 2);
    assert_int_equal(read_.pages[1], 5);
    assert_int_equal(read_.last[1], 9);
}

static void it_ends_with_its_guest(void **state)
{
    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    over = false; /* the second interval is not */
    one_interval();
    write_pages(3, 1, 1);
    vm.status = VM_CRASHED;
    for (unsigned i = 0; i < 10000 && dirty_trace_query()->status == DIRTY_TRACE_TRACING; i++)
        work();
    assert_int_equal(dirty_trace_query()->status, DIRTY_TRACE_ENDED);
    assert_int_equal(vm.mem.dirty.producer, DIRTY_OFF);
    take(4096);
    decode();
    assert_int_equal(read_.intervals, 2);
    assert_int_equal(read_.pages[1], 1);
    assert_string_equal(read_.reason, "the guest has ended");
}

static void it_ends_with_its_log(void **state)
{
    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    over = false;
    one_interval();
    list_del(&vm.node);
    work();
    assert_int_equal(dirty_trace_query()->status, DIRTY_TRACE_ENDED);
    take(4096);
    decode();
    assert_int_equal(read_.intervals, 1);
    assert_string_equal(read_.reason, "its log was ended");
    list_add_tail(vm_list(), &vm.node);
}

/* The log is given back although a whole interval waits for somebody to take it; what was made can still be taken. */
static void it_ends_if_nobody_takes_it(void **state)
{
    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    write_pages(0, PAGES / 2, 2);
    one_interval();
    dirty_trace_stop();
    for (unsigned i = 0; i < 1000; i++)
        work();
    assert_int_equal(dirty_trace_query()->status, DIRTY_TRACE_TRACING); /* a slow reader may come */
    impatient = true;
    for (unsigned i = 0; i < 10; i++)
        work();
    assert_int_equal(dirty_trace_query()->status, DIRTY_TRACE_ENDED);
    assert_string_equal(dirty_trace_query()->reason, "nobody took it");
    assert_int_equal(vm.mem.dirty.producer, DIRTY_OFF);
    take(4096);
    assert_int_equal(length, dirty_trace_query()->put);
    impatient = false;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    length = 0;
    write_pages(1, 1, 1);
    one_interval();
    stop_and_read();
    assert_int_equal(read_.pages[0], 1);
}

static void one_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 0, 1000), -EINVAL);
    assert_int_equal(dirty_trace_start(&vm, 1, 0), -EINVAL);
    vm.mem.dirty.producer = DIRTY_PML; /* a move */
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), -EBUSY);
    vm.mem.dirty.producer = DIRTY_OFF;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), -EBUSY);
    stop_and_read();
    assert_int_equal(dirty_trace_stop(), -EINVAL);
}

/* To look changes nothing. Whoever looks for bytes that are forgotten is told which are not. */
static void bytes_are_forgotten_when_they_are_taken(void **state)
{
    u64 offset = 10, begin = 0, beyond = ~0ULL;
    char piece[16];

    (void)state;
    assert_int_equal(dirty_trace_start(&vm, 1, 1000), 0);
    assert_int_equal(dirty_trace_read(&offset, piece, 4), 4);
    assert_memory_equal(piece, "ty-t", 4); /* godwit-dirty-trace */
    assert_int_equal(dirty_trace_read(&beyond, piece, 4), 0);
    assert_int_equal(beyond, dirty_trace_query()->put);
    assert_int_equal(dirty_trace_read(&begin, piece, 4), 4);
    assert_memory_equal(piece, "godw", 4);
    dirty_trace_take(10);
    dirty_trace_take(5); /* said late */
    assert_int_equal(dirty_trace_read(&begin, piece, 4), 4);
    assert_int_equal(begin, 10);
    dirty_trace_take(~0ULL);
    assert_int_equal(dirty_trace_query()->taken, dirty_trace_query()->put);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(intervals_come_one_after_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_reader_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(it_ends_with_its_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(it_ends_with_its_log, setup, teardown),
        cmocka_unit_test_setup_teardown(it_ends_if_nobody_takes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_are_forgotten_when_they_are_taken, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
