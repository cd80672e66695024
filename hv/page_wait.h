/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vcpus that wait for missing pages of their VM's RAM (mm/guest_missing.h). Whoever finds that a vcpu cannot go on
 * without a page calls page_wait_begin, before anything has happened that the guest could notice. The vcpu leaves its
 * CPU to others, and executes its instruction again when the page is here. Interrupts, INIT and NMIs wait with it.
 */
#pragma once

#include "host/types.h"

struct vcpu;
struct vm;

#define PAGE_WAIT_BUCKETS 24

/* In struct vcpu. */
struct page_wait {
    u64 page;      /* of RAM, for which it waits, or has waited last; other CPUs read it */
    u64 since;     /* clock_ns at which the vcpu began to wait; 0: it does not. vm->lock guards this and what follows */
    u64 count, ns; /* waits that are over, and how long they took */
};

/* In struct vm; vm->lock guards it. */
struct page_waits {
    u32 waiting;                    /* vcpus that wait now */
    u64 since, ns;                  /* when the last vcpu began to wait, too; how long all of them waited together, the
                                       time in which the VM was behind included */
    u64 latency[PAGE_WAIT_BUCKETS]; /* waits of [2^(n-1), 2^n) microseconds; [0]: of less than one; the last: longer */
};

/* The vcpu needs the page that its CPU has asked for last: wait for it. On the vcpu's CPU. */
void page_wait_begin(struct vcpu *vcpu);

/* If the vcpu waits, it does so no more: its page is here, or it is reset. The status is left to the vcpu's CPU. Any
 * CPU. */
void page_wait_end(struct vcpu *vcpu);

/* A page has come, as guest_mem_supply says; wake the vcpus and the devices that wait for it. Host loop. */
int vm_page_supply(struct vm *vm, u64 page, const void *bytes);
