/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a move away, or an attempt to come here, is over. */
#pragma once

#include "stream/wire.h"

/* WIRE_OK: it is completed; WIRE_E_CANCEL: it was cancelled; else it has failed. */
struct outcome {
    enum wire_code code;
    const char *reason;
};

/* Nothing failed: the guest runs at the destination, or would be taken. */
static const struct outcome outcome_completed = { WIRE_OK, "" };
