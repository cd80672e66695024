/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A dirty trace: which pages a guest writes in each interval of a while, without a migration. One virtual machine at a
 * time is traced. The trace is a stream of bytes, which somebody takes while it is made; docs/dirty-trace.md has the
 * format. If it is taken slowly, the interval goes on until there is room for what it brings: no write is lost. If
 * nobody takes any of it for DIRTY_TRACE_PATIENCE_MS and there is no room, it ends, cut off.
 *
 * Everything here runs in the host loop.
 */
#pragma once

#include "config/config.h"
#include "host/types.h"
#include "mm/dirty.h"

#define DIRTY_TRACE_KEPT KiB(256) /* bytes of the stream that wait to be taken, at most */
#define DIRTY_TRACE_PATIENCE_MS 10000

struct vm;

enum dirty_trace_status { DIRTY_TRACE_UNSTARTED, DIRTY_TRACE_TRACING, DIRTY_TRACE_ENDED };

struct dirty_trace {
    enum dirty_trace_status status;
    u64 number; /* of this trace, from 1 at boot */
    char vm[CONFIG_NAME];
    enum dirty_producer producer;
    u32 every_ms, for_ms;
    u64 intervals, pages; /* intervals in the stream; pages written, summed over them */
    u64 put, taken;       /* bytes of the stream that were made, and that were taken */
    char reason[40];      /* why it has ended, in words */
};

/* Begin to trace, for `for_ms` milliseconds, with a harvest each `every_ms`. A trace that has ended is forgotten.
 * Returns 0, -EBUSY (a trace is under way, or the VM's dirty log is in use), -EINVAL (a time is 0), -ENOMEM, or the
 * error of vm_dirty_start. */
int dirty_trace_start(struct vm *vm, u32 every_ms, u32 for_ms);

/* End the trace now: the interval that has begun still comes into the stream, if that is taken. Returns 0, or -EINVAL:
 * there is none. */
int dirty_trace_stop(void);

/* The trace that is under way, else the last one. */
const struct dirty_trace *dirty_trace_query(void);

/* Somebody has the bytes before number `offset`, and wants those that follow: the former are forgotten. */
void dirty_trace_take(u64 offset);

/* Copy up to `room` bytes of the stream to `bytes`, from byte number *offset on. If bytes from there on are forgotten
 * already, *offset becomes the number of the first that is not. Returns how many bytes were copied. Nothing changes. */
size_t dirty_trace_read(u64 *offset, char *bytes, size_t room);
