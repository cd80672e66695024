/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host with two guests that exist in memory only, for programs that test control on this machine: status changes
 * by the rules of hv/vm.h, a console that echoes. "web" runs, "db" is paused.
 */
#pragma once

#include "host/types.h"

struct vm;

void fake_vms_init(void);
/* So much time has passed beside that of this machine. */
extern u64 fake_passed_ns;

struct vm *fake_vm(unsigned index);

/* The host work that was added last. */
extern u64 (*fake_host_work)(void);

/* The processor with that index, 0 or 1, has traced an event of the guest's vcpu 0; vm NULL: one of no guest. */
void fake_trace(u32 index, u64 tsc, const char *what, const struct vm *vm, u64 rip);

/* The guest sends bytes to its console. */
void fake_console_send(struct vm *vm, const char *bytes, size_t len);
