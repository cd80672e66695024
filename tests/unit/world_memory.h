/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a guest in a test's world, and which pages of it are missing: ops of migrate/vm_ops.h. */
#pragma once

#include "tests/unit/world.h"

#define MEMORY_BYTES (FAKE_PAGES * PAGE_SIZE)

/* New memory: of zeros, or with any contents. */
u8 *fake_memory(void);
u8 *fake_memory_any(void);
void fake_memory_free(u8 *memory);

/* The number of a page, and its bytes. */
u64 fake_index(gpa_t gpa);
u8 *fake_page(struct fake_vm *vm, gpa_t gpa);

/* Contracts: struct migrate_dest_ops. What comes must be what the source keeps. */
int fake_expect(void *vm, gpa_t gpa, u64 pages);
int fake_supply(void *vm, gpa_t gpa, const void *bytes);
u64 fake_missing(void *vm);
bool fake_is_missing(void *vm, gpa_t gpa);
bool fake_wanted(void *vm, gpa_t *gpa);
void fake_ask_again(void *vm);
bool fake_waits(void *vm);

/* For how long it has run. Throttle it (struct migrate_source_ops). May it write to this page now? A new one must be
 * within the limit. */
u64 fake_ran(void *ctx);
int fake_throttle(void *ctx, u32 percent, u64 write_limit);
bool fake_may_write(struct fake_vm *vm, u64 page);

/* Contracts: struct migrate_source_ops. */
int fake_used(void *ctx, u64 *bitmap);
const struct dirty_counters *fake_log_counters(void *vm);
