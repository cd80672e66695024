/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a migration needs of a virtual machine, on either end: the engine (source.c, dest.c) knows nothing else of it,
 * so that it moves real guests and a test's fake ones alike. All are called from the engine's step, one at a time.
 */
#pragma once

#include "host/stream.h"
#include "host/types.h"
#include "migrate/transport.h"
#include "migrate/wire.h"

/* What the source says of a VM, and the destination judges: RESERVE, unpacked. */
struct migrate_description {
    u8 vm_id[WIRE_ID];
    u64 epoch;           /* of this attempt */
    u64 spare;           /* destination: bytes of memory that would be freed for it */
    const void *instead; /* the same: the handle of a copy that would be, NULL: of none */
    struct wire_reserve head;
    struct wire_range range[WIRE_RANGES];
    struct wire_cpuid cpuid[WIRE_CPUID];
    struct wire_device device[WIRE_DEVICES];
};

/* Save section `index` of a stopped VM: name and instance, and its bytes into w. Returns 0, -ENOENT behind the last
 * one, or another -errno. The same state gives the same bytes. */
typedef int migrate_section_fn(void *vm, unsigned index, struct wire_section *section, struct writer *w);

struct migrate_source_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *vm);
    /* Fill in all but vm_id, epoch and flags. Returns 0 or -errno. */
    int (*describe)(void *vm, struct migrate_description *description);
    /* The page at gpa, mapped as long as the VM exists. */
    const void *(*page)(void *vm, gpa_t gpa);
    /* Dirty log. start: from now on every write is logged; 0, -EBUSY: it has another user, or another -errno. stop: a
     * part of its end; true: it is off, else asked again. Who frees the VM need not stop it. harvest: set the bits
     * (ram.h) of pages written since start or the last harvest, forget them, and flush translations so that later
     * writes are logged again; a part of it, -EAGAIN: asked again. */
    int (*log_start)(void *vm);
    bool (*log_stop)(void *vm);
    int (*harvest)(void *vm, u64 *bitmap);
    /* Keep its vcpus from running for so many percent of the time, 0 to 99, until told otherwise. */
    void (*throttle)(void *vm, u32 percent);
    /* Stop all vcpus outside the guest and quiesce devices: 0, -EAGAIN: not yet, asked again; or -errno. resume undoes
     * it, also while not yet, and opens the port: frames that came meanwhile are the guest's. gate shuts the port:
     * nothing that the guest has sent leaves any more.
     */
    int (*pause)(void *vm);
    void (*resume)(void *vm);
    void (*gate)(void *vm);
    migrate_section_fn *section;
    /* The owner's epoch, or with `peer` the one that the destination has or may have: kept, shown, logged. */
    void (*record)(void *vm, u64 epoch, bool peer);
    /* Another machine says that it owns it: stop it at once, however far a pause has come, and shut its port; kept
     * until resume or free. */
    void (*stand)(void *vm);
    /* It runs elsewhere: give up this copy. */
    void (*free)(void *vm);
    /* After free: take out the next Ethernet frame that reached this machine for it since it was paused. Returns its
     * length, at most `room`; 0: there is none now. */
    size_t (*frame)(void *vm, void *bytes, size_t room);
    /* Taken back by force: tell the network that it is here. */
    void (*announce)(void *vm);
    /* Open a connection to the destination: 0 and *transport, -EAGAIN: not yet, asked again; or -errno. */
    int (*connect)(void *vm, struct transport *transport);
};

struct migrate_dest_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *ctx);
    /* Would this VM be taken? Nothing is kept. Returns WIRE_OK, with warnings, or the code, with the reason in words.
     */
    enum wire_code (*check)(void *ctx, const struct migrate_description *description, struct wire_accepted *accepted,
                            char reason[WIRE_REASON]);
    /* Allocate all that it will need: RAM, whatever is in it, vcpus, devices; stopped, port shut. *vm is its handle. */
    enum wire_code (*create)(void *ctx, const struct migrate_description *description, void **vm,
                             char reason[WIRE_REASON]);
    /* The page at gpa, which is in the description's ranges. */
    u8 *(*page)(void *vm, gpa_t gpa);
    /* Load a section: 0, or -errno with the reason in words: -ENOENT unknown name, -ENOTSUP unknown version, -EINVAL
     * values refused. */
    int (*load)(void *vm, const struct wire_section *section, struct reader *r, char reason[WIRE_REASON]);
    /* Is everything there that it needs to run? WIRE_OK or the code. */
    enum wire_code (*ready)(void *vm, char reason[WIRE_REASON]);
    migrate_section_fn *section;
    /* Run it, port open: the guest had stood for paused_ns at `arrived` of now(). */
    void (*run)(void *vm, u64 paused_ns, u64 arrived);
    void (*announce)(void *vm, u64 epoch);
    /* Running: an Ethernet frame that reached its source meanwhile. Returns whether the guest's card has taken it. */
    bool (*frame)(void *vm, const void *bytes, size_t len);
    /* Outcome of an attempt, for the log: the copy here runs, or never will. */
    void (*record)(void *ctx, const u8 vm_id[WIRE_ID], u64 epoch, bool running);
    void (*free)(void *vm);
};
