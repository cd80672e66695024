/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "owners/announcer.h"

#include <stdlib.h>

#include "host/asm.h"
#include "host/clock.h"
#include "dev/platform.h"
#include "host/bits.h"
#include "host/log.h"
#include "hv/vm.h"
#include "owners/claims.h"
#include "net/announce.h"

struct announcer {
    struct list node;
    struct vm *vm;
    struct config_announce settings;
    u32 round; /* rounds done */
    u64 next;  /* host TSC */
};

static const struct config_announce *settings; /* the settings of announcements that begin */
static struct list announcers = { &announcers, &announcers };

static void announcer_free(struct announcer *announcer)
{
    list_del(&announcer->node);
    free(announcer);
}

/* Do a round. Returns false after the last one. */
static bool do_round(struct announcer *announcer)
{
    const struct config_announce *own = &announcer->settings;
    struct virtio_net *net = &platform_of(announcer->vm)->net;
    u32 ms = MIN(own->initial + announcer->round * own->step, own->max);
    unsigned frames = announce_port(&net->port);

    virtio_net_announce(net);
    claims_say(announcer->vm);
    if (announcer->round++ == 0)
        pr_info("%s: announced by %u frames", announcer->vm->name, frames);
    announcer->next = rdtsc() + clock_ns_to_ticks(ms * NS_PER_MS);
    return announcer->round < own->rounds;
}

void announcer_init(const struct config_announce *announce)
{
    settings = announce;
}

void announcer_start(struct vm *vm)
{
    struct announcer *announcer = settings->rounds ? calloc(1, sizeof(*announcer)) : NULL;

    if (!announcer) {
        pr_warn("%s: not announced: %s", vm->name, settings->rounds ? "no memory" : "announce-rounds is 0");
        return;
    }
    announcer->vm = vm;
    announcer->settings = *settings;
    list_add_tail(&announcers, &announcer->node);
    if (!do_round(announcer))
        announcer_free(announcer);
}

void announcer_stop(const struct vm *vm)
{
    list_each_safe (struct announcer, announcer, &announcers) {
        if (announcer->vm == vm)
            announcer_free(announcer);
    }
}

u64 announcer_poll(void)
{
    u64 next = ~0ULL;

    list_each_safe (struct announcer, announcer, &announcers) {
        if (rdtsc() >= announcer->next && !do_round(announcer))
            announcer_free(announcer);
        else
            next = MIN(next, announcer->next);
    }
    return next;
}
