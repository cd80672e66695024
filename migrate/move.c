/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/move.h"

#include <stdio.h>

#include "config/config.h"
#include "dev/shutdown.h"

#define FIXED_US 3000 /* the fixed part of the downtime: stop, state, start; on an emulator */

void move_peer(const struct migration_request *request, char text[TCP_ADDRESS_TEXT])
{
    if (request->file.ops)
        snprintf(text, TCP_ADDRESS_TEXT, "image");
    else
        tcp_address_text(&request->to, text);
}

void move_connected(struct move *move, u64 now)
{
    if (move->connections < MOVE_CONNECTIONS)
        move->connected[move->connections++] = now - move->began;
}

/* At most so many live rounds. */
static u32 rounds(const struct config_migration *config, enum migrate_mode mode)
{
    switch (mode) {
    case MODE_AUTO:
    case MODE_LIVE: return config->max_rounds;
    case MODE_HYBRID: return config->postcopy_rounds;
    default: return 0; /* MODE_STOP_COPY, and those that send all of memory when the guest runs there */
    }
}

struct vm_cold move_cold(const struct migration_request *request)
{
    return (struct vm_cold){
        .on = request->mode == MODE_COLD,
        .stopped = request->stopped,
        .force = request->force,
        .timeout = request->timeout ? request->timeout : SHUTDOWN_S,
    };
}

struct migrate_settings move_settings(const struct config_migration *config, const struct migration_request *request)
{
    enum migrate_mode mode = request->check ? MODE_LIVE : request->mode; /* a check has a forecast of all modes */

    return (struct migrate_settings){
        .policy = { .downtime_limit = config->downtime_limit,
                    .max_rounds = rounds(config, mode),
                    .postcopy_rounds = config->postcopy_rounds,
                    .hot_last = !config->hot_each,
                    .on_stall = mode == MODE_HYBRID ? POLICY_STALL_POSTCOPY : config->on_stall,
                    .throttle = { .initial = config->throttle.initial,
                                  .increment = config->throttle.increment,
                                  .max = config->throttle.max } },
        .max_bandwidth = config->max_bandwidth,
        .fixed_us = FIXED_US,
        .mode = request->mode,
        .verify = request->verify,
        .dry_run = request->check,
        .choose = request->mode == MODE_AUTO,
        .split = request->mode >= MODE_POSTCOPY && request->mode <= MODE_DEMAND,
        .cold = request->mode == MODE_COLD,
        .stopped = request->stopped,
        .follow = request->images,
        .demand = request->mode == MODE_DEMAND,
        .quiet = request->quiet,
        .protect = request->protect,
        .interval = request->interval,
        .limit = request->limit,
        .above = request->above,
        .image = request->file.ops,
    };
}
