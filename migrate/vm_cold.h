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
    bool asked;   /* its guest was asked to shut down for it */
};

int vm_cold_shut_down(struct vm *vm, struct vm_cold *cold);
/* The move has failed: start it again, if it has shut down for that and was to run there. */
void vm_cold_resume(struct vm *vm, struct vm_cold *cold);

void vm_cold_section(struct vm *vm, unsigned index, struct wire_section *section, struct codec *c);
enum wire_code vm_cold_defined(struct vm *vm, char reason[WIRE_REASON]);
void vm_cold_start(struct vm *vm, bool on);
