/* SPDX-License-Identifier: BSD-2-Clause */
/* Of the world's guest: the files from which it starts, and its shutdown. */
#pragma once

#include "dev/codec.h"
#include "stream/wire.h"

struct guest_image;

#define FAKE_KERNEL 70001 /* bytes */
#define FAKE_INITRD 32768

int fake_shut_down(void *vm);
const struct guest_image *fake_image(void *vm);
void fake_definition(void *vm, unsigned index, struct wire_section *section, struct codec *c);
enum wire_code fake_defined(void *vm, char reason[WIRE_REASON]);
bool fake_start(void *vm, bool on, u64 down_ns);
bool fake_files_here(void *vm);

/* No file is kept. What the destination's machine has from its start: a bit for the kernel, one for the initrd; with
 * `full` it has no memory for more. */
void world_files(u32 has, bool full);

/* The last byte of the source's kernel changes; once more, and it is as it was. */
void world_damage(void);
