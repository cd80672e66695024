/* SPDX-License-Identifier: BSD-2-Clause */
/* Events on their way into a guest (SDM 3A "Interrupt and Exception Handling"). All on the vcpu's CPU, between runs. */
#pragma once

#include "host/types.h"

struct vcpu;

/*
 * Raise an exception. If another exception was being delivered, the two combine to #DF or to a triple fault, as on
 * hardware (SDM 3A "Interrupt 8"); what INT n and its like were delivering gives way, and the exception is a fault of
 * that instruction. An interrupt or NMI that was being delivered ends the VM.
 */
void inject_exception(struct vcpu *vcpu, u8 vector);
void inject_exception_error(struct vcpu *vcpu, u8 vector, u32 error);
void inject_gp(struct vcpu *vcpu);
void inject_page_fault(struct vcpu *vcpu, u64 address, u32 error);

/* Before entry: if nothing else is to be delivered, take the pending NMI or the pending interrupt if the guest can take
 * it, else ask for the window. */
void inject_interrupts(struct vcpu *vcpu);
