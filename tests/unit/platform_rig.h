/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two machines with all devices of a guest, for tests that look at how devices work together or move: `old`, whose
 * guest may have used everything, and `new`, which is fresh. Time stands still unless the test moves it: rig.tsc.
 */
#pragma once

#include "dev/platform.h"
#include "hv/msr.h"
#include "hv/vcpu.h"

#define VCPUS 2
#define DEVICE_STATE 16384
#define PLATFORM_RIG_TSC_KHZ 2000000

struct machine {
    struct vm vm;
    struct vcpu vcpu[VCPUS];
};

struct platform_rig {
    struct machine old, new;
    u64 tsc; /* what the clocks read */
};

extern struct platform_rig rig;

/* For cmocka. Tests make the machines that they need. */
int platform_rig_setup(void **unused);
int platform_rig_teardown(void **unused);

/* A fresh machine. */
void machine_init(struct machine *machine);

/* Both, and the old one's guest uses everything. */
void machines_make(void);

/* What the old one's guest does. */
u8 pio_read(u16 port);
void pio_write(u16 port, u8 value);
void poke(u64 address, unsigned size, u64 value);
u32 config(unsigned slot, unsigned offset, bool write, u32 value);

/* Save a device and restore another one from it. Returns NULL, or what is wrong. Not one byte less will do; what was
 * refused does not stand in the way. */
const char *move(struct device *from, struct device *to);
struct device *device_of(struct list *node);
