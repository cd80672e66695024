/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers of the command table. Each is named after its command; command.h has their contract. */
#pragma once

struct call;

/* About the host: host_commands.c. */
int command_help(struct call *call);
int command_log(struct call *call);
int command_memory(struct call *call);
int command_stats(struct call *call);
int command_version(struct call *call);

/* About the network: net_commands.c. */
int command_net(struct call *call);

/* About virtual machines: vm_commands.c. */
int command_console(struct call *call);
int command_pause(struct call *call);
int command_poweroff(struct call *call);
int command_reset(struct call *call);
int command_resume(struct call *call);
int command_vm(struct call *call);
int command_vms(struct call *call);
