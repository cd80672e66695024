/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a processor is, and what it must not do there: the words that headers say of their callers, asserted in debug
 * images and nothing in others (docs/debug.md). host/lock.h has those of locks, hv/vcpu.h those of vcpus.
 */
#pragma once

#ifdef GODWIT_NETS
#include "host/cpu.h"
#include "host/panic.h"

/* "Host loop": on CPU 0. */
#define assert_host_loop() assert(this_cpu()->index == 0)

/* Before it enters a guest, sleeps or takes interrupts: whoever wants the lock would wait for as long. */
#define assert_no_lock() assert(this_cpu()->locks == 0)

/* Around a handler of a host interrupt, which takes no lock (host/traps.h). */
#define handler_begins() (void)(this_cpu()->in_handler = true)
#define handler_ends() (void)(this_cpu()->in_handler = false)
#else
#define assert_host_loop() ((void)0)
#define assert_no_lock() ((void)0)
#define handler_begins() ((void)0)
#define handler_ends() ((void)0)
#endif
