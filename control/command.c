/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table; then the code that uses it to make values of words. Only this code complains about arguments, so all
 * commands complain alike.
 */
#include "control/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/commands.h"
#include "control/json.h"
#include "control/mistake.h"
#include "control/pager.h"
#include "control/status.h"
#include "control/text.h"
#include "dev/shutdown.h"
#include "host/context.h"
#include "host/bits.h"
#include "host/log.h"
#include "hv/vm.h"
#include "migrate/halves.h"
#include "owners/witness_test.h"
#include "protect/protection.h"
#include "tls/chacha20.h"

#define ARG_VM_NAME                  \
    {                                \
        .name = "vm", .type = ARG_VM \
    }

/* Sets of states in which a command makes sense. */
#define RUNNING BIT(VM_RUNNING)
#define PAUSED BIT(VM_PAUSED)
#define SUSPENDED BIT(SHOWN_SUSPENDED)
#define HERE (RUNNING | PAUSED | SUSPENDED)
#define CREATED BIT(VM_CREATED)
#define ENDED (BIT(VM_PASSED) | BIT(VM_FAILED) | BIT(VM_CRASHED) | BIT(VM_OFF) | BIT(VM_HALTED))
#define OUTGOING BIT(SHOWN_OUTGOING)
#define CONTESTED \
    (BIT(SHOWN_IN_DOUBT) | BIT(SHOWN_SERVING) | BIT(SHOWN_SUPERSEDED) | BIT(SHOWN_PREPARED) | BIT(SHOWN_ELSEWHERE))

#define ARG_OPTIONS                                           \
    {                                                         \
        .name = "options", .type = ARG_TEXT, .optional = true \
    }

/* Who names a guest's epoch answers for it that the guest does not run elsewhere. */
#define ARG_EPOCH(its_name)                                                                                 \
    {                                                                                                       \
        .name = its_name, .type = ARG_NUMBER, .optional = true, .forces = true, .min = 1, .max = ~0ULL / 20 \
    }

static const struct command table[] = {
    { .name = "help",
      .arg = { { .name = "command", .type = ARG_COMMAND, .optional = true } },
      .help = "what commands there are, or how to use one",
      .run = command_help },
    { .name = "vms", .help = "all virtual machines", .run = command_vms },
    { .name = "vm", .arg = { ARG_VM_NAME }, .help = "one virtual machine in detail", .run = command_vm },
    { .name = "pause",
      .arg = { ARG_VM_NAME },
      .help = "stop its processors until resume",
      .states = RUNNING,
      .changes = true,
      .run = command_pause },
    { .name = "resume",
      .arg = { ARG_VM_NAME },
      .help = "go on after a pause, or wake up",
      .states = PAUSED | SUSPENDED,
      .changes = true,
      .run = command_resume },
    { .name = "reset",
      .arg = { ARG_VM_NAME },
      .help = "start it anew from its kernel",
      .states = HERE,
      .changes = true,
      .deferred = true,
      .run = command_reset },
    { .name = "power-button",
      .arg = { ARG_VM_NAME },
      .help = "press it: a guest that sleeps wakes, another one shuts down if it listens",
      .states = HERE,
      .changes = true,
      .run = command_power_button },
    { .name = "shutdown",
      .arg = { ARG_VM_NAME,
               { .name = "timeout", .type = ARG_NUMBER, .optional = true, .min = 1, .max = SHUTDOWN_MAX_S },
               { .name = "late", .type = ARG_CHOICE, .optional = true, .choices = shutdown_late } },
      .help = "ask its guest to end, within TIMEOUT seconds (90); LATE, what if not: leave it, or force a power-off",
      .states = RUNNING,
      .changes = true,
      .deferred = true,
      .run = command_shutdown },
    { .name = "suspend",
      .arg = { ARG_VM_NAME },
      .help = "press its sleep button: its guest goes to sleep if it listens; resume wakes it",
      .states = RUNNING,
      .changes = true,
      .deferred = true,
      .run = command_suspend },
    { .name = "poweroff",
      .arg = { ARG_VM_NAME },
      .help = "end it at once",
      .states = CREATED | HERE,
      .changes = true,
      .run = command_poweroff },
    { .name = "start",
      .arg = { ARG_VM_NAME,
               { .name = "kernel", .type = ARG_TEXT, .optional = true },
               { .name = "initrd", .type = ARG_TEXT, .optional = true } },
      .help = "start one that is new or has ended, from its own files or from these",
      .states = CREATED | ENDED,
      .changes = true,
      .run = command_start },
    { .name = "create",
      .arg = { { .name = "name", .type = ARG_TEXT }, { .name = "options", .type = ARG_TEXT } },
      .help = "make a new one, for start; options: kernel=FILE,memory=SIZE and more as in [vm], cmdline=... last",
      .changes = true,
      .run = command_create },
    { .name = "forget",
      .arg = { ARG_VM_NAME },
      .help = "remove one that is new, has ended or is elsewhere: its name, console and counters",
      .states = CREATED | ENDED | BIT(SHOWN_ELSEWHERE),
      .changes = true,
      .run = command_forget },
    { .name = "console",
      .arg = { ARG_VM_NAME },
      .help = "connect to its console; Ctrl-] leaves",
      .states = HERE | OUTGOING,
      .attach = true,
      .run = command_console },
    { .name = "trace",
      .arg = { ARG_VM_NAME,
               { .name = "kinds", .type = ARG_TEXT, .optional = true },
               { .name = "count", .type = ARG_NUMBER, .optional = true, .min = 1, .max = TRACE_ANSWER } },
      .help = "its last exits and turns, oldest first; KINDS: cpuid,io and more as vm counts them, turn, or all",
      .run = command_trace },
    { .name = "migrate",
      .arg = { ARG_VM_NAME, { .name = "dest", .type = ARG_TEXT }, ARG_OPTIONS },
      .help = "move it to another hypervisor, at ADDRESS[:PORT]; options: live, stop-copy, post-copy, hybrid, demand, "
              "cold or auto; verify, with-images; of cold: stopped, force, timeout=S",
      .states = HERE | CREATED | ENDED,
      .changes = true,
      .deferred = true,
      .run = command_migrate },
    { .name = "migrate-check",
      .arg = { ARG_VM_NAME, { .name = "dest", .type = ARG_TEXT }, ARG_OPTIONS },
      .help = "ask a hypervisor whether it would take it so, and how; query-migrate has the answer",
      .states = HERE | CREATED | ENDED,
      .changes = true,
      .deferred = true,
      .run = command_migrate_check },
    { .name = "migrate_cancel",
      .arg = { ARG_VM_NAME },
      .help = "break its move off, at either end: it runs on where it was",
      .states = HERE | CREATED | ENDED | OUTGOING | BIT(VM_INCOMING) | BIT(SHOWN_IN_DOUBT),
      .changes = true,
      .run = command_migrate_cancel },
    { .name = "migrate-start-postcopy",
      .arg = { ARG_VM_NAME },
      .help = "let its live move hand it over now: the rest of its memory follows it",
      .states = HERE,
      .changes = true,
      .run = command_migrate_start_postcopy },
    { .name = "pull",
      .arg = { ARG_VM_NAME },
      .help = "let all that is still missing come, after a move of mode demand; at either end",
      .states = BIT(SHOWN_SERVING) | HERE,
      .changes = true,
      .run = command_pull },
    { .name = "migrate-files",
      .arg = { { .name = "name", .type = ARG_TEXT },
               { .name = "action", .type = ARG_CHOICE, .optional = true, .choices = files_actions } },
      .help = "send the files that it starts from after it, to where the last move of that name has brought it; or "
              "stop that",
      .changes = true,
      .deferred = true,
      .run = command_migrate_files },
    { .name = "migrate-settle",
      .help = "no source will ask any more how its move to here ended: give the places of such answers to new moves",
      .changes = true,
      .run = command_migrate_settle },
    { .name = "query-migrate",
      .arg = { { .name = "name", .type = ARG_TEXT, .optional = true } },
      .help = "the last moves away from here and to here, or the last one of a VM",
      .run = command_query_migrate },
    { .name = "migrate-set-parameters",
      .arg = { { .name = "parameter", .type = ARG_TEXT }, { .name = "value", .type = ARG_TEXT } },
      .help = "change a setting of the moves that begin from now on",
      .changes = true,
      .run = command_migrate_set_parameters },
    { .name = "query-migrate-parameters", .help = "the settings of moves", .run = command_query_migrate_parameters },
    { .name = "query-peers",
      .help = "the other hypervisors that the configuration names, and what they answered at the boot",
      .run = command_query_peers },
    { .name = "protect",
      .arg = { ARG_VM_NAME,
               { .name = "peer", .type = ARG_TEXT },
               { .name = "interval",
                 .type = ARG_NUMBER,
                 .optional = true,
                 .min = PROTECTION_INTERVAL_MIN,
                 .max = PROTECTION_INTERVAL_MAX } },
      .help =
          "keep a copy of it up to date at ADDRESS[:PORT], every so many ms: it goes on there when this machine dies",
      .states = HERE,
      .changes = true,
      .run = command_protect },
    { .name = "unprotect",
      .arg = { ARG_VM_NAME, ARG_EPOCH("force") },
      .help = "end that; with the epoch that is suspended: I know that the other machine does not run it",
      .changes = true,
      .run = command_unprotect },
    { .name = "failover",
      .arg = { ARG_VM_NAME, ARG_EPOCH("force") },
      .help = "let it go on at the other machine now; there, with its epoch: I know that this machine is dead",
      .changes = true,
      .run = command_failover },
    { .name = "query-protect",
      .arg = { { .name = "name", .type = ARG_TEXT, .optional = true } },
      .help = "which guests are protected, and where; checkpoints, the deed, and failovers to here",
      .run = command_query_protect },
    { .name = "witness",
      .help = "the members of the witness, what it holds for the guests here, and what witness-test has found",
      .run = command_witness },
    { .name = "witness-test",
      .arg = { { .name = "swaps", .type = ARG_NUMBER, .optional = true, .min = 1, .max = WITNESS_TEST_MAX } },
      .help = "measure how long a swap at the witness takes, by so many of a key of this machine; 20 unless told",
      .changes = true,
      .deferred = true,
      .run = command_witness_test },
    { .name = "resolve",
      .arg = { ARG_VM_NAME, { .name = "action", .type = ARG_CHOICE, .choices = resolve_actions }, ARG_EPOCH("epoch") },
      .help = "in doubt, serving, superseded, prepared or elsewhere: query it, abort it if the destination still can, "
              "adopt what is prepared, or force an end under its EPOCH",
      .states = CONTESTED,
      .changes = true,
      .run = command_resolve },
    { .name = "calc-dirty-rate",
      .arg = { ARG_VM_NAME, { .name = "ms", .type = ARG_NUMBER, .optional = true, .min = 1, .max = 60000 } },
      .help = "measure how many pages it writes, for so many milliseconds",
      .states = RUNNING,
      .changes = true,
      .deferred = true,
      .run = command_calc_dirty_rate },
    { .name = "query-dirty-rate",
      .arg = { ARG_VM_NAME },
      .help = "what calc-dirty-rate has found",
      .run = command_query_dirty_rate },
    { .name = "dirty-trace",
      .arg = { ARG_VM_NAME,
               { .name = "every", .type = ARG_NUMBER, .min = 1, .max = 60000 },
               { .name = "for", .type = ARG_NUMBER, .min = 1, .max = 86400 } },
      .help = "note which pages it writes in each interval of EVERY milliseconds, FOR so many seconds",
      .states = RUNNING,
      .changes = true,
      .deferred = true,
      .run = command_dirty_trace },
    { .name = "dirty-trace-stop", .help = "end that trace now", .changes = true, .run = command_dirty_trace_stop },
    { .name = "query-dirty-trace", .help = "how far dirty-trace has come", .run = command_query_dirty_trace },
    { .name = "stats", .help = "processors, and exits by reason", .run = command_stats },
    { .name = "net", .help = "ports of the switch and their counters", .run = command_net },
    { .name = "net-test",
      .arg = { { .name = "dest", .type = ARG_TEXT },
               { .name = "mib", .type = ARG_NUMBER, .optional = true, .min = 1, .max = 1 << 20 } },
      .help = "measure TCP to the discard service of another hypervisor, at ADDRESS[:PORT]; 64 MiB unless told",
      .changes = true,
      .deferred = true,
      .run = command_net_test },
    { .name = "query-net-test", .help = "what net-test has found", .run = command_query_net_test },
    { .name = "memory", .help = "memory of the host and of its guests", .run = command_memory },
    { .name = "log",
      .arg = { { .name = "count", .type = ARG_NUMBER, .optional = true, .min = 1, .max = LOG_KEPT },
               { .name = "level", .type = ARG_LEVEL, .optional = true },
               { .name = "since", .type = ARG_NUMBER, .optional = true, .max = ~0ULL / 20 } },
      .help = "the last lines of the host's log, at most of a level; or the next ones, from number SINCE on",
      .waits = true,
      .run = command_log },
#ifdef GODWIT_NETS
    { .name = "hide",
      .arg = { { .name = "vm", .type = ARG_VM },
               { .name = "every-ms", .type = ARG_NUMBER, .min = 1, .max = 60000 },
               { .name = "delay-us", .type = ARG_NUMBER, .max = 1000000 } },
      .help = "hide a VM's RAM every so many ms, and bring what is asked for so many us later (docs/debug.md)",
      .states = CREATED | RUNNING,
      .changes = true,
      .run = command_hide },
    { .name = "mistake",
      .arg = { { .name = "kind", .type = ARG_CHOICE, .choices = mistake_kinds } },
      .help = "make a mistake that this debug image must catch, which ends the machine",
      .changes = true,
      .run = command_mistake },
#endif
    { .name = "query-keys",
      .help = "by which keys this hypervisor and others know each other, by their IDs: whose, and which is offered",
      .run = command_query_keys },
    { .name = "keys-set",
      .help = "use another keyring from now on, until the next boot: godwit keys-set FILE",
      .changes = true,
      .secret = true,
      .run = command_keys_set },
    { .name = "cipher",
      .arg = { { .name = "code", .type = ARG_CHOICE, .choices = chacha20_names } },
      .help = "encrypt by this code from now on, until the next boot, in place of the one that was the fastest then",
      .changes = true,
      .run = command_cipher },
    { .name = "tokens-set",
      .help = "use another file of tokens from now on, until the next boot: godwit tokens-set FILE",
      .changes = true,
      .secret = true,
      .run = command_tokens_set },
    { .name = "certificate-set",
      .help = "show another certificate from now on, until the next boot: godwit certificate-set FILE",
      .changes = true,
      .secret = true,
      .run = command_certificate_set },
    { .name = "version", .help = "version, backend, time since boot", .run = command_version },
};

const struct command *command_table(size_t *count)
{
    *count = sizeof(table) / sizeof(table[0]);
    return table;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (command_name_is(table[i].name, name))
            return &table[i];
    return NULL;
}

int call_fail(struct call *call, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(call->error, sizeof(call->error), format, args);
    va_end(args);
    return err;
}

static unsigned arg_count(const struct command *command)
{
    unsigned count = 0;

    while (count < COMMAND_ARGS && command->arg[count].type != ARG_NONE)
        count++;
    return count;
}

void command_usage(const struct command *command, char *text, size_t room)
{
    size_t at = (size_t)snprintf(text, room, "%s", command->name);

    for (unsigned i = 0; i < arg_count(command) && at < room; i++) {
        const struct command_arg *arg = &command->arg[i];

        at += (size_t)snprintf(text + at, room - at, arg->optional ? " [%s]" : " %s", arg->name);
    }
    /* The names of arguments are shown in capitals. */
    for (char *c = text + MIN(strlen(command->name), strlen(text)); *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
}

struct vm *call_vm(struct call *call, const char *word)
{
    char names[120] = "", peer[TCP_ADDRESS_TEXT] = "";
    struct vm *found = vm_find(word);
    size_t at = 0;
    bool moved;

    if (found)
        return found;
    moved = query_moved_away(word, peer);
    list_each (const struct vm, vm, vm_list())
        if (at < sizeof(names))
            at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", vm->name);
    call_fail(call, -ENOENT, "no virtual machine '%.32s', %s%s%sthere %s %s", word, moved ? "it has moved to " : "",
              peer, moved ? "; " : "", at ? "are:" : "is", at ? names : "none");
    return NULL;
}

static int parse_number(struct call *call, const struct command_arg *arg, struct arg_value *value, const char *word)
{
    u64 number = 0;
    const char *c = word;

    for (; *c >= '0' && *c <= '9' && number <= arg->max; c++)
        number = 10 * number + (u64)(*c - '0');
    if (*c || c == word || number < arg->min || number > arg->max)
        return call_fail(call, -EINVAL, "%s: '%.32s' is wrong, expected a number from %lu to %lu", arg->name, word,
                         (unsigned long)arg->min, (unsigned long)arg->max);
    value->number = number;
    return 0;
}

static int parse_level(struct call *call, const struct command_arg *arg, struct arg_value *value, const char *word)
{
    for (enum log_level level = LOG_ERR; level <= LOG_DEBUG; level++)
        if (!strcmp(word, log_level_name(level))) {
            value->number = level;
            return 0;
        }
    return call_fail(call, -EINVAL, "%s: '%.32s' is wrong, expected err, warn, info or debug", arg->name, word);
}

static int parse_choice(struct call *call, const struct command_arg *arg, struct arg_value *value, const char *word)
{
    char all[120] = "";
    size_t at = 0;

    for (u64 i = 0; arg->choices[i]; i++) {
        if (!strcmp(word, arg->choices[i])) {
            value->number = i;
            return 0;
        }
        if (at < sizeof(all))
            at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", i ? ", " : "", arg->choices[i]);
    }
    return call_fail(call, -EINVAL, "%s: '%.32s' is wrong, expected one of %s", arg->name, word, all);
}

static int parse_arg(struct call *call, const struct command_arg *arg, struct arg_value *value, const char *word)
{
    value->given = true;
    switch (arg->type) {
    case ARG_VM: value->vm = call_vm(call, word); return value->vm ? 0 : -ENOENT;
    case ARG_NUMBER: return parse_number(call, arg, value, word);
    case ARG_LEVEL: return parse_level(call, arg, value, word);
    case ARG_COMMAND:
        value->command = command_find(word);
        return value->command ? 0 : call_fail(call, -ENOENT, "no command '%.32s', see help", word);
    case ARG_CHOICE: return parse_choice(call, arg, value, word);
    case ARG_TEXT: value->text = word; return 0;
    case ARG_NONE: break;
    }
    return call_fail(call, -EINVAL, "'%.32s' is one argument too many", word);
}

/* Fill text with the states in words: "running or paused". */
static void states_text(u32 states, char *text, size_t room)
{
    size_t at = 0;

    for (unsigned status = 0; status < NR_SHOWN && at < room; status++) {
        u32 rest = states >> status;

        if (rest & 1)
            at += (size_t)snprintf(text + at, room - at, "%s%s",
                                   !at         ? ""
                                   : rest == 1 ? " or "
                                               : ", ",
                                   shown_name(status));
    }
}

/* Where to look, who is told that a VM is in the wrong state. The forces of `resolve` are not for a guest that just
 * runs elsewhere. */
static void hint_text(const struct vm *vm, unsigned status, char *text, size_t room)
{
    struct halves halves;

    if (status == SHOWN_SERVING && halves_of(vm, &halves) && !halves.lost)
        snprintf(text, room, "; it runs at %s: see vms", halves.peer);
    else if (CONTESTED & BIT(status))
        snprintf(text, room, "; see resolve");
}

int command_check(struct call *call, const struct vm *vm)
{
    const struct command *command = call->command;
    unsigned status = shown_status(vm);
    char expected[120] = "", hint[128] = "";

    if (!command->states || command->states & BIT(status))
        return 0;
    states_text(command->states, expected, sizeof(expected));
    hint_text(vm, status, hint, sizeof(hint));
    return call_fail(call, -EBUSY, "%s: cannot %s, it is %s, expected %s%s", vm->name,
                     command->attach ? "type" : command->name, shown_name(status), expected, hint);
}

/* Is the role enough for the call, whose arguments are there? */
static int judge_role(struct call *call, enum token_role role)
{
    const struct command *command = call->command;
    enum token_role needed = command->secret                       ? TOKEN_ADMIN
                             : command->changes || command->attach ? TOKEN_OPERATE
                                                                   : TOKEN_READ;
    bool forced = false;

    for (unsigned i = 0; i < arg_count(command); i++)
        if (call->arg[i].given && command->arg[i].forces)
            forced = true;
    if (forced)
        needed = TOKEN_ADMIN;
    if (role >= needed)
        return 0;
    return call_fail(call, -EPERM, "%s%s takes a token of the role %s, and this one is of the role %s", command->name,
                     forced ? " under an epoch" : "", token_role_name(needed), token_role_name(role));
}

int command_run(struct call *call, const struct command *command, enum token_role role, const char *const *words,
                unsigned count, struct json *out)
{
    char usage[80];
    int err;

    assert_host_loop();
    *call = (struct call){ .command = command, .file = call->file, .file_len = call->file_len, .out = out };
    command_usage(command, usage, sizeof(usage));
    if (count > arg_count(command))
        return call_fail(call, -EINVAL, "'%.32s' is one argument too many, expected: %s", words[arg_count(command)],
                         usage);
    for (unsigned i = 0; i < arg_count(command); i++) {
        const char *word = i < count ? words[i] : NULL;

        if (!word && command->arg[i].optional)
            continue;
        if (!word)
            return call_fail(call, -EINVAL, "%s is missing, expected: %s", command->arg[i].name, usage);
        err = parse_arg(call, &command->arg[i], &call->arg[i], word);
        if (err)
            return err;
    }
    err = judge_role(call, role);
    if (!err && command->secret && !call->file)
        err = call_fail(call, -EPERM,
                        "%s takes its file by HTTPS alone, from godwit: give this hypervisor a certificate",
                        command->name);
    if (!err && call->arg[0].vm && !command->attach)
        err = command_check(call, call->arg[0].vm);
    if (err)
        return err;
    json_object(out, NULL);
    err = command->run(call);
    if (err)
        return err;
    json_close(out);
    return out->buffer.failed ? call_fail(call, -ENOMEM, "no memory for the answer") : 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cut the line into words; returns how many there are, at most `max`. */
static unsigned split(char *line, const char **words, unsigned max)
{
    unsigned count = 0;

    while (count < max) {
        while (is_blank(*line))
            line++;
        if (!*line)
            break;
        words[count++] = line;
        while (*line && !is_blank(*line))
            line++;
        if (*line)
            *line++ = '\0';
    }
    return count;
}

int command_line(struct call *call, enum token_role role, char *line, struct json *out)
{
    const char *words[COMMAND_WORDS + 1]; /* one word more than any command takes, so that it can be refused by name */
    unsigned count = split(line, words, COMMAND_WORDS + 1);
    const struct command *command = count ? command_find(words[0]) : NULL;

    if (!command) {
        *call = (struct call){ .out = out };
        return call_fail(call, -ENOENT, "no command '%.32s', see help", count ? words[0] : "");
    }
    return command_run(call, command, role, words + 1, count - 1, out);
}
