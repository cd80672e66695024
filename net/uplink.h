/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network card of the host: one of two drivers behind a port of the switch.
 *
 * The card interrupts for the first frame, then it is polled until no frame is left: the handler only silences the card
 * and wakes the host loop, and a poll that finds the ring empty lets the card interrupt again.
 */
#pragma once

#include "host/types.h"
#include "net/port.h"

struct pci_host_function;

#define UPLINK_BUDGET 64 /* frames a poll, so that lwIP and guests get their turns */
#define UPLINK_BATCH 16  /* frames that the card is told of at once, at most: card and processor work side by side */

struct uplink {
    struct port port;
    const char *driver;
    u8 mac[MAC_LEN]; /* the card's own */
    /* Bring up to UPLINK_BUDGET frames to the switch. False: the ring is empty, and interrupts are on. Host loop. */
    bool (*poll)(struct uplink *uplink);
    /* From the interrupt handler: silence the card. Returns false if the interrupt was not the card's. No locks. */
    bool (*silence)(struct uplink *uplink);
    /* Tell the card about the frames that have been delivered since the last time. */
    void (*flush)(struct uplink *uplink);
    unsigned unflushed; /* frames */
    bool poll_wanted;   /* set by the handler, atomic */
    u64 interrupts, polls;
};

/* The drivers: each takes the card, or returns NULL with the reason in the log. */
struct uplink *e1000_probe(const struct pci_host_function *f);
struct uplink *virtio_uplink_probe(const struct pci_host_function *f);

/* The MAC of the card that joined the switch; NULL: there is none. */
const u8 *uplink_mac(void);

/* Find a card of the wanted kind (enum config_uplink), start it and join the switch. NULL: there is none. Boot, once.
 */
struct uplink *uplink_start(u32 wanted);

/*
 * The driver has put a frame into its ring. The card is told of UPLINK_BATCH frames at once, and of the rest at the end
 * of the host loop's round: a write to its register is slow, more so where the card is emulated.
 */
void uplink_delivered(void);

/* Tell the card now, if there are such frames. The last step of each round of host work. */
void uplink_flush(void);

/* A part of host work. True if the uplink wants another turn at once. */
bool uplink_poll(void);
