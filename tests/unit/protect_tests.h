/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the driver of protection do again and again, with the guest of tests/unit/protect_rig.h. */
#pragma once

#include "protect/protected.h"
#include "tests/unit/protect_rig.h"

extern struct protection *p; /* the guest's */

/* As the configuration says: at the machine of the two that is not this one. The first of a group. */
int protect_begin(void **state);

/* Another guest. */
void reset(bool with_witness);

/* So many ms pass, in steps of 10. */
void pass(unsigned ms);

/* Was this ordered since it was asked for last? */
bool was_ordered(enum protect_order order);

/* A guest that is protected here; a checkpoint of it is acknowledged. */
void protect(void);
void checkpoint(u64 number);

/* A copy that is prepared here. */
void stand_by(void);
