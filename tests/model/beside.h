/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that C code has beside a model: spin goes back and takes another way, so the memory of the C code has to go back,
 * too. The difference to how it was at the beginning is kept for each step of the way that spin is on, in a
 * stack of which spin knows the top, beside_at, and restores it. beside_essence is what of that memory decides how the
 * C code goes on: two ways that come to the same state of the model, and to the same essence, go on as one.
 */
#pragma once

#include <stddef.h>

extern unsigned beside_at;
extern unsigned long beside_essence;

/* This memory, and what malloc returns from now on unless it is large, belongs to the C code. */
void beside_watch(void *memory, size_t bytes);

/* All is as it is to be at the beginning. */
void beside_begin(void);

/* The memory is as it was when spin was here. Look at it; or take a step between beside_enter and beside_leave. */
void beside_look(void);
void beside_enter(void);
void beside_leave(void);
