/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a migration needs of a virtual machine, on either end. The engine (source.c, dest.c) knows nothing else of a VM,
 * so it moves real guests and a test's fake ones alike. All functions are called from the engine's step, one at a time.
 */
#pragma once

#include "dev/codec.h"
#include "hv/guest_image.h"
#include "host/types.h"
#include "stream/ram_digest.h"
#include "stream/sections.h"
#include "stream/transport.h"
#include "stream/wire.h"
#include "mm/dirty.h"
#include "migrate/protect.h"

/* What the source says of a VM and the destination judges: the record RESERVE, unpacked. */
struct migrate_description {
    u8 vm_id[WIRE_ID];
    u64 epoch;           /* of this attempt */
    u64 spare;           /* destination: bytes of memory that would be freed for it */
    const void *instead; /* destination: the handle of the copy that would be freed, NULL: none */
    const char *from;    /* destination: whose it is, "ADDRESS:PORT" or "NAME@ADDRESS:PORT" */
    unsigned moves;      /* destination: guests from there that would be on their way here, with this one */
    u64 held;            /* destination: bytes that these would hold */
    struct wire_reserve head;
    struct wire_range range[WIRE_RANGES];
    struct wire_cpuid cpuid[WIRE_CPUID];
    struct wire_device device[WIRE_DEVICES];
};

struct migrate_source_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *vm);
    /* Fill in all of the description but vm_id, epoch and flags. Returns 0 or -errno. */
    int (*describe)(void *vm, struct migrate_description *description);
    /* The page at gpa, mapped as long as the VM exists. NULL: after the last harvest it was untouched, and so zeros. */
    ram_page_fn *page;
    /* Bytes from gpa on, one page or more, that are as the page there, which `page` has looked at last: untouched, or
     * not. */
    u64 (*alike)(void *vm, gpa_t gpa);
    /* The dirty log. log_start: from now on every write is logged. Returns 0; -EBUSY: the log has another user; or
     * another -errno. log_stop: do a part of ending the log; returns true when it is off, else the engine calls again.
     * A caller that frees the VM need not stop the log. harvest: set the bits (ram.h) of the pages written since the
     * start or the last harvest, forget these pages, and flush translations so that later writes are logged again. It
     * does a part of that and returns -EAGAIN, and the engine calls again, until it returns 0. */
    int (*log_start)(void *vm);
    bool (*log_stop)(void *vm);
    int (*harvest)(void *vm, u64 *bitmap);
    /* Look which pages the guest uses: set the bits of those that it has used since the look before (NULL: only look),
     * while it runs and is logged. Does a part of that and returns -EAGAIN, and the engine calls again, until it
     * returns 0; or another -errno: nothing tells. */
    int (*used)(void *vm, u64 *bitmap);
    /* ns for which its vcpus have run so far, all together. */
    u64 (*ran)(void *vm);
    /* What the dirty log has counted since the VM was made. */
    const struct dirty_counters *(*log_counters)(void *vm);
    /* Until the next call keep the vcpus from running for so many percent of the time, 0 to 99, and let them write to
     * at most so many new pages a second (0: any). Returns 0, or -errno: the dirty log can't tell writers, or is lost.
     */
    int (*throttle)(void *vm, u32 percent, u64 write_limit);
    /* pause: stop all vcpus outside the guest and quiesce the devices. Returns 0; -EAGAIN: not yet, since the guest is
     * being reset, or about to be: the engine calls again; or -errno. resume undoes that, even before pause has
     * returned 0, and opens the port: the guest gets the frames that came meanwhile. Of a guest that was not paused it
     * asks nothing. gate shuts the port: nothing that the guest has sent leaves any more. */
    int (*pause)(void *vm);
    void (*resume)(void *vm);
    void (*gate)(void *vm);
    section_fn *section;
    /* A guest that starts anew at the destination. shut_down: see to it that it shuts down, and how far that has come:
     * 0: it has ended, or did not run; -EAGAIN: not yet, the engine calls again; -ETIMEDOUT: not in time, and it runs
     * on; -ECANCELED: it has started anew instead. A resume starts it again, if it is to run there. definition: as
     * section, of what the VM is, without its machine's state. */
    int (*shut_down)(void *vm);
    section_fn *definition;
    /* What it starts from. */
    const struct guest_image *(*image)(void *vm);
    /* Keep, show and log an epoch: this machine's as owner, or with `peer` the one that the destination has or may
     * have. A line takes time: no guest stands for it, for it has been resumed, or COMMIT has been sent. */
    void (*note_epoch)(void *vm, u64 epoch, bool peer);
    /* Another machine says that it owns the VM: stop the VM at once, however far a pause has come, shut its port, and
     * keep it until resume or leave. */
    void (*stand)(void *vm);
    /* The guest runs elsewhere, and pages of it are here alone: keep the memory, and frames for the guest that reach
     * this machine for `frame`. resume and leave may follow. */
    void (*depart)(void *vm);
    /* The guest has left, and runs elsewhere: the copy here is never run or read again, and frames for the guest that
     * reach this machine are kept for `frame`. The VM may be freed. */
    void (*leave)(void *vm);
    /* After leave or depart: take out the next Ethernet frame for the guest that has reached this machine since the
     * guest was paused. Returns its length, at most `room`; 0: there is no frame now. */
    size_t (*frame)(void *vm, void *bytes, size_t room);
    /* The guest was taken back by force: tell the network that it is here. */
    void (*announce)(void *vm);
    /* Of memory that was lent to connections which are closed now, nothing is read any more. */
    void (*reclaim)(void *vm);
    /* Of a protected guest: this has happened. Contract: enum protect_event. */
    int (*protect)(void *vm, enum protect_event event, u64 number);
    /* Open a connection to the destination. Returns 0 and *transport; -EAGAIN: not yet, the engine calls again; or
     * -errno. */
    int (*connect)(void *vm, struct transport *transport);
};

struct migrate_dest_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *ctx);
    /* Would this VM be taken? Allocates nothing. Returns WIRE_OK, with warnings in *accepted; or the code, with the
     * reason in words. */
    enum wire_code (*check)(void *ctx, const struct migrate_description *description, struct wire_accepted *accepted,
                            char reason[WIRE_REASON]);
    /* Is there memory for this VM, or will no more come free? If not, a part of what guests that have gone had is
     * freed, and the engine calls again. */
    bool (*room)(void *ctx, const struct migrate_description *description);
    /* Allocate all that the VM will need: RAM (zeros), vcpus, devices. The VM is stopped and its port shut. *vm is its
     * handle. Returns WIRE_OK, or the code with the reason in words. */
    enum wire_code (*create)(void *ctx, const struct migrate_description *description, void **vm,
                             char reason[WIRE_REASON]);
    /* The page at gpa, which is in the description's ranges; look: for reading, NULL if it is untouched. */
    u8 *(*page)(void *vm, gpa_t gpa);
    ram_page_fn *look;
    /* Does the VM have everything that it needs to run? Returns WIRE_OK, or the code with the reason. open: if so, its
     * port takes frames, and they are kept for the guest. */
    enum wire_code (*ready)(void *vm, char reason[WIRE_REASON]);
    void (*open)(void *vm);
    section_fn *section; /* in both directions */
    /* Run the VM and open its port: at the time `arrived` of now(), the guest had stood still for paused_ns. Are the
     * files from which it starts to follow it? */
    void (*run)(void *vm, u64 paused_ns, u64 arrived, bool files_follow);
    /* A guest that starts anew here. definition: the counterpart of the source's. defined: as ready. start: the VM is
     * one of this machine now, and is started if `on` says so, now or when it may be; its guest has been down for
     * down_ns. Returns whether it runs. */
    section_fn *definition;
    enum wire_code (*defined)(void *vm, char reason[WIRE_REASON]);
    bool (*start)(void *vm, bool on, u64 down_ns);
    /* Take up what has come of the files from which it starts. Are all of them here? */
    bool (*files_here)(void *vm);
    void (*announce)(void *vm, u64 epoch);
    /* Pages that are at the source alone. expect: these are missing from now on, whatever has come of them before; the
     * VM does not run yet. Returns 0 or -ENOMEM. supply: one has come, with these contents or (NULL) zeros. Returns 0;
     * -EEXIST: it was here; or -ENOMEM. missing: how many there are. is_missing: is this page, which is RAM? wanted:
     * take out the next page that something waits for; returns whether there is one. ask_again: what was taken out and
     * is still missing will be returned once more. waits: does something wait for a page, taken out or not? */
    int (*expect)(void *vm, gpa_t gpa, u64 pages);
    int (*supply)(void *vm, gpa_t gpa, const void *bytes);
    u64 (*missing)(void *vm);
    bool (*is_missing)(void *vm, gpa_t gpa);
    bool (*wanted)(void *vm, gpa_t *gpa);
    void (*ask_again)(void *vm);
    bool (*waits)(void *vm);
    /* The guest runs here: give it an Ethernet frame that reached its source meanwhile. Returns whether the guest's
     * card has taken the frame. */
    bool (*frame)(void *vm, const void *bytes, size_t len);
    /* A copy that is kept up to date: this has happened. Contract: enum protect_event. owner: this machine's number. */
    void (*protect)(void *vm, enum protect_event event, u64 number);
    u64 (*owner)(void *ctx);
    /* Log the outcome of an attempt: the copy here runs, or never will. */
    void (*note_epoch)(void *ctx, const u8 vm_id[WIRE_ID], u64 epoch, bool running);
    void (*free)(void *vm);
};
