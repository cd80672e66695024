/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers of the command table. Each is named after its command; command.h has their contract. */
#pragma once

#include "net/tcp_address.h"

#define TRACE_ANSWER 1000 /* events of an answer of `trace`, at most */

struct call;

/* About the host: host_commands.c. */
int command_help(struct call *call);
int command_log(struct call *call);
int command_memory(struct call *call);
int command_stats(struct call *call);
int command_version(struct call *call);

/* About the network: net_commands.c. */
int command_net(struct call *call);
int command_net_test(struct call *call);
int command_query_net_test(struct call *call);

/* About keys: key_commands.c. */
int command_query_keys(struct call *call);
int command_keys_set(struct call *call);
int command_cipher(struct call *call);
int command_tokens_set(struct call *call);
int command_certificate_set(struct call *call);

/* About the witness: witness_commands.c. */
int command_witness(struct call *call);
int command_witness_test(struct call *call);

/* About protection: protect_commands.c. */
int command_protect(struct call *call);
int command_unprotect(struct call *call);
int command_failover(struct call *call);
int command_query_protect(struct call *call);

/* About moves: migrate_commands.c, migrate_query.c. */
extern const char *const resolve_actions[];
extern const char *const files_actions[];
int command_migrate(struct call *call);
int command_migrate_check(struct call *call);
int command_migrate_cancel(struct call *call);
int command_migrate_start_postcopy(struct call *call);
int command_pull(struct call *call);
int command_migrate_files(struct call *call);
int command_migrate_settle(struct call *call);
int command_query_migrate(struct call *call);
/* Did the last move of that name take it away from here? Then `to` says where. */
bool query_moved_away(const char *name, char to[TCP_ADDRESS_TEXT]);
int command_migrate_set_parameters(struct call *call);
int command_query_migrate_parameters(struct call *call);
int command_query_peers(struct call *call);
int command_resolve(struct call *call);

/* About the pages that a guest writes: dirty_commands.c. */
int command_calc_dirty_rate(struct call *call);
int command_query_dirty_rate(struct call *call);
int command_dirty_trace(struct call *call);
int command_dirty_trace_stop(struct call *call);
int command_query_dirty_trace(struct call *call);

/* About virtual machines: vm_commands.c. */
extern const char *const shutdown_late[];
int command_console(struct call *call);
int command_create(struct call *call);
int command_forget(struct call *call);
int command_pause(struct call *call);
int command_poweroff(struct call *call);
int command_reset(struct call *call);
int command_power_button(struct call *call);
int command_resume(struct call *call);
int command_shutdown(struct call *call);
int command_suspend(struct call *call);
int command_start(struct call *call);
int command_trace(struct call *call); /* trace_commands.c */
int command_vm(struct call *call);
int command_vms(struct call *call);
