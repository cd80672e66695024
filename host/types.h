/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixed-width integers, and the two kinds of physical address, which must never be confused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 hpa_t; /* host physical: an address of the machine */
typedef u64 gpa_t; /* guest physical: an address that a guest takes for physical */
typedef u64 gva_t; /* guest linear */
