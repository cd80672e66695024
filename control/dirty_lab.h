/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log as an experiment that its guest steers (docs/lab-dirty.md): by a port the guest starts a log, ends a
 * round, and stops the log. So each round has the same writes whichever producer is on, and the hypervisor measures
 * what lies between two commands. Shared with tests/guests/lab.
 */
#pragma once

#include "host/bits.h"

struct config_vm;
struct vm;

/*
 * The guest writes a command, 4 bytes, and then reads until the answer is not LAB_BUSY: 0, or an errno. A round begins
 * when the guest has read its answer, or reads it again, and ends with the next command. All ones: there is no such
 * port.
 */
#define LAB_PORT 0xE8
#define LAB_BUSY 0x10000
#define LAB_COMMAND BITS(7, 0)
#define LAB_TABLES 1                  /* tell where the guest's page tables are */
#define LAB_TABLES_NUMBER BITS(15, 8) /* pages that lie together */
#define LAB_TABLES_PAGE BITS(31, 16)  /* the number of the first */
#define LAB_START 2
#define LAB_START_PRODUCER BITS(15, 8) /* enum dirty_producer; DIRTY_OFF: rounds without a log */
#define LAB_START_SPLIT BITS(23, 16)   /* enum dirty_split */
#define LAB_START_SMALL BIT(24)        /* the nested tables have small pages only when the log starts */
#define LAB_ROUND 3
#define LAB_ROUND_COMPARE BIT(8) /* compare all of memory, too */
#define LAB_STOP 4

/* Give this VM the port, if it is configured so. Before guest_power_on. Host loop. */
void dirty_lab_add(struct vm *vm, const struct config_vm *config);
