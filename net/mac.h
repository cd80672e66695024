/* SPDX-License-Identifier: BSD-2-Clause */
/* The MAC that a VM gets when it is given none, and MACs as text. Pure. */
#pragma once

#include "net/port.h"

/*
 * The MAC of a VM that was given none: a locally administered one, made of the MAC of the host's card and the VM's
 * name. So the VM has the same MAC after each boot, and another one on each host. `card`: NULL without a card.
 */
void mac_default(u8 mac[MAC_LEN], const u8 *card, const char *name);

#define MAC_TEXT 18
struct mac_text {
    char text[MAC_TEXT];
};

/* "52:54:00:12:34:56". */
struct mac_text mac_text(const u8 mac[MAC_LEN]);
