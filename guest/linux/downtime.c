/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long has this machine stood still? A loop watches CLOCK_MONOTONIC; two readings further apart than a threshold
 * are a break. The loop is tight, or sleeps between readings: then the machine is nearly idle, and a break's length is
 * what it took longer than the sleep. The loop prints nothing, because it would not see a break that comes meanwhile.
 * TCP port 4001 tells the breaks:
 *
 *   since SECONDS now SECONDS readings N breaks N longest_us N total_us N
 *   break NUMBER at SECONDS wall SECONDS us N
 *
 * downtime [THRESHOLD-MS [SLEEP-US]] (10 0)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest/linux/serve.h"

#define PORT 4001
#define BREAKS_MAX 1024 /* the last so many are kept */

/* Shared by the loop, which writes, and the server. */
struct history {
    int64_t start;
    uint64_t readings, breaks;
    int64_t longest, total;
    struct entry {
        int64_t at, wall, length;
    } entry[BREAKS_MAX];
};

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void note(struct history *history, int64_t at, int64_t length)
{
    uint64_t number = history->breaks;

    history->entry[number % BREAKS_MAX] = (struct entry){ .at = at, .wall = now(CLOCK_REALTIME), .length = length };
    history->total += length;
    if (length > history->longest)
        history->longest = length;
    __atomic_store_n(&history->breaks, number + 1, __ATOMIC_RELEASE);
}

/*
 * At the priority of any program: the turns of others are shorter than a threshold. A loop with a better priority keeps
 * ksoftirqd, and with it the guest's whole network, from the processor for hundreds of ms.
 */
static void watch(struct history *history, int64_t threshold, int64_t sleep)
{
    const struct timespec pause = { .tv_sec = sleep / 1000000000, .tv_nsec = sleep % 1000000000 };
    int64_t last = history->start = now(CLOCK_MONOTONIC);

    for (;;) {
        int64_t time;

        if (sleep)
            nanosleep(&pause, NULL);
        time = now(CLOCK_MONOTONIC);
        history->readings++;
        if (time - last - sleep > threshold)
            note(history, last, time - last - sleep);
        last = time;
    }
}

static void tell(int fd, const struct history *history)
{
    uint64_t breaks = __atomic_load_n(&history->breaks, __ATOMIC_ACQUIRE);

    serve_print(fd, "since %.6f now %.6f readings %llu breaks %llu longest_us %lld total_us %lld\n",
                (double)history->start / 1e9, (double)now(CLOCK_MONOTONIC) / 1e9, (unsigned long long)history->readings,
                (unsigned long long)breaks, (long long)(history->longest / 1000), (long long)(history->total / 1000));
    for (uint64_t i = breaks > BREAKS_MAX ? breaks - BREAKS_MAX : 0; i < breaks; i++) {
        const struct entry *entry = &history->entry[i % BREAKS_MAX];

        serve_print(fd, "break %llu at %.6f wall %.6f us %lld\n", (unsigned long long)i, (double)entry->at / 1e9,
                    (double)entry->wall / 1e9, (long long)(entry->length / 1000));
    }
}

int main(int argc, char **argv)
{
    int64_t threshold = (argc > 1 ? atoll(argv[1]) : 10) * 1000000;
    int64_t sleep = (argc > 2 ? atoll(argv[2]) : 0) * 1000;
    struct history *history = mmap(NULL, sizeof(*history), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int listener = serve_listen(PORT);

    if (history == MAP_FAILED || threshold <= 0 || sleep < 0)
        return 1;
    serve_in_background();
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        watch(history, threshold, sleep);
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            continue;
        tell(fd, history);
        close(fd);
    }
}
