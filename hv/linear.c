/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/linear.h"

#include <errno.h>

#include "hv/fetch.h"
#include "hv/inject.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "mm/guest_missing.h"

#define CANONICAL_BYTES 6 /* of an address; the upper bits repeat the highest of these */

/* An operand as at most two physical pieces. */
struct pieces {
    unsigned count;
    gpa_t gpa[2];
    unsigned len[2];
};

struct linear linear_init(struct vcpu *vcpu, const struct vcpu_state *state)
{
    return (struct linear){
        .vcpu = vcpu,
        .walk = fetch_walk_context(vcpu, state),
        .long_mode = fetch_mode(vcpu, state) == INSN_64,
    };
}

/* Translate all of the operand, and see that it is here, before any of it is touched: so a fault leaves nothing half
 * done. */
static int translate(const struct linear *linear, gva_t gva, unsigned size, enum walk_access access,
                     struct pieces *pieces)
{
    struct guest_mem *mem = &linear->vcpu->vm->mem;
    unsigned first = MIN(size, PAGE_SIZE - (gva & ~PAGE_MASK));
    int missing = 0;

    pieces->count = first < size ? 2 : 1;
    pieces->len[0] = first;
    pieces->len[1] = size - first;
    for (unsigned i = 0; i < pieces->count; i++) {
        gva_t address = i ? gva + first : gva;
        u32 error = 0;
        int err;

        if (linear->long_mode && sign_extend(address, CANONICAL_BYTES) != address) {
            inject_gp(linear->vcpu);
            return -EFAULT;
        }
        if (!linear->long_mode)
            address = (u32)address;
        err = guest_walk(mem, &linear->walk, address, access, &pieces->gpa[i], &error);
        if (err)
            return fetch_walk_failed(linear->vcpu, err, address, error);
        missing |= guest_mem_ask(mem, pieces->gpa[i], pieces->len[i]);
    }
    return missing ? fetch_walk_failed(linear->vcpu, missing, gva, 0) : 0;
}

/* One piece, RAM or device. Devices see powers of two only: an odd piece of a crossing access goes byte by byte. */
static void access_piece(struct vcpu *vcpu, gpa_t gpa, unsigned len, bool write, u8 *bytes)
{
    struct vm *vm = vcpu->vm;
    unsigned step = (len & (len - 1)) ? 1 : len;

    if (write ? !guest_write(&vm->mem, gpa, bytes, len) : !guest_read(&vm->mem, gpa, bytes, len))
        return;
    vcpu->ask_interrupts = true; /* a device may have raised or cleared an interrupt */
    spin_lock(&vm->device_lock);
    for (unsigned at = 0; at < len; at += step) {
        struct io io = { .vcpu = vcpu, .size = step, .write = write };

        if (write)
            __builtin_memcpy(&io.val, bytes + at, step);
        bus_access(&vm->mmio, gpa + at, &io);
        if (!write)
            __builtin_memcpy(bytes + at, &io.val, step);
    }
    spin_unlock(&vm->device_lock);
}

/* Read the operand into the low bytes of *value, or write it from there. */
static int access_all(const struct linear *linear, gva_t gva, unsigned size, enum walk_access access, u64 *value)
{
    struct pieces pieces;
    int err = translate(linear, gva, size, access, &pieces);

    for (unsigned i = 0; i < pieces.count && !err; i++)
        access_piece(linear->vcpu, pieces.gpa[i], pieces.len[i], access == WALK_WRITE, (u8 *)value + i * pieces.len[0]);
    return err;
}

int linear_read(void *context, u64 gva, unsigned size, u64 *value)
{
    *value = 0;
    return access_all(context, gva, size, WALK_READ, value);
}

int linear_write(void *context, u64 gva, unsigned size, u64 value)
{
    return access_all(context, gva, size, WALK_WRITE, &value);
}

int linear_probe_write(void *context, u64 gva, unsigned size)
{
    struct pieces pieces;

    return translate(context, gva, size, WALK_WRITE, &pieces);
}
