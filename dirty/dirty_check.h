/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A check of the dirty log (docs/dirty-log.md): it migrates a VM into a copy in this machine's own memory. At the end
 * of every round the VM is held and all of its memory compared with the copy. A page that differs, and that the log did
 * not name, was missed.
 */
#pragma once

struct config_vm;
struct vm;

/* Check the log of this VM from now on, if and as its configuration says. Before its vcpus run. Host loop. */
void dirty_check_add(struct vm *vm, const struct config_vm *config);
