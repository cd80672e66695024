/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle of the dirty log (docs/dirty-log.md): a migration into a copy in this machine's own memory. Every round
 * ends with the VM held and all of its memory compared with the copy; a page that differs and was not logged was
 * missed.
 */
#pragma once

struct config_vm;
struct vm;

/* Check the log of this VM as its configuration says, if it says so. Before vm_start. Host loop. */
void dirty_check_add(struct vm *vm, const struct config_vm *config);
