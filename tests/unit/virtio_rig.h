/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM of RAM and two buses with a PCI bus, and a driver's hands: configuration space, registers, rings. What the
 * devices want of the hypervisor (interrupts, kicks, the switch) is counted and kept here.
 */
#pragma once

#include "dev/pci.h"
#include "dev/virtio_pci.h"
#include "hv/vm.h"
#include "net/port.h"

#define RIG_RAM (4ULL << 20)
#define RIG_QUEUE 8 /* entries */

struct rig {
    struct vm vm;
    struct pci_bus pci;
    bool line[24];
    u64 message_address;
    u32 message_data, messages, kicks;
    u32 inputs; /* frames that came into the switch, and the last of them */
    u8 input[FRAME_MAX];
    u32 input_len;
    bool congested; /* what switch_congested says */
    struct frame_offload offload;
    u32 cpus;               /* what cpu_count says; 1 at first */
    u64 clock_ns;           /* what it says */
    u64 ticks_per_ns;       /* of the clock; 0, as at first: whatever is to come later is due at once */
    void (*on_input)(void); /* called within switch_input; may be NULL */
};

extern struct rig rig;

/* cmocka fixtures. */
int rig_setup(void **unused);
int rig_teardown(void **unused);

/* Configuration space by the ports; buses. What nobody answers reads as ones. */
u32 rig_config_read(unsigned slot, unsigned offset, unsigned size);
void rig_config_write(unsigned slot, unsigned offset, unsigned size, u32 value);
u64 rig_mmio_read(u64 address, unsigned size);
void rig_mmio_write(u64 address, unsigned size, u64 value);

/* Address of BAR n of a slot, and both command bits on. */
u32 rig_bar(unsigned slot, unsigned n);
void rig_switch_on(unsigned slot);

/* The common configuration of the virtio device in a slot. */
u64 rig_common_read(unsigned slot, unsigned offset, unsigned size);
void rig_common_write(unsigned slot, unsigned offset, unsigned size, u64 value);

/* Bring a device up to FEATURES_OK with these features; false if that stays clear. Then `queues` queues and DRIVER_OK.
 */
bool rig_negotiate(unsigned slot, u64 features);
void rig_start(unsigned slot, unsigned queues);

/* Areas of queue n, and a place for buffers. */
gpa_t rig_desc(unsigned n);
gpa_t rig_avail(unsigned n);
gpa_t rig_used(unsigned n);
#define RIG_BUFFER 0x100000ULL

void rig_write(gpa_t gpa, const void *bytes, u64 len);
void rig_read(gpa_t gpa, void *bytes, u64 len);
void rig_set_desc(unsigned n, u16 index, u64 addr, u32 len, u16 flags, u16 next);

/* Make a chain available, and notify the device unless quietly. */
void rig_offer_quietly(unsigned n, u16 head);
void rig_offer(unsigned slot, unsigned n, u16 head);

/* Entries of the used ring, and the length in the entry before the last one. */
u16 rig_used_idx(unsigned n);
struct virtq_used_elem rig_used_elem(unsigned n, u16 index);

/* Save the PCI bus with all functions, wipe the devices by a reset, restore. Returns restore's result. */
int rig_save_and_restore(void);
