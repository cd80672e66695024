/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/wire.h"

#include "host/bits.h"

const char *wire_code_name(enum wire_code code)
{
    static const char *const names[] = {
        [WIRE_OK] = "ok",           [WIRE_E_VERSION] = "version",   [WIRE_E_FEATURE] = "feature",
        [WIRE_E_STREAM] = "stream", [WIRE_E_MEMORY] = "memory",     [WIRE_E_NAME] = "name",
        [WIRE_E_BUSY] = "busy",     [WIRE_E_REPLAY] = "replay",     [WIRE_E_CPU] = "cpu",
        [WIRE_E_DEVICE] = "device", [WIRE_E_STATE] = "state",       [WIRE_E_DAMAGED] = "damaged",
        [WIRE_E_DIGEST] = "digest", [WIRE_E_CANCEL] = "cancel",     [WIRE_E_TIMEOUT] = "timeout",
        [WIRE_E_LINK] = "link",     [WIRE_E_CONVERGE] = "converge", [WIRE_E_INTERNAL] = "internal",
        [WIRE_E_MAC] = "mac",       [WIRE_E_RIGHTS] = "rights",
    };

    /* The code may come from a peer. */
    return code < ARRAY_SIZE(names) ? names[code] : "unknown";
}
