/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/control/mistake.h"

#include <errno.h>

#include "hv/control/command.h"
#include "hv/lib/lock.h"
#include "hv/lib/types.h"
#include "mm/frame.h"

const char *const mistake_kinds[] = { "stack", "overflow", "index", "frame", "lock", NULL };

enum { STACK, OVERFLOW, INDEX, FRAME, LOCK };

/* The compiler must not see what is wrong. */
static volatile int seven = 7;
static char *volatile somewhere;

static void smash_stack(void)
{
    char text[16];

    somewhere = text;
    for (int i = 0; i < seven * 8; i++)
        somewhere[i] = 'x';
    somewhere = NULL;
}

static int overflow(void)
{
    return 0x7fffffff + seven;
}

static int index_beyond(void)
{
    int numbers[3] = { 0, 0, 0 };

    return numbers[seven];
}

/* Who is given the frame next finds that somebody wrote there. What is free longest is taken first, so take all. */
static void write_freed_frame(void)
{
    u64 *page = frame_alloc_page();

    if (!page)
        return;
    frame_free_page(page);
    page[100] = (u64)seven;
    while (frame_alloc(FRAME_ORDER_4K) != FRAME_NONE)
        ;
}

static void use_without_lock(void)
{
    static struct spinlock lock;

    spin_unlock(&lock);
}

int command_mistake(struct call *call)
{
    switch (call->arg[0].number) {
    case STACK: smash_stack(); break;
    case OVERFLOW: seven = overflow(); break;
    case INDEX: seven = index_beyond(); break;
    case FRAME: write_freed_frame(); break;
    case LOCK: use_without_lock(); break;
    }
    return call_fail(call, -EINVAL, "nothing has caught it");
}
