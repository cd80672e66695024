/* SPDX-License-Identifier: BSD-2-Clause */
/* Both formats from the manuals, written here a second time: the tests must not believe the backends. */
#pragma once

#include "host/bits.h"
#include "mm/npt.h"

/* SDM 3C tables "Format of an EPT ...": rights 0..2, memory type 3..5 (6 = write-back), large 7, A 8, D 9. */
static const struct npt_format format_ept = {
    .name = "EPT",
    .read = BIT(0),
    .write = BIT(1),
    .exec = BIT(2),
    .exec_large = BIT(2),
    .table = 7,
    .leaf_4k = 6 << 3,
    .leaf_large = 6 << 3 | BIT(7),
    .large = BIT(7),
    .present = 7,
    .accessed = BIT(8),
    .dirty = BIT(9),
    .has_1g = true,
};

/* The same on a processor on which large pages must not be executed: bit 52 is ignored by hardware. */
static const struct npt_format format_ept_small_code = {
    .name = "EPT, code in small pages",
    .read = BIT(0),
    .write = BIT(1),
    .exec = BIT(2),
    .exec_large = BIT(52),
    .table = 7,
    .leaf_4k = 6 << 3,
    .leaf_large = 6 << 3 | BIT(7),
    .large = BIT(7),
    .present = 7,
    .accessed = BIT(8),
    .dirty = BIT(9),
    .has_1g = true,
};

/* APM 2 "Nested Paging": a long-mode table, walked as a user access. */
static const struct npt_format format_amd = {
    .name = "AMD",
    .read = BIT(0),
    .write = BIT(1),
    .no_exec = BIT(63),
    .table = 7,
    .leaf_4k = BIT(2),
    .leaf_large = BIT(2) | BIT(7),
    .large = BIT(7),
    .present = BIT(0),
    .accessed = BIT(5),
    .dirty = BIT(6),
    .has_1g = true,
};
