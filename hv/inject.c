/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/inject.h"

#include "hv/vcpu.h"
#include "hv/vm.h"

#define CONTRIBUTORY (BIT(VECTOR_DE) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP))

/* SDM 3A table "Conditions for Generating a Double Fault". */
static bool makes_double_fault(u8 first, u8 second)
{
    if (first == VECTOR_PF)
        return second == VECTOR_PF || (BIT(second) & CONTRIBUTORY);
    return (BIT(first) & CONTRIBUTORY) && (BIT(second) & CONTRIBUTORY);
}

void inject_exception(struct vcpu *vcpu, u8 vector, u32 error)
{
    struct event *event = &vcpu->event;

    /* After the return from the exception the guest executes the instruction again. */
    if (event_is_by_instruction(event))
        event->valid = false;
    if (event->valid && event->type != EVENT_EXCEPTION) {
        /* Our emulation never runs during the delivery of an interrupt: exit_npf has stopped such a guest. */
        vm_crash(vcpu, "exception %u while event %u of type %u was being delivered", vector, event->vector,
                 event->type);
        return;
    }
    if (event->valid && event->vector == VECTOR_DF) {
        vm_triple_fault(vcpu, "triple fault: exception %u while #DF was being delivered", vector);
        return;
    }
    if (event->valid && makes_double_fault(event->vector, vector)) {
        vector = VECTOR_DF;
        error = 0;
    }
    *event = (struct event){
        .valid = true,
        .type = EVENT_EXCEPTION,
        .vector = vector,
        .has_error = BIT(vector) & VECTORS_WITH_ERROR_CODE,
        .error = error,
    };
    /* A fault restarts its instruction, so RF is set in the pushed image (SDM 3B "Debug Exceptions"); a trap such as
     * #DB is not restarted. */
    if (vector != VECTOR_DB)
        vcpu->rflags |= RFLAGS_RF;
}

void inject_gp(struct vcpu *vcpu)
{
    inject_exception(vcpu, VECTOR_GP, 0);
}

void inject_interrupts(struct vcpu *vcpu)
{
    int vector;

    if (vcpu->nmi_pending && !vcpu->nmi_blocked && !vcpu->event.valid && vcpu->shadow == SHADOW_NONE) {
        vcpu->nmi_pending = false;
        vcpu->event = (struct event){ .valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI };
    }
    if (!vcpu->interrupt_pending)
        return;
    if (vcpu->event.valid || vcpu->shadow != SHADOW_NONE || !(vcpu->rflags & RFLAGS_IF)) {
        vcpu->want_window = true;
        return;
    }
    vector = vcpu->interrupts->ack(vcpu);
    vcpu->ask_interrupts = true;
    if (vector < 0)
        return;
    vcpu->interrupts_injected++;
    vcpu->event = (struct event){ .valid = true, .type = EVENT_INTERRUPT, .vector = vector };
}
