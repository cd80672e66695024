/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers that are more than a few lines; exit.c's table calls them, nobody else. Each acts on vcpu->exit. */
#pragma once

struct vcpu;

void exit_io(struct vcpu *vcpu);     /* exit_io.c */
void exit_cr(struct vcpu *vcpu);     /* exit_cr.c */
void exit_xsetbv(struct vcpu *vcpu); /* exit_cr.c */
void exit_npf(struct vcpu *vcpu);    /* exit_npf.c */
