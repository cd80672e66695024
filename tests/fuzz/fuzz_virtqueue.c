/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/virtqueue.c dev/codec.c mm/guest_mem.c mm/guest_missing.c mm/dirty.c mm/npt.c mm/npt_log.c */
/* sources: host/frame.c tests/unit/ram.c */
/*
 * libFuzzer entry for the virtqueue core: the input is the guest's memory, which holds the rings, the tables and what
 * they point at, at places that its first bytes choose. Whatever it says, only RAM is touched and every walk ends.
 */
#include <stdarg.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "dev/virtqueue.h"
#include "host/log.h"
#include "host/panic.h"
#include "mm/guest_mem.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define RAM KiB(64)
#define HEAD 8 /* bytes of the input that are not memory */

void panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    abort();
}

static struct guest_mem *memory(void)
{
    static struct guest_mem mem;
    static struct npt npt;

    if (!mem.npt) {
        ram_init_full(MiB(16));
        REQUIRE(npt_init(&npt, &format_ept) == 0);
        REQUIRE(guest_mem_init(&mem, &npt, RAM) == 0);
    }
    return &mem;
}

static void check_chain(struct guest_mem *mem, const struct virtqueue_chain *chain)
{
    u64 total[2] = { 0 };

    REQUIRE(chain->nr_parts > 0 && chain->nr_parts <= VIRTQUEUE_PARTS && chain->nr_read <= chain->nr_parts);
    for (unsigned i = 0; i < chain->nr_parts; i++) {
        REQUIRE(chain->part[i].len > 0 && guest_mem_valid(mem, chain->part[i].addr, chain->part[i].len));
        total[i >= chain->nr_read] += chain->part[i].len;
    }
    REQUIRE(total[0] == chain->read_len && total[1] == chain->write_len);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static u8 image[RAM], buffer[256];
    static struct virtqueue_chain chain;
    struct guest_mem *mem = memory();
    struct virtqueue vq = { 0 };

    if (size < HEAD)
        return 0;
    memset(image, 0, sizeof(image));
    memcpy(image, data + HEAD, MIN(size - HEAD, sizeof(image)));
    REQUIRE(guest_write(mem, 0, image, sizeof(image)) == 0);
    vq.event_idx = data[0] & 1;
    vq.indirect = data[0] & 2;
    virtqueue_reset(&vq, mem, (u16)(1 << data[1] % 9));
    vq.desc = 16ULL * data[2];
    vq.avail = 2ULL * data[3];
    vq.used = 64ULL * data[4];
    if (!virtqueue_start(&vq))
        return 0;
    /* Our own writes may change the rings as well: so a bound on the rounds, not on what is in the ring. */
    for (unsigned i = 0; i < 2 * VIRTQUEUE_SIZE_MAX && virtqueue_pop(&vq, &chain); i++) {
        check_chain(mem, &chain);
        virtqueue_read(&vq, &chain, data[5], buffer, sizeof(buffer));
        virtqueue_push(&vq, chain.head, virtqueue_write(&vq, &chain, data[6], buffer, sizeof(buffer)));
        if (data[7] & 1)
            virtqueue_rollback(&vq, 1);
        virtqueue_publish(&vq);
        virtqueue_signal_needed(&vq);
        virtqueue_notify_on(&vq);
        virtqueue_notify_off(&vq);
    }
    return 0;
}
