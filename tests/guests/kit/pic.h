/* SPDX-License-Identifier: BSD-2-Clause */
/* The PC's interrupt controllers: the 8259 pair and the I/O APIC. */
#pragma once

#include "host/types.h"

#define PIC_VECTOR 0x60 /* of line 0 */

/* 8259s: initialized with vectors from PIC_VECTOR, all masked; then one line let through. The end of an interrupt on
 * `line`. */
void pic_init(void);
void pic_unmask(unsigned line);
void pic_mask_all(void);
void pic_eoi(unsigned line);

/* I/O APIC: entry of a pin. */
#define PIN_LEVEL 0x8000U
#define PIN_REMOTE_IRR 0x4000U
#define PIN_MASKED 0x10000U
void pin_set(unsigned pin, u8 vector, u32 flags);
u32 pin_get(unsigned pin);
