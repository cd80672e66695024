/* SPDX-License-Identifier: BSD-2-Clause */
/* godwit: steer a Godwit hypervisor over its HTTP API. docs/api.md describes it. */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/text.h"
#include "config/version.h"
#include "tools/godwit/client.h"
#include "tools/godwit/console.h"
#include "tools/godwit/dirty_trace.h"
#include "tools/godwit/image.h"
#include "tools/godwit/log.h"
#include "tools/godwit/migrate.h"
#include "tools/godwit/secrets.h"
#include "tools/godwit/show.h"
#include "tools/godwit/shutdown.h"
#include "tools/godwit/trace.h"

#define PATH 513    /* a request's target, as long as the API takes it (docs/api.md), and a terminator */
#define ARGUMENTS 2 /* arguments of a command behind the VM's name */

/* What a command is about, which decides its path. */
enum kind {
    KIND_HOST,     /* GET /v1/NAME, arguments in the query */
    KIND_HOST_ACT, /* POST /v1/NAME */
    KIND_VM,       /* GET /v1/vms/VM */
    KIND_VM_ASK,   /* GET /v1/vms/VM/NAME */
    KIND_ACT,      /* POST /v1/vms/VM/NAME */
    KIND_MIGRATE,
    KIND_SAVE,
    KIND_RESTORE,
    KIND_IMAGE,
    KIND_SHUTDOWN,
    KIND_SUSPEND,
    KIND_CONSOLE,
    KIND_LOG,
    KIND_TRACE,
    KIND_DIRTY_TRACE,
    KIND_SECRETS, /* POST /v1/NAME, a file is the body */
    KIND_METRICS,
    KIND_COMPLETION,
    KIND_HELP,
};

static const struct command {
    const char *name;
    enum kind kind;
    int min, max; /* least and largest number of arguments */
    const char *arguments, *help;
    const char *parameter[ARGUMENTS]; /* their names in the query */
} commands[] = {
    { "vms", KIND_HOST, 0, 0, "", "all virtual machines", { NULL } },
    { "vm", KIND_VM, 1, 1, "VM", "one virtual machine in detail", { NULL } },
    { "pause", KIND_ACT, 1, 1, "VM", "stop its processors until resume", { NULL } },
    { "resume", KIND_ACT, 1, 1, "VM", "go on after a pause, or wake up", { NULL } },
    { "reset", KIND_ACT, 1, 1, "VM", "start it anew from its kernel", { NULL } },
    { "power-button", KIND_ACT, 1, 1, "VM", "press it: it wakes, or shuts down if it listens", { NULL } },
    { "shutdown", KIND_SHUTDOWN, 1, 6, SHUTDOWN_USAGE, "ask its guest to end, and wait until it has", { NULL } },
    { "suspend", KIND_SUSPEND, 1, 5, SUSPEND_USAGE, "ask its guest to sleep, and wait until it does", { NULL } },
    { "poweroff", KIND_ACT, 1, 1, "VM", "end it at once", { NULL } },
    { "start", KIND_ACT, 1, 3, "VM [KERNEL [INITRD]]", "start one that is new or has ended", { "kernel", "initrd" } },
    { "create",
      KIND_HOST_ACT,
      2,
      2,
      "NAME OPTIONS",
      "make a new one, for start: kernel=FILE,memory=SIZE and more as in [vm], cmdline=... last",
      { "name", "options" } },
    { "forget", KIND_ACT, 1, 1, "VM", "remove one that is new, has ended or is elsewhere", { NULL } },
    { "migrate", KIND_MIGRATE, 2, 12, MIGRATE_USAGE, "move it to the hypervisor at DEST", { NULL } },
    { "save", KIND_SAVE, 2, 4, SAVE_USAGE, "write it to a file, an image, from which restore makes it run", { NULL } },
    { "restore", KIND_RESTORE, 1, 5, RESTORE_USAGE, "make the VM of an image run", { NULL } },
    { "image", KIND_IMAGE, 1, 1, "FILE", "what an image has, and whether it is whole; needs no hypervisor", { NULL } },
    { "migrate_cancel", KIND_ACT, 1, 1, "VM", "break its move off, at either end: it runs on where it was", { NULL } },
    { "migrate-start-postcopy",
      KIND_ACT,
      1,
      1,
      "VM",
      "let its live move hand it over now: the rest follows",
      { NULL } },
    { "pull", KIND_ACT, 1, 1, "VM", "let all that is still missing come, after mode demand; at either end", { NULL } },
    { "migrate-files",
      KIND_HOST_ACT,
      1,
      2,
      "NAME [send|stop]",
      "send the files that it starts from after it, or stop that",
      { "name", "action" } },
    { "migrate-settle",
      KIND_HOST_ACT,
      0,
      0,
      "",
      "let new moves have the places of moves to here that ended",
      { NULL } },
    { "query-migrate", KIND_HOST, 0, 1, "[VM]", "the last moves, or the last one of a VM", { "name" } },
    { "migrate-set-parameters",
      KIND_HOST_ACT,
      2,
      2,
      "PARAMETER VALUE",
      "change a setting of moves",
      { "parameter", "value" } },
    { "query-migrate-parameters", KIND_HOST, 0, 0, "", "the settings of moves", { NULL } },
    { "query-peers", KIND_HOST, 0, 0, "", "the hypervisors that peers names, and what they answered", { NULL } },
    { "protect",
      KIND_ACT,
      2,
      3,
      "VM PEER [--interval MS]",
      "keep a copy of it up to date at PEER, where it goes on when its machine dies",
      { "peer", "interval" } },
    { "unprotect",
      KIND_ACT,
      1,
      2,
      "VM [--force EPOCH]",
      "end its protection; force: I know that the other machine does not run it",
      { "force" } },
    { "failover",
      KIND_ACT,
      1,
      2,
      "VM [--force EPOCH]",
      "let it go on at the other machine now; force, there: I know that its machine is dead",
      { "force" } },
    { "query-protect",
      KIND_HOST,
      0,
      1,
      "[VM]",
      "which guests are protected, and where; failovers to here",
      { "name" } },
    { "witness", KIND_HOST, 0, 0, "", "the witness: its members, what it holds for the guests, its test", { NULL } },
    { "witness-test",
      KIND_HOST_ACT,
      0,
      1,
      "[SWAPS]",
      "measure how long a swap at the witness takes; witness shows it",
      { "swaps" } },
    { "resolve",
      KIND_ACT,
      2,
      3,
      "VM ACTION [EPOCH]",
      "one in doubt, superseded, prepared, serving or elsewhere: query, abort, adopt, force-resume or force-give-up",
      { "action", "epoch" } },
    { "calc-dirty-rate", KIND_ACT, 1, 2, "VM [MS]", "measure how many pages it writes", { "ms" } },
    { "query-dirty-rate", KIND_VM_ASK, 1, 1, "VM", "what calc-dirty-rate has found", { NULL } },
    { "dirty-trace",
      KIND_DIRTY_TRACE,
      3,
      7,
      DIRTY_TRACE_USAGE,
      "write to a file which pages it writes in each interval",
      { NULL } },
    { "dirty-trace-stop", KIND_HOST_ACT, 0, 0, "", "end that trace now", { NULL } },
    { "query-dirty-trace", KIND_HOST, 0, 0, "", "how far dirty-trace has come", { NULL } },
    { "console", KIND_CONSOLE, 1, 1, "VM", "connect to its console; Ctrl-] leaves", { NULL } },
    { "trace",
      KIND_TRACE,
      1,
      8,
      TRACE_USAGE,
      "its last exits and turns, oldest first; or a file for Perfetto",
      { NULL } },
    { "stats", KIND_HOST, 0, 0, "", "processors, and exits by reason", { NULL } },
    { "net", KIND_HOST, 0, 0, "", "ports of the switch and their counters", { NULL } },
    { "net-test",
      KIND_HOST_ACT,
      1,
      2,
      "DEST [MIB]",
      "measure TCP to the discard service of the hypervisor at DEST",
      { "dest", "mib" } },
    { "query-net-test", KIND_HOST, 0, 0, "", "what net-test has found", { NULL } },
    { "memory", KIND_HOST, 0, 0, "", "memory of the host and of its guests", { NULL } },
    { "log", KIND_LOG, 0, 3, LOG_USAGE, "the last lines of the log; --follow: and all that come", { NULL } },
    { "query-keys", KIND_HOST, 0, 0, "", "by which keys it and others know each other, by their IDs", { NULL } },
    { "keys-set", KIND_SECRETS, 1, 1, "FILE", "use this keyring from now on, until the next boot", { NULL } },
    { "cipher",
      KIND_HOST_ACT,
      1,
      1,
      "CODE",
      "encrypt by this code, until the next boot: any, bmi2, sse2, avx2",
      { "code" } },
    { "tokens-set", KIND_SECRETS, 1, 1, "FILE", "use these tokens from now on, until the next boot", { NULL } },
    { "certificate-set", KIND_SECRETS, 1, 1, "FILE", "show this one from now on, until the next boot", { NULL } },
    { "version", KIND_HOST, 0, 0, "", "version, backend, time since boot", { NULL } },
    { "metrics", KIND_METRICS, 0, 0, "", "all counters, in Prometheus' text format", { NULL } },
    { "completion", KIND_COMPLETION, 1, 1, "bash", "print a script that completes commands and names", { NULL } },
    { "help", KIND_HELP, 0, 1, "[COMMAND]", "this text, or its part about a command", { NULL } },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char completion_bash[] =
    "# eval \"$(godwit completion bash)\"\n"
    "_godwit() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    case $previous in\n"
    "    -H|-t) COMPREPLY=() ;;\n"
    "    --cacert) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
    "    vm|pause|resume|reset|power-button|shutdown|suspend|poweroff|start|forget|pull|migrate-start-postcopy|"
    "console|trace|migrate|save|migrate_cancel|query-migrate|resolve|*-dirty-rate|dirty-trace)\n"
    "        local names=$(\"${COMP_WORDS[@]:0:COMP_CWORD-1}\" completion names 2>/dev/null)\n"
    "        COMPREPLY=($(compgen -W \"$names\" -- \"$word\")) ;;\n"
    "    log|vms|stats|net|net-test|query-net-test|query-peers|memory|version|metrics|query-keys) "
    "COMPREPLY=() ;;\n"
    "    witness|witness-test) COMPREPLY=() ;;\n"
    "    query-dirty-trace|dirty-trace-stop) COMPREPLY=() ;;\n"
    "    restore|image|*-set) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
    "    cipher) COMPREPLY=($(compgen -W 'any bmi2 sse2 avx2' -- \"$word\")) ;;\n"
    "    completion) COMPREPLY=($(compgen -W bash -- \"$word\")) ;;\n"
    "    *) COMPREPLY=($(compgen -W \"-H -t --cacert --insecure --json %s\" -- \"$word\")) ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _godwit godwit\n";

static void describe(FILE *out, const struct command *command)
{
    fprintf(out, "  %s%s%s\n      %s\n", command->name, *command->arguments ? " " : "", command->arguments,
            command->help);
}

static void usage(FILE *out)
{
    fprintf(out,
            "usage: godwit [-H HOST[:PORT]] [-t TOKEN] [--cacert FILE|--insecure] [--json] COMMAND [ARGUMENT...]\n\n"
            "  -H HOST        the hypervisor's address, with a port an IPv6 one in brackets; default $GODWIT_HOST\n"
            "  -t TOKEN       of its configuration; default $GODWIT_TOKEN, which no list of processes shows\n"
            "  --cacert FILE  the CA of its certificate; default $GODWIT_CACERT; without one you are asked whether "
            "you know its key\n"
            "  --insecure     in the clear, as a hypervisor without a certificate speaks; or $GODWIT_INSECURE=1\n"
            "  --json         answers as the hypervisor gives them\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        describe(out, &commands[i]);
    fprintf(out,
            "\nExit status: 0 done, 1 the hypervisor refused or failed, 2 wrong usage, 3 no answer, 4 the token is "
            "missing, wrong or not enough,\n5 the move was cancelled, 6 it is in doubt, 130 Ctrl-C: a move goes on.\n");
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (command_name_is(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static enum status help(const char *name)
{
    const struct command *command = name ? command_find(name) : NULL;

    if (name && !command) {
        fprintf(stderr, "godwit: no command '%s', see godwit help\n", name);
        return STATUS_USAGE;
    }
    if (command) {
        describe(stdout, command);
        fputs(command->kind == KIND_MIGRATE       ? MIGRATE_HELP
              : command->kind == KIND_SAVE        ? SAVE_HELP
              : command->kind == KIND_RESTORE     ? RESTORE_HELP
              : command->kind == KIND_SHUTDOWN    ? SHUTDOWN_HELP
              : command->kind == KIND_SUSPEND     ? SUSPEND_HELP
              : command->kind == KIND_DIRTY_TRACE ? DIRTY_TRACE_HELP
                                                  : "",
              stdout);
    } else {
        usage(stdout);
    }
    return STATUS_OK;
}

/* Leave out words such as --interval in front of the argument of that name. Returns how many are left. */
static int drop_names(const struct command *command, int argc, char **argv)
{
    int left = 0;

    for (int i = 0; i < argc; i++) {
        bool names = false;

        for (int n = 0; n < ARGUMENTS && command->parameter[n]; n++)
            names |= i + 1 < argc && !strncmp(argv[i], "--", 2) && !strcmp(argv[i] + 2, command->parameter[n]);
        if (!names)
            argv[left++] = argv[i];
    }
    argv[left] = NULL;
    return left;
}

/* The path of a request; the name of a VM and further arguments are quoted. False: it is longer than a request may be.
 */
static bool path_make(char *path, const struct command *command, int argc, char **argv)
{
    bool about_vm = command->kind != KIND_HOST && command->kind != KIND_HOST_ACT;
    char *vm = about_vm ? client_quote(argv[0]) : NULL;
    size_t at;

    argc -= about_vm;
    argv += about_vm;
    if (command->kind == KIND_VM)
        at = (size_t)snprintf(path, PATH, "/v1/vms/%s", vm);
    else if (about_vm)
        at = (size_t)snprintf(path, PATH, "/v1/vms/%s/%s", vm, command->name);
    else
        at = (size_t)snprintf(path, PATH, "/v1/%s", command->name);
    for (int i = 0; i < argc && at < PATH; i++) {
        char *value = client_quote(argv[i]);

        at += (size_t)snprintf(path + at, PATH - at, "%c%s=%s", i ? '&' : '?', command->parameter[i], value);
        free(value);
    }
    free(vm);
    return at < PATH;
}

static enum status run_command(const struct command *command, int argc, char **argv, bool as_json)
{
    char path[PATH];
    struct reply reply;

    if (!path_make(path, command, argc, argv)) {
        fprintf(stderr, "godwit: %s: the arguments are too long, a request takes %d bytes with them\n", command->name,
                PATH - 1);
        return STATUS_USAGE;
    }
    reply = client_request(path, command->kind == KIND_ACT || command->kind == KIND_HOST_ACT ? "" : NULL, 0);
    if (reply.status == STATUS_OK)
        reply.status = show(&reply, as_json);
    reply_free(&reply);
    return reply.status;
}

static enum status run_metrics(void)
{
    struct reply reply = client_request("/metrics", NULL, 0);

    if (reply.status == STATUS_OK && reply.body)
        fputs(reply.body, stdout);
    reply_free(&reply);
    return reply.status;
}

/* The names of the VMs, for the completion script. */
static enum status run_names(void)
{
    enum status status;
    json_t *json = client_ask("/v1/vms", "", &status), *vm;
    size_t i;

    json_array_foreach(json_object_get(json, "vms"), i, vm)
        printf("%s\n", json_string_value(json_object_get(vm, "name")));
    json_decref(json);
    return status;
}

static enum status run_completion(void)
{
    char names[1024] = "";

    for (size_t i = 0, at = 0; i < COMMANDS; i++)
        at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? " " : "", commands[i].name);
    printf(completion_bash, names);
    return STATUS_OK;
}

static enum status run(const struct command *command, int argc, char **argv, bool as_json)
{
    switch (command->kind) {
    case KIND_CONSOLE: return console_run(argv[0]);
    case KIND_LOG: return log_run(argc, argv, as_json);
    case KIND_DIRTY_TRACE: return dirty_trace_run(argc, argv);
    case KIND_TRACE: return trace_run(argc, argv, as_json);
    case KIND_SECRETS: return secrets_run(command->name, argv[0], as_json);
    case KIND_METRICS: return run_metrics();
    case KIND_MIGRATE: return migrate_run(argc, argv, as_json);
    case KIND_SAVE: return save_run(argc, argv);
    case KIND_RESTORE: return restore_run(argc, argv, as_json);
    case KIND_SHUTDOWN: return shutdown_run(argc, argv);
    case KIND_SUSPEND: return suspend_run(argc, argv);
    case KIND_COMPLETION: return run_names();
    default: return run_command(command, argc, argv, as_json);
    }
}

/* Run a command that needs no hypervisor. False: this is not one. */
static bool run_local(const struct command *command, char **argv, bool as_json, enum status *status)
{
    if (command->kind == KIND_IMAGE) {
        *status = image_run(argv[0], as_json);
        return true;
    }
    if (command->kind == KIND_HELP) {
        *status = help(argv[0]); /* NULL behind the last one */
        return true;
    }
    if (command->kind == KIND_COMPLETION && !strcmp(argv[0], "bash")) {
        *status = run_completion();
        return true;
    }
    if (command->kind == KIND_COMPLETION && strcmp(argv[0], "names") != 0) {
        fprintf(stderr, "godwit: completion: '%s' is wrong, expected bash\n", argv[0]);
        *status = STATUS_USAGE;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "json", no_argument, NULL, 'j' },     { "cacert", required_argument, NULL, 'c' },
        { "insecure", no_argument, NULL, 'i' }, { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },  { NULL, 0, NULL, 0 }
    };
    const char *host = getenv("GODWIT_HOST"), *token = getenv("GODWIT_TOKEN"), *cacert = getenv("GODWIT_CACERT");
    const struct command *command;
    const char *name;
    bool as_json = false, insecure = !strcmp(getenv("GODWIT_INSECURE") ?: "", "1");
    enum status status;
    int option;

    while ((option = getopt_long(argc, argv, "+H:t:h", options, NULL)) != -1) {
        switch (option) {
        case 'H': host = optarg; break;
        case 't': token = optarg; break;
        case 'j': as_json = true; break;
        case 'c': cacert = optarg, insecure = false; break; /* whatever the environment says */
        case 'i': insecure = true; break;
        case 'h': usage(stdout); return STATUS_OK;
        case 'V': printf("godwit %s\n", GODWIT_VERSION); return STATUS_OK;
        default: fprintf(stderr, "godwit: see godwit help\n"); return STATUS_USAGE;
        }
    }
    if (optind == argc) {
        usage(stderr);
        return STATUS_USAGE;
    }
    name = argv[optind++];
    command = command_find(name);
    if (optind < argc && !strcmp(argv[optind], "--") && command && command->kind != KIND_MIGRATE &&
        command->kind != KIND_SHUTDOWN && command->kind != KIND_SUSPEND) /* these have options */
        optind++;
    argc -= optind;
    argv += optind;
    if (command && command->kind == KIND_ACT)
        argc = drop_names(command, argc, argv);
    if (!command || argc < command->min || argc > command->max) {
        if (!command)
            fprintf(stderr, "godwit: no command '%s', see godwit help\n", name);
        else
            fprintf(stderr, "usage: godwit %s%s%s\n", command->name, *command->arguments ? " " : "",
                    command->arguments);
        return STATUS_USAGE;
    }
    if (run_local(command, argv, as_json, &status))
        return status;
    if (!host || !*host) {
        fprintf(stderr, "godwit: which hypervisor? Give -H HOST or set GODWIT_HOST\n");
        return STATUS_USAGE;
    }
    status = client_init(host, insecure, token, cacert && *cacert ? cacert : NULL);
    if (status == STATUS_OK)
        status = run(command, argc, argv, as_json);
    client_fini();
    return status;
}
