/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a stopped guest as bytes: the sections of docs/migration-stream.md "State", one after the other. So the
 * guest stands only while they are saved, and runs on while they are sent; and another machine keeps them apart until a
 * checkpoint is whole, and restores them as often as it likes.
 */
#pragma once

#include "dev/codec.h"
#include "stream/wire.h"

#define SECTIONS_ROOM (256u << 10) /* bytes of all sections of a guest; one with 8 vcpus has about 70 KiB */

/* Section `index` of a stopped VM. Saving: fill in its name and instance, and write its bytes; -ENOENT behind the last
 * section. The same state gives the same bytes. Restoring: `section` must have its name and instance, else -ENOENT;
 * -ENOTSUP: unknown version; -EINVAL: values refused. The codec has the error, with words. */
typedef void section_fn(void *vm, unsigned index, struct wire_section *section, struct codec *c);

struct sections {
    u8 *bytes; /* each section as the body of a STATE record: struct wire_section, then its bytes */
    size_t len;
    unsigned number;
    u64 digest; /* of all of them, as PREPARE has it */
};

/* Allocate room for the sections of a guest. Returns 0 or -ENOMEM. */
int sections_init(struct sections *sections);
void sections_fini(struct sections *sections);

/* Forget what is in it. */
void sections_clear(struct sections *sections);

/* Save all sections of a VM that stands, instead of what was in it. Returns 0, or -errno with the reason in words. */
int sections_save(struct sections *sections, section_fn *section, void *vm, char reason[WIRE_REASON]);

/* Add the body of a STATE record that has come. Returns 0; -EPROTO: it is malformed; or -ENOSPC: no guest has so much
 * state. */
int sections_add(struct sections *sections, const void *body, size_t len);

/* The body that begins at *at, which moves behind it; *at begins as 0. Returns the length of the body; 0: there is no
 * more. */
size_t sections_next(const struct sections *sections, size_t *at, const void **body);

/*
 * Restore all of them into a VM that stands. Returns 0, or the -errno of section_fn with the reason in words; then the
 * VM is partly changed, and takes other sections as before. That there are as many as the VM has is for the caller to
 * judge.
 */
int sections_restore(const struct sections *sections, section_fn *section, void *vm, char reason[WIRE_REASON]);
