/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's writes to the registers that decide its mode. Each function checks the value as a processor does. It either
 * changes the vcpu, or returns false: then the caller injects #GP(0). On the vcpu's CPU, between runs.
 */
#pragma once

#include "host/types.h"

struct vcpu;

bool control_write_cr0(struct vcpu *vcpu, u64 value);
bool control_write_cr3(struct vcpu *vcpu, u64 value);
bool control_write_cr4(struct vcpu *vcpu, u64 value);
bool control_write_efer(struct vcpu *vcpu, u64 value);
