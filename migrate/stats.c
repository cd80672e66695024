/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/stats.h"

#include <stdio.h>

#include "host/bits.h"

u64 migrate_pace_left(const struct migrate_pace *pace, u64 now, u64 came, u64 missing)
{
    u64 pages = came - pace->pages;

    return pages ? (now - pace->since) / 1000 * missing / pages / 1000 : LEFT_UNKNOWN;
}

bool migrate_stall_warning(const struct migrate_stats *stats, char *text, size_t room)
{
    if (!stats->prediction.over_limit || stats->error == WIRE_E_CONVERGE)
        return false;
    snprintf(text, room,
             "%s: stopped with %lu ms of downtime expected, above the limit of %u; on-stall = abort lets it "
             "stay%s",
             stats->prediction.stalled ? "more rounds bring nothing" : "max-rounds is reached",
             stats->prediction.downtime_us / 1000, stats->downtime_limit,
             stats->cpu_throttle || stats->write_limit ? "" : ", throttle slows it first");
    return true;
}

static unsigned long in_ms(u64 us)
{
    return us / 1000;
}

void migrate_choice(struct migrate_stats *stats, u32 downtime_limit)
{
    const struct forecast *row = stats->forecast, *live = &row[MODE_LIVE];
    const char *mode = migrate_mode_name(stats->chosen);

    if (stats->chosen == MODE_LIVE)
        snprintf(stats->choice, sizeof(stats->choice), "live: a downtime of %lu ms is expected, %s the limit of %u",
                 in_ms(live->downtime_us), live->over_limit ? "above" : "within", downtime_limit);
    else
        snprintf(stats->choice, sizeof(stats->choice),
                 "%s: the guest loses %lu ms by hybrid, %lu by post-copy; live %s %lu, above the limit of %u", mode,
                 in_ms(row[MODE_HYBRID].lost_us), in_ms(row[MODE_POSTCOPY].lost_us),
                 live->fails ? "fails, after" : "stops it for", in_ms(live->fails ? live->total_us : live->downtime_us),
                 downtime_limit);
}

void migrate_logged(const struct migrate_stats *stats, unsigned from, unsigned to, struct dirty_counters *sum)
{
    const u64 *before = (const u64 *)&stats->logged[from], *after = (const u64 *)&stats->logged[to];

    for (size_t i = 0; i < sizeof(*sum) / sizeof(u64); i++)
        ((u64 *)sum)[i] += after[i] - before[i];
}

const char *migrate_mode_name(enum migrate_mode mode)
{
    static const char *const names[NR_MODES] = { "live", "stop-copy", "post-copy", "hybrid", "demand", "cold", "auto" };

    return names[mode];
}

_Static_assert(MODE_STOP_COPY == 1 && MODE_POSTCOPY == 2 && MODE_HYBRID == 3 && MODE_DEMAND == 4 && MODE_COLD == 5 &&
                   MODE_AUTO == 6 && NR_MODES < WIRE_MODE_IMAGE,
               "they are on the wire");

u8 migrate_said_mode(u32 flags)
{
    u8 said = (u8)field_get(WIRE_MODE, flags);

    return said <= NR_MODES || said == WIRE_MODE_IMAGE ? said : WIRE_MODE_UNSAID;
}

const char *migrate_said_mode_name(u8 said)
{
    if (said == WIRE_MODE_IMAGE)
        return "restore";
    return said ? migrate_mode_name(said - 1) : "unknown";
}

const char *migrate_files_name(enum migrate_files files)
{
    static const char *const names[] = { "none", "coming", "there", "failed" };

    return names[files];
}

const char *migrate_status_name(enum migrate_status status)
{
    static const char *const names[] = {
        [MIGRATE_NONE] = "none",
        [MIGRATE_SETUP] = "setup",
        [MIGRATE_ACTIVE] = "active",
        [MIGRATE_PRE_SWITCHOVER] = "pre-switchover",
        [MIGRATE_DEVICE] = "device",
        [MIGRATE_IN_DOUBT] = "in-doubt",
        [MIGRATE_PROTECTED] = "protected",
        [MIGRATE_POSTCOPY_ACTIVE] = "postcopy-active",
        [MIGRATE_POSTCOPY_PAUSED] = "postcopy-paused",
        [MIGRATE_POSTCOPY_RECOVER] = "postcopy-recover",
        [MIGRATE_COMPLETED] = "completed",
        [MIGRATE_FAILED] = "failed",
        [MIGRATE_CANCELLING] = "cancelling",
        [MIGRATE_CANCELLED] = "cancelled",
    };

    return names[status];
}
