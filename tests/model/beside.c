/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of C code beside a model. What is large, buffers and a guest's pages, holds nothing from one step to the
 * next that is not the same on every way, and stays as it is. */
#include "tests/model/beside.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define LARGE 60000 /* bytes */
#define AREAS 4
#define STRETCH 4096 /* bytes that are compared at once, */
#define CHUNK 256    /* and kept at once */

unsigned beside_at;
unsigned long beside_essence;

static struct area {
    char *memory, *first; /* now, and at the beginning */
    size_t bytes;
} areas[AREAS];
static unsigned nr_areas;

/* Chunks that differ from the beginning: a step of the way. */
struct step {
    unsigned count;
    struct chunk_of {
        unsigned area, at;
        char bytes[CHUNK];
    } chunk[];
};

static char steps[512 << 20], firsts[8 << 20], small[4 << 20], large[32 << 20];
static size_t firsts_used;
static struct heap {
    size_t small, large; /* bytes given away */
} heap;
static bool watching;
static unsigned here; /* the step in memory */

void *__real_malloc(size_t bytes);
void __real_free(void *memory);

/* Never given back: it is, when spin goes back. */
void *__wrap_malloc(size_t bytes)
{
    bool is_large = bytes >= LARGE;
    size_t *used = is_large ? &heap.large : &heap.small;
    char *memory = is_large ? large : small;

    if (!watching)
        return __real_malloc(bytes);
    memory += *used;
    *used += (bytes + 15) & ~15UL;
    assert(heap.small <= sizeof(small) && heap.large <= sizeof(large));
    return memory;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    void *memory = __wrap_malloc(count * bytes);

    return memory ? memset(memory, 0, count * bytes) : NULL;
}

void __wrap_free(void *memory)
{
    if (!watching)
        __real_free(memory);
}

void beside_watch(void *memory, size_t bytes)
{
    assert(nr_areas < AREAS);
    areas[nr_areas++] = (struct area){ .memory = memory, .bytes = bytes };
    watching = true;
}

static struct step *step_at(unsigned at)
{
    return (struct step *)(steps + at);
}

static size_t length(const struct area *area, size_t at, size_t most)
{
    return area->bytes - at < most ? area->bytes - at : most;
}

static void store(bool first)
{
    struct step *step = step_at(here);

    for (unsigned i = 0; i < step->count; i++) {
        struct chunk_of *chunk = &step->chunk[i];
        const struct area *area = &areas[chunk->area];
        size_t at = chunk->at;

        memcpy(area->memory + at, first ? area->first + at : chunk->bytes, length(area, at, CHUNK));
    }
}

static bool differs(const struct area *area, size_t at, size_t most)
{
    return memcmp(area->memory + at, area->first + at, length(area, at, most)) != 0;
}

static void keep_chunk(struct step *step, unsigned area, size_t at)
{
    struct chunk_of *chunk = &step->chunk[step->count++];

    assert((char *)(chunk + 1) <= steps + sizeof(steps));
    chunk->area = area;
    chunk->at = (unsigned)at;
    memcpy(chunk->bytes, areas[area].memory + at, length(&areas[area], at, CHUNK));
}

/* Of the heap only what was given away can differ. */
static size_t bytes_to_compare(const struct area *area)
{
    return area->memory == small ? heap.small : area->bytes;
}

/* Put what differs from the beginning into the step at beside_at. */
static void keep(void)
{
    struct step *step = step_at(here = beside_at);

    step->count = 0;
    for (unsigned i = 0; i < nr_areas; i++)
        for (size_t stretch = 0; stretch < bytes_to_compare(&areas[i]); stretch += STRETCH) {
            if (!differs(&areas[i], stretch, STRETCH))
                continue;
            for (size_t at = stretch; at < stretch + length(&areas[i], stretch, STRETCH); at += CHUNK)
                if (differs(&areas[i], at, CHUNK))
                    keep_chunk(step, i, at);
        }
}

void beside_begin(void)
{
    beside_watch(&heap, sizeof(heap));
    beside_watch(small, sizeof(small));
    for (unsigned i = 0; i < nr_areas; i++) {
        areas[i].first = firsts + firsts_used;
        firsts_used += areas[i].bytes;
        assert(firsts_used <= sizeof(firsts));
        memcpy(areas[i].first, areas[i].memory, areas[i].bytes);
    }
    keep();
    watching = false;
}

void beside_look(void)
{
    if (here == beside_at)
        return;
    store(true);
    here = beside_at;
    store(false);
}

void beside_enter(void)
{
    beside_look();
    watching = true;
}

void beside_leave(void)
{
    beside_at += sizeof(struct step) + step_at(here)->count * sizeof(struct chunk_of);
    keep();
    watching = false;
}
