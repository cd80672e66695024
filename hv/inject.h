/* SPDX-License-Identifier: BSD-2-Clause */
/* Events on their way into a guest (SDM 3A "Interrupt and Exception Handling"). All on the vcpu's CPU, between runs. */
#pragma once

#include "host/types.h"

struct vcpu;

/*
 * Raise an exception. If another exception was being delivered, the two combine to #DF or to a triple fault, as on
 * hardware (SDM 3A "Interrupt 8"). If INT n or a similar instruction was delivering an event, that event is dropped,
 * and the exception becomes a fault of the instruction. If an interrupt or NMI was being delivered, the VM ends by
 * vm_crash. `error` counts only if the vector has an error code.
 */
void inject_exception(struct vcpu *vcpu, u8 vector, u32 error);
void inject_gp(struct vcpu *vcpu);

/* Called before an entry: inject the pending NMI, or else the pending interrupt, if no other event is to be delivered
 * and the guest can take it. If an interrupt stays pending, ask for the window. */
void inject_interrupts(struct vcpu *vcpu);
