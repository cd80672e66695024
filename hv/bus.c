/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/bus.h"

#include <errno.h>
#include <string.h>

#include "host/bits.h"

/* Number of regions that begin at or before address. Regions are sorted by base, and from the outer to the inner. */
static u32 bus_find(const struct bus *bus, u64 address)
{
    u32 low = 0, high = bus->nr_regions;

    while (low < high) {
        u32 mid = (low + high) / 2;

        if (bus->region[mid].base <= address)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool region_contains(const struct bus_region *region, u64 base, u64 size)
{
    return region->base <= base && base - region->base <= region->size && size <= region->size - (base - region->base);
}

/* Do the two overlap, without one lying strictly inside the other? */
static bool regions_clash(const struct bus_region *a, const struct bus_region *b)
{
    bool apart = a->base + a->size <= b->base || b->base + b->size <= a->base;

    return !apart && region_contains(a, b->base, b->size) == region_contains(b, a->base, a->size);
}

int bus_add(struct bus *bus, u64 base, u64 size, struct device *device, unsigned region)
{
    struct bus_region new = { .base = base, .size = size, .device = device, .region = region };
    u32 at = bus_find(bus, base);

    for (u32 i = 0; i < bus->nr_regions; i++)
        if (regions_clash(&bus->region[i], &new))
            return -EBUSY;
    if (bus->nr_regions == BUS_REGIONS)
        return -ENOSPC;
    while (at && bus->region[at - 1].base == base && bus->region[at - 1].size < size)
        at--;
    memmove(&bus->region[at + 1], &bus->region[at], (bus->nr_regions - at) * sizeof(bus->region[0]));
    bus->region[at] = new;
    bus->nr_regions++;
    return 0;
}

void bus_remove(struct bus *bus, const struct device *device, unsigned region)
{
    u32 kept = 0;

    for (u32 i = 0; i < bus->nr_regions; i++)
        if (bus->region[i].device != device || bus->region[i].region != region)
            bus->region[kept++] = bus->region[i];
    bus->nr_regions = kept;
}

void bus_access(struct bus *bus, u64 address, struct io *io)
{
    u32 at = bus_find(bus, address);

    bus->accesses++;
    if (!io->write)
        io->val = size_mask(io->size);
    /* Try the innermost region first. An access that leaves a region belongs to an outer region that holds all of it,
     * or to no device. */
    while (at && !region_contains(&bus->region[at - 1], address, io->size))
        at--;
    if (!at) {
        bus->unclaimed++;
        return;
    }
    const struct bus_region *region = &bus->region[at - 1];

    io->off = address - region->base;
    region->device->ops->io(region->device, region->region, io);
    io->val &= size_mask(io->size);
}
