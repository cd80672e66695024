/* SPDX-License-Identifier: BSD-2-Clause */
/* With pair=RATE the first processor writes to RATE pages a second, at random of 2048, and the second reads all of them
 * again and again. They say how far they are ten times a second, until a 'q' is typed. */
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/smp/smp.h"
#include "host/bits.h"

#define SET MiB(4)
#define PAGES 2048ULL
#define BEAT_US 100000

static volatile bool over;
static volatile u64 rounds; /* of the reader */

static void read_all(u64 unused)
{
    (void)unused;
    while (!over) {
        for (u64 page = 0; page < PAGES; page++)
            (void)*(const volatile u64 *)(SET + page * PAGE_SIZE);
        rounds++;
    }
}

void pair(u64 rate)
{
    u64 start = rdtsc(), writes = 0, beat = 0, random = 1;

    report("the reader starts", cpu_restart(&cpus[1]));
    cpu_give(&cpus[1], read_all, 0);
    while (console_key() != 'q') {
        u64 us = clock_us(rdtsc() - start);

        if (writes < us * rate / 1000000) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            *(volatile u64 *)(SET + (random >> 33) % PAGES * PAGE_SIZE) = ++writes;
        }
        if (us < beat)
            continue;
        kprintf("%lu rounds, %lu writes in %lu us\n", rounds, writes, us);
        beat = us + BEAT_US;
    }
    over = true;
    report("the reader ends", cpu_done(&cpus[1]));
}
