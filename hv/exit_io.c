/* SPDX-License-Identifier: BSD-2-Clause */
/* IN, OUT and their string forms. A REP goes on in chunks, so that a long one delays neither interrupts nor the other
 * vcpus of the CPU. */
#include "hv/backend.h"
#include "hv/insn_exec.h"
#include "hv/linear.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define STRING_CHUNK 64 /* iterations an exit */

static void port_access(struct vcpu *vcpu, struct io *io)
{
    struct vm *vm = vcpu->vm;

    vcpu->ask_interrupts = true; /* a device may have raised or cleared an interrupt */
    spin_lock(&vm->device_lock);
    bus_access(&vm->pio, vcpu->exit.u.io.port, io);
    spin_unlock(&vm->device_lock);
}

/* The linear address of the string's current element. */
static u64 string_address(const struct vcpu *vcpu, const struct vcpu_state *state, const struct linear *linear)
{
    const struct exit *exit = &vcpu->exit;
    unsigned seg = exit->u.io.in ? SEG_ES : exit->u.io.seg;
    u64 offset = vcpu->regs[exit->u.io.in ? RDI : RSI] & size_mask(exit->u.io.addr_size);

    if (!linear->long_mode)
        return (u32)(state->seg[seg].base + offset);
    return seg == SEG_FS || seg == SEG_GS ? state->seg[seg].base + offset : offset;
}

/* One element; false if a fault has been injected or the vcpu waits for a page. */
static bool string_step(struct vcpu *vcpu, const struct vcpu_state *state, struct linear *linear)
{
    const struct exit *exit = &vcpu->exit;
    u64 address = string_address(vcpu, state, linear);
    struct io io = { .vcpu = vcpu, .size = exit->u.io.size, .write = !exit->u.io.in };

    /* INS must not consume from the device before its destination is known to be writable, and here. */
    if (exit->u.io.in && linear_probe_write(linear, address, io.size))
        return false;
    if (!exit->u.io.in && linear_read(linear, address, io.size, &io.val))
        return false;
    port_access(vcpu, &io);
    if (exit->u.io.in && linear_write(linear, address, io.size, io.val))
        return false;

    u64 *index = &vcpu->regs[exit->u.io.in ? RDI : RSI], *count = &vcpu->regs[RCX];

    gpr_write(index, exit->u.io.addr_size, vcpu->rflags & RFLAGS_DF ? *index - io.size : *index + io.size);
    if (exit->u.io.rep)
        gpr_write(count, exit->u.io.addr_size, *count - 1);
    return true;
}

static void io_string(struct vcpu *vcpu)
{
    const struct exit *exit = &vcpu->exit;
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_CR | STATE_SEGMENTS);

    struct linear linear = linear_init(vcpu, &state);
    u64 mask = size_mask(exit->u.io.addr_size);
    u64 count = exit->u.io.rep ? vcpu->regs[RCX] & mask : 1;
    u64 now = MIN(count, STRING_CHUNK);

    for (u64 i = 0; i < now; i++)
        if (!string_step(vcpu, &state, &linear) || !vm_alive(vcpu->vm))
            return;
    if (count == now)
        vcpu_skip(vcpu);
}

void exit_io(struct vcpu *vcpu)
{
    const struct exit *exit = &vcpu->exit;

    if (exit->u.io.string) {
        io_string(vcpu);
        return;
    }
    struct io io = {
        .vcpu = vcpu,
        .size = exit->u.io.size,
        .write = !exit->u.io.in,
        .val = vcpu->regs[RAX] & size_mask(exit->u.io.size),
    };

    port_access(vcpu, &io);
    if (exit->u.io.in)
        gpr_write(&vcpu->regs[RAX], io.size, io.val);
    vcpu_skip(vcpu);
}
