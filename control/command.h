/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands: one table, which the serial monitor, the HTTP API and through it the godwit tool all use. A command's
 * handler gets parsed values and writes JSON: it neither checks the form of its arguments nor prints. docs/control.md
 * tells how to add a command.
 *
 * Everything here runs in the host loop.
 */
#pragma once

#include "host/types.h"
#include "tls/tokens.h"

#define COMMAND_ARGS 3
#define COMMAND_LINE 256 /* bytes of a line of the monitor */
#define COMMAND_WORDS (COMMAND_ARGS + 1)

struct json;
struct vm;

enum arg_type {
    ARG_NONE,
    ARG_VM,      /* name of a virtual machine: value.vm */
    ARG_NUMBER,  /* min to max: value.number */
    ARG_LEVEL,   /* err, warn, info, debug: value.number, an enum log_level */
    ARG_COMMAND, /* name of a command: value.command */
    ARG_CHOICE,  /* one of `choices`: value.number, its index */
    ARG_TEXT,    /* anything: value.text */
};

struct command_arg {
    const char *name; /* also the name of the API's query parameter */
    enum arg_type type;
    bool optional;
    bool forces; /* who gives it knows what no hypervisor can know: that takes the role admin */
    u64 min, max;
    const char *const *choices; /* ends with NULL */
};

struct arg_value {
    bool given;
    u64 number;
    const char *text;
    struct vm *vm;
    const struct command *command;
};

/* One call of a command. */
struct call {
    const struct command *command;
    struct arg_value arg[COMMAND_ARGS];
    const char *file; /* of a command that takes one, file_len bytes: what came with the call; NULL: nothing can */
    size_t file_len;
    struct json *out; /* the handler writes the members of one object */
    bool no_news;     /* of a command that waits: the answer says nothing new */
    char error[360];  /* if it failed: what was wrong and what would be right */
};

struct command {
    const char *name;
    struct command_arg arg[COMMAND_ARGS]; /* the arguments that must be given come first */
    const char *help;
    u32 states;    /* states of a VM in which the command makes sense: bits, by shown_status(); 0: all */
    bool changes;  /* it changes something: POST in the API; that takes the role operate */
    bool attach;   /* after it, the monitor connects the person to the VM's console */
    bool deferred; /* it is only begun when the handler returns: 202 in the API */
    bool secret;   /* it takes a file of secrets: the body of a POST, by HTTPS alone; that takes the role admin */
    bool waits;    /* an answer without news can be put off: `wait` in the API */
    int (*run)(struct call *call); /* 0, or call_fail's error */
};

/* All commands, in the order in which help shows them. */
const struct command *command_table(size_t *count);

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/*
 * Run a command for somebody who has this role, with the file that *call has, and `count` words as its arguments; a
 * NULL word stands for an optional argument left out. Writes one object to out. Returns 0; or, with call->error filled,
 * -EINVAL (arguments), -ENOENT (no such VM), -EPERM (it takes another role), -EBUSY (not in its present state), or
 * another -errno (the command was tried and failed).
 */
int command_run(struct call *call, const struct command *command, enum token_role role, const char *const *words,
                unsigned count, struct json *out);

/* As command_run, with a line that is cut into words. Returns -ENOENT also for an unknown command. */
int command_line(struct call *call, enum token_role role, char *line, struct json *out);

/* The VM of that name. NULL: there is none, and call->error says so, where it has moved to, and which there are. */
struct vm *call_vm(struct call *call, const char *word);

/* Does call->command make sense for this VM in its present state? Returns 0, or -EBUSY with call->error filled.
 * command_run checks this for all commands but `console`: to show a console always makes sense, and the code that types
 * into one calls this function itself. */
int command_check(struct call *call, const struct vm *vm);

/* Fill call->error and return err. For handlers. */
int call_fail(struct call *call, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Fill text with how the command is called: "pause VM", "log [COUNT] [LEVEL]". */
void command_usage(const struct command *command, char *text, size_t room);
