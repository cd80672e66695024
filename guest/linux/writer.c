/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirties memory at an adjustable rate and proves that it stays what was written. Every page knows its number and how
 * often it was written; the rest of it follows from these. A table outside knows the count too, so that an old copy of
 * a page is as wrong as a damaged one. A page is checked before each write.
 *
 * writer [MIB [PAGES [TICK-MS [PATTERN]]]]   (16 64 10 uniform)
 *
 * PAGES pages are written every TICK-MS milliseconds, chosen by PATTERN: sequential, uniform, hot (90 % of the writes
 * go to a tenth of the pages) or bytes (uniform, and only the first 24 bytes of a page change).
 *
 * TCP port 4002 takes lines and answers each with one:
 *
 *   stats                       mib N pages N tick_ms N pattern P written N checked N errors N late N
 *   set PAGES TICK-MS PATTERN   ok
 *   verify                      checks every page: pages N errors N
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest/linux/serve.h"

#define PORT 4002
#define PAGE 4096
#define WORDS (PAGE / 8 - 3)
#define CLIENTS 4
#define LINE_MAX 80

struct page {
    uint64_t number, count; /* which, and how often it was written */
    uint64_t filled;        /* the count at its last full write */
    uint64_t word[WORDS];   /* mix(number, filled, index) */
};

_Static_assert(sizeof(struct page) == PAGE, "one page");

enum pattern { SEQUENTIAL, UNIFORM, HOT, BYTES, PATTERNS };
static const char *const pattern_names[PATTERNS] = { "sequential", "uniform", "hot", "bytes" };

static struct {
    struct page *page;
    uint32_t *count; /* of each page */
    uint64_t nr_pages, next;
    unsigned mib, per_tick, tick_ms;
    enum pattern pattern;
    uint64_t written, checked, errors, late;
} work;

/* A connection, and the line that is arriving on it. */
static struct {
    char line[LINE_MAX];
    size_t have;
} client[CLIENTS];
static struct pollfd polled[1 + CLIENTS]; /* the listener, then the clients; -1: free */

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
    return (a * 0x9E3779B97F4A7C15ULL ^ b * 0xC2B2AE3D27D4EB4FULL) + c * 0x165667B19E3779F9ULL;
}

static void fill(struct page *page, uint64_t number, uint64_t count)
{
    page->number = number;
    page->count = page->filled = count;
    for (unsigned i = 0; i < WORDS; i++)
        page->word[i] = mix(number, count, i);
}

static void complain(uint64_t number, const char *what, uint64_t found, uint64_t expected)
{
    work.errors++;
    printf("writer: page %llu: %s is %llx, should be %llx\n", (unsigned long long)number, what,
           (unsigned long long)found, (unsigned long long)expected);
    fflush(stdout);
}

static void check(uint64_t number)
{
    const struct page *page = &work.page[number];

    work.checked++;
    if (page->number != number)
        complain(number, "number", page->number, number);
    if (page->count != work.count[number])
        complain(number, "count", page->count, work.count[number]);
    for (unsigned i = 0; i < WORDS; i++)
        if (page->word[i] != mix(number, page->filled, i)) {
            complain(number, "contents", page->word[i], mix(number, page->filled, i));
            return;
        }
}

/* xorshift64: good enough to spread writes. */
static uint64_t draw(uint64_t limit)
{
    static uint64_t x = 88172645463325252ULL;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x % limit;
}

static uint64_t choose(void)
{
    switch (work.pattern) {
    case SEQUENTIAL: return work.next++ % work.nr_pages;
    case HOT: return draw(10) ? draw(work.nr_pages / 10) : draw(work.nr_pages);
    default: return draw(work.nr_pages);
    }
}

static void tick(void)
{
    for (unsigned i = 0; i < work.per_tick; i++) {
        uint64_t number = choose();
        struct page *page = &work.page[number];

        check(number);
        work.count[number]++;
        if (work.pattern == BYTES)
            page->count = work.count[number];
        else
            fill(page, number, work.count[number]);
        work.written++;
    }
}

static int find_pattern(const char *name)
{
    for (int i = 0; i < PATTERNS; i++)
        if (!strcmp(name, pattern_names[i]))
            return i;
    return -1;
}

static int configure(const char *pages, const char *tick_ms, const char *pattern)
{
    int found = find_pattern(pattern), per_tick = atoi(pages), ms = atoi(tick_ms);

    if (found < 0 || per_tick < 0 || ms < 1)
        return -1;
    work.per_tick = (unsigned)per_tick;
    work.tick_ms = (unsigned)ms;
    work.pattern = (enum pattern)found;
    return 0;
}

static int answer(int fd, char *line)
{
    char pages[16], ms[16], pattern[16];

    if (!strcmp(line, "stats"))
        return serve_print(
            fd, "mib %u pages %u tick_ms %u pattern %s written %llu checked %llu errors %llu late %llu\n", work.mib,
            work.per_tick, work.tick_ms, pattern_names[work.pattern], (unsigned long long)work.written,
            (unsigned long long)work.checked, (unsigned long long)work.errors, (unsigned long long)work.late);
    if (!strcmp(line, "verify")) {
        for (uint64_t i = 0; i < work.nr_pages; i++)
            check(i);
        return serve_print(fd, "pages %llu errors %llu\n", (unsigned long long)work.nr_pages,
                           (unsigned long long)work.errors);
    }
    if (sscanf(line, "set %15s %15s %15s", pages, ms, pattern) == 3 && !configure(pages, ms, pattern))
        return serve_print(fd, "ok\n");
    return serve_print(fd, "error: expected stats, verify or set PAGES TICK-MS sequential|uniform|hot|bytes\n");
}

/* Bytes have come: answer each line that is complete. Returns -1 when the connection is over. */
static int client_read(unsigned i)
{
    int fd = polled[1 + i].fd;
    ssize_t size = read(fd, client[i].line + client[i].have, LINE_MAX - 1 - client[i].have);
    char *end;

    if (size <= 0)
        return -1;
    client[i].have += (size_t)size;
    client[i].line[client[i].have] = 0;
    while ((end = strchr(client[i].line, '\n'))) {
        *end = 0;
        if (end > client[i].line && end[-1] == '\r')
            end[-1] = 0;
        if (answer(fd, client[i].line))
            return -1;
        client[i].have -= (size_t)(end + 1 - client[i].line);
        memmove(client[i].line, end + 1, client[i].have + 1);
    }
    return client[i].have < LINE_MAX - 1 ? 0 : -1;
}

static void accept_client(void)
{
    int fd = accept(polled[0].fd, NULL, NULL);

    for (unsigned i = 0; i < CLIENTS; i++)
        if (polled[1 + i].fd < 0) {
            polled[1 + i].fd = fd;
            client[i].have = 0;
            return;
        }
    close(fd);
}

static void serve(int wait_ms)
{
    if (poll(polled, 1 + CLIENTS, wait_ms) <= 0)
        return;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (polled[1 + i].fd >= 0 && polled[1 + i].revents && client_read(i)) {
            close(polled[1 + i].fd);
            polled[1 + i].fd = -1;
        }
    if (polled[0].revents)
        accept_client();
}

static int64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static int set_up(int argc, char **argv)
{
    int mib = argc > 1 ? atoi(argv[1]) : 16;

    if (mib < 1 || configure(argc > 2 ? argv[2] : "64", argc > 3 ? argv[3] : "10", argc > 4 ? argv[4] : "uniform"))
        return -1;
    work.mib = (unsigned)mib;
    work.nr_pages = (uint64_t)mib << 8;
    work.page = mmap(NULL, work.nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    work.count = calloc(work.nr_pages, sizeof(*work.count));
    if (work.page == MAP_FAILED || !work.count)
        return -1;
    for (uint64_t i = 0; i < work.nr_pages; i++)
        fill(&work.page[i], i, 0);
    for (unsigned i = 0; i < 1 + CLIENTS; i++)
        polled[i] = (struct pollfd){ .fd = i ? -1 : serve_listen(PORT), .events = POLLIN };
    return 0;
}

int main(int argc, char **argv)
{
    if (set_up(argc, argv)) {
        fprintf(stderr, "usage: writer [MIB [PAGES [TICK-MS [sequential|uniform|hot|bytes]]]]\n");
        return 1;
    }
    serve_in_background();
    for (int64_t next = now_ms();;) {
        int64_t now = now_ms();

        if (now < next) {
            serve((int)(next - now));
            continue;
        }
        tick();
        next += work.tick_ms;
        if (now_ms() > next) { /* we can't keep up: the rate is what the machine gives */
            work.late++;
            next = now_ms();
            serve(0);
        }
    }
}
