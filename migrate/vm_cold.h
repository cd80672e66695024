/* SPDX-License-Identifier: BSD-2-Clause */
/* A real VM that starts anew at the destination: its shutdown at the source, what it is (without its machine's state)
 * as sections, and its start. Contracts: migrate/vm_ops.h. Host loop. */
#pragma once

#include "dev/codec.h"
#include "stream/wire.h"

struct vm;

/* What is asked of a cold move. */
struct vm_cold {
    bool on;      /* the move is one */
    bool stopped; /* the guest is not started at the destination */
    bool force;   /* power it off if it does not shut down in time */
    u32 timeout;  /* seconds */
    u64 asked;    /* its guest was asked to shut down for it: struct shutdown; 0: it was not */
    bool again;   /* the move has failed since: start it again when it has shut down */
};

int vm_cold_shut_down(struct vm *vm, struct vm_cold *cold);
/* The move has failed: start it again, now or when vm_cold_poll finds that it has shut down, if it was asked for the
 * move and was to run there; not if the operator has ended it, or has asked it since, or it has not ended in time. Its
 * end is not forced any more. */
void vm_cold_resume(struct vm *vm, struct vm_cold *cold);
void vm_cold_poll(struct vm *vm, struct vm_cold *cold);

void vm_cold_section(void *ctx, unsigned index, struct wire_section *section, struct codec *c);
enum wire_code vm_cold_defined(void *ctx, char reason[WIRE_REASON]);
bool vm_cold_start(struct vm *vm, bool on);
