/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers that are longer than a few lines. Only the table in exit.c calls them. Each acts on vcpu->exit. */
#pragma once

struct vcpu;

void exit_io(struct vcpu *vcpu);     /* exit_io.c */
void exit_cr(struct vcpu *vcpu);     /* exit_cr.c */
void exit_xsetbv(struct vcpu *vcpu); /* exit_cr.c */
void exit_npf(struct vcpu *vcpu);    /* exit_npf.c */
