/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assertions on the context of a call: header comments say where a function may be called ("Host loop"), and debug
 * images assert it; other images do nothing (docs/debug.md). host/lock.h asserts on locks, hv/vcpu.h on vcpus.
 */
#pragma once

#ifdef GODWIT_NETS
#include "host/cpu.h"
#include "host/panic.h"

/* "Host loop": on CPU 0. */
#define assert_host_loop() assert(this_cpu()->index == 0)

/* Before a CPU enters a guest, sleeps or takes interrupts: a CPU that wants its lock would have to wait for as long. */
#define assert_no_lock() assert(this_cpu()->locks == 0)

/* Called around a handler of a host interrupt; a handler takes no lock (host/traps.h). */
#define handler_begins() (void)(this_cpu()->in_handler = true)
#define handler_ends() (void)(this_cpu()->in_handler = false)
#else
#define assert_host_loop() ((void)0)
#define assert_no_lock() ((void)0)
#define handler_begins() ((void)0)
#define handler_ends() ((void)0)
#endif
