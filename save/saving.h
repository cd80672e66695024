/* SPDX-License-Identifier: BSD-2-Clause */
/* Saves virtual machines of this machine into images, each over a connection of its own (docs/image.md). Host loop. */
#pragma once

#include "host/types.h"

struct tcp_stream;
struct vm;

struct save_request {
    bool live;   /* the guest goes on; else it is paused when the image is whole */
    bool verify; /* the image has a digest of all memory */
};

/* So many images were written and were restored here; so many ended early, or were refused. */
struct image_counters {
    u64 saved, restored, failed;
};

/* Begin to save a VM, which runs or is paused. The stream takes the image, and is closed at its end, or reset if the
 * image isn't whole. How it goes is in the history of moves (migration.h). Returns 0; or an error of migration_start,
 * with a constant text in *reason, and the stream stays the caller's. */
int saving_begin(struct vm *vm, const struct save_request *request, struct tcp_stream *stream, const char **reason);

struct image_counters *image_counters(void);
