/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/protect.h"

static const struct protect_watcher *watcher;

void migration_protect_watch(const struct protect_watcher *driver)
{
    watcher = driver;
}

int protect_tell_source(struct vm *vm, enum protect_event event, u64 number)
{
    return watcher ? watcher->source(vm, event, number) : 0;
}

void protect_tell_dest(void *vm, enum protect_event event, u64 number)
{
    if (watcher)
        watcher->dest(vm, event, number);
}
