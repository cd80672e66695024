/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit numbers, fields, alignment and the few arithmetic helpers that C lacks. */
#pragma once

#include "host/types.h"

#define BIT(n) (1ULL << (n))
/* Mask of bits hi..lo, both included. */
#define BITS(hi, lo) ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NAME_AT(names, i) ((i) < ARRAY_SIZE(names) && (names)[i] ? (names)[i] : "?")
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define KiB(n) ((u64)(n) << 10)
#define MiB(n) ((u64)(n) << 20)
#define GiB(n) ((u64)(n) << 30)

#define PAGE_SHIFT 12
#define PAGE_SIZE KiB(4)
#define PAGE_MASK (~(PAGE_SIZE - 1))

/* What an entry of a page table maps: of level 1 a page, 2: 2 MiB, 3: 1 GiB, 4: 512 GiB. */
static inline u64 level_size(unsigned level)
{
    return PAGE_SIZE << (9 * (level - 1));
}

/* The field of value under a contiguous mask, shifted down. */
static inline u64 field_get(u64 mask, u64 value)
{
    return (value & mask) >> __builtin_ctzll(mask);
}

/* value with the field under mask replaced by field. */
static inline u64 field_set(u64 mask, u64 value, u64 field)
{
    return (value & ~mask) | ((field << __builtin_ctzll(mask)) & mask);
}

/* align is a power of two. */
static inline u64 align_down(u64 value, u64 align)
{
    return value & ~(align - 1);
}

static inline u64 align_up(u64 value, u64 align)
{
    return (value + align - 1) & ~(align - 1);
}

static inline bool is_aligned(u64 value, u64 align)
{
    return (value & (align - 1)) == 0;
}

/* Mask of the low `bytes` bytes, 1 to 8. */
static inline u64 size_mask(unsigned bytes)
{
    return ~0ULL >> (64 - 8 * bytes);
}

/* The low `bytes` bytes of value, sign-extended to 64 bits. */
static inline u64 sign_extend(u64 value, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;

    return (u64)((s64)(value << shift) >> shift);
}

/* value * mul / div, without a product beyond 64 bits; mul and div are below 2^32. The second form rounds up. */
static inline u64 scale(u64 value, u64 mul, u64 div)
{
    return value / div * mul + value % div * mul / div;
}

static inline u64 scale_up(u64 value, u64 mul, u64 div)
{
    return value / div * mul + (value % div * mul + div - 1) / div;
}

/* How many bits are set: counts pairs, fours and bytes, then adds the bytes. Older processors have no POPCNT. */
static inline u64 bits_count(u64 value)
{
    value -= value >> 1 & 0x5555555555555555;
    value = (value & 0x3333333333333333) + (value >> 2 & 0x3333333333333333);
    value = (value + (value >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return value * 0x0101010101010101 >> 56;
}

/* Bit maps: bit n is bit n % 64 of word n / 64. Not atomic. */
static inline bool bitmap_test(const u64 *bitmap, u64 bit)
{
    return bitmap[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(u64 *bitmap, u64 bit)
{
    bitmap[bit / 64] |= BIT(bit % 64);
}

static inline void bitmap_clear(u64 *bitmap, u64 bit)
{
    bitmap[bit / 64] &= ~BIT(bit % 64);
}
