/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Junk in the heap's free pieces. The linker of the debug image sends all calls of newlib's _malloc_r and _free_r here
 * (--wrap): our own, lwIP's and newlib's. A release image has no calls of these, so its linker leaves them out.
 *
 * A piece is junk when it is given away, so nobody relies on zeros that happen to be there. One that is freed is filled
 * and kept back for a while, and must be junk still when malloc has it again.
 */
#include <malloc.h>
#include <reent.h>
#include <string.h>

#include "host/bits.h"
#include "host/panic.h"

#define JUNK 0xA5 /* a pointer that is read from it is not canonical, so its use raises #GP */
#define JUNK_WORD (JUNK * 0x0101010101010101ULL)
#define KEPT_PIECES 256U
#define KEPT_BYTES KiB(256)

/* The linker's names: __wrap_ for the function that is called, __real_ for the one that was meant. */
void *__wrap__malloc_r(struct _reent *reent, size_t size);
void __wrap__free_r(struct _reent *reent, void *piece);
void *__real__malloc_r(struct _reent *reent, size_t size);
void __real__free_r(struct _reent *reent, void *piece);

/* Under malloc's lock. */
static struct {
    void *piece[KEPT_PIECES]; /* a ring */
    unsigned put, taken;      /* pieces, ever */
    size_t bytes;
} kept;

void *__wrap__malloc_r(struct _reent *reent, size_t size)
{
    void *piece = __real__malloc_r(reent, size);

    return piece ? memset(piece, JUNK, _malloc_usable_size_r(reent, piece)) : NULL;
}

/* Is the piece in the ring? A kept piece is junk, so the ring is searched only for a piece that begins with junk: a
 * search for each frame of the network would take longer than all other work on that frame. */
static bool is_kept(const u64 *piece)
{
    if (*piece != JUNK_WORD)
        return false;
    for (unsigned i = kept.taken; i != kept.put; i++)
        if (kept.piece[i % KEPT_PIECES] == piece)
            return true;
    return false;
}

/* Are these `size` bytes (at least 8, aligned to 8) still junk? They are if the first word is junk and the memory
 * equals itself shifted by a word. A shift by a byte would do, too, but newlib's memcmp would be ten times as slow. */
static bool junk_is_whole(const u64 *words, size_t size)
{
    return *words == JUNK_WORD && memcmp(words, words + 1, size - sizeof(*words)) == 0;
}

static void give_back_oldest(struct _reent *reent)
{
    void *piece = kept.piece[kept.taken++ % KEPT_PIECES];
    size_t size = _malloc_usable_size_r(reent, piece);

    if (!junk_is_whole(piece, size))
        panic("heap piece %lx was written after it was freed", (unsigned long)piece);
    kept.bytes -= size;
    __real__free_r(reent, piece);
}

void __wrap__free_r(struct _reent *reent, void *piece)
{
    if (!piece)
        return;
    __malloc_lock(reent);
    if (is_kept(piece))
        panic("heap piece %lx freed twice", (unsigned long)piece);

    size_t size = _malloc_usable_size_r(reent, piece);

    memset(piece, JUNK, size);
    kept.piece[kept.put++ % KEPT_PIECES] = piece;
    kept.bytes += size;
    while (kept.put - kept.taken == KEPT_PIECES || kept.bytes > KEPT_BYTES)
        give_back_oldest(reent);
    __malloc_unlock(reent);
}
