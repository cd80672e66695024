/* SPDX-License-Identifier: BSD-2-Clause */
/* route() finds the command for a path. Other functions take its arguments from the query, and turn its error into a
 * status. */
#define LOG_PREFIX "api"
#include "control/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "control/attempts.h"
#include "control/command.h"
#include "control/http_parse.h"
#include "control/http_server.h"
#include "control/image_api.h"
#include "control/json.h"
#include "control/metrics.h"
#include "control/status.h"
#include "dev/platform.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/host_work.h"
#include "hv/vm.h"
#include "control/dirty_trace.h"
#include "net/callers.h"
#include "net/uplink.h"

#define CONSOLE_CHUNK 16384 /* bytes of one answer */
#define TRACE_CHUNK 65536
#define WAIT_MAX_S 30

static const struct config_api *settings;
static const struct token everybody = { .name = "everybody", .role = TOKEN_ADMIN }; /* where the access is open */

static int status_of(int err)
{
    switch (err) {
    case 0: return 200;
    case -EINVAL: return 400;
    case -EPERM: return 403;
    case -ENOENT: return 404;
    case -EBUSY: return 409;
    case -ENOTSUP: return 501;
    case -ENOMEM: return 503;
    default: return 500;
    }
}

/* Is the method the one that is allowed here? HEAD is as good as GET. False: the request is refused. */
static bool method_is(const struct http_request *request, enum http_method method, struct http_response *response)
{
    if (request->method == method || (request->method == HTTP_HEAD && method == HTTP_GET))
        return true;
    snprintf(response->fields, sizeof(response->fields), "Allow: %s\r\n", method == HTTP_GET ? "GET, HEAD" : "POST");
    http_refuse(response, 405, "expected %s", method == HTTP_GET ? "GET" : "POST");
    return false;
}

/* Take the arguments from words[first] on out of the query. False: the query has a parameter that the command does not
 * take; the request is refused. */
static bool query_words(const struct http_request *request, const struct command *command, unsigned first,
                        const char **words, struct http_response *response)
{
    unsigned used = command->waits && http_parameter(request, "wait");

    char usage[80];

    for (unsigned i = first; i < COMMAND_ARGS && command->arg[i].type != ARG_NONE; i++) {
        words[i] = http_parameter(request, command->arg[i].name);
        used += words[i] != NULL;
    }
    if (used == request->nr_parameters)
        return true;
    command_usage(command, usage, sizeof(usage));
    http_refuse(response, 400, "a parameter is unknown or given twice, expected those of: %s", usage);
    return false;
}

/* Read a number out of the query; `absent` if there is none. False: it is not a number; the request is refused. */
static bool query_number(const struct http_request *request, const char *name, u64 absent, u64 *number,
                         struct http_response *response)
{
    const char *text = http_parameter(request, name);
    char *end;

    *number = absent;
    if (!text)
        return true;
    errno = 0;
    *number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno)
        return true;
    http_refuse(response, 400, "%s: '%.32s' is wrong, expected a number", name, text);
    return false;
}

/* The log has who did it. */
static void note(const struct token *token, const char *what, const char *vm)
{
    if (token != &everybody)
        pr_info("%s: %s%s%s", token->name, what, vm ? " " : "", vm ?: "");
}

/* Who gives a hypervisor other keys shows a token: else it would be anybody's for good. False: refused. */
static bool may_give(const struct command *command, const struct token *token, struct http_response *response)
{
    if (!command->secret || token != &everybody)
        return true;
    http_refuse(response, 403,
                "%s takes a token of the role admin, and with access = open there is none, expected tokens = FILE in "
                "[api] in its place",
                command->name);
    return false;
}

/* Run a command for somebody. If `vm` is not NULL it is the first argument; the others come from the query. A body that
 * came in the clear is no file of secrets. */
static void run_command(const struct http_request *request, const struct command *command, const char *vm,
                        const char *body, const struct token *token, bool last, struct http_response *response)
{
    const char *words[COMMAND_ARGS] = { vm };
    unsigned count = 0;
    u64 wait;
    struct call call = { .file = settings->certificate[0] ? body : NULL, .file_len = request->content_length };
    struct json out;
    int err;

    if (!method_is(request, command->changes ? HTTP_POST : HTTP_GET, response) ||
        !query_words(request, command, vm != NULL, words, response) ||
        !query_number(request, "wait", 0, &wait, response) || !may_give(command, token, response))
        return;
    while (count < COMMAND_ARGS && command->arg[count].type != ARG_NONE)
        count++;
    json_init(&out);
    err = command_run(&call, command, token->role, words, count, &out);
    if (err) {
        json_fini(&out);
        http_refuse(response, status_of(err), "%s", call.error);
        return;
    }
    if (call.no_news && wait && !last) {
        json_fini(&out);
        response->wait_ms = (u32)MIN(wait, (u64)WAIT_MAX_S) * 1000;
        return;
    }
    if (command->changes)
        note(token, command->name, vm);
    response->status = command->deferred ? 202 : 200;
    response->type = "application/json";
    response->body = out.buffer;
}

/* Answer with what the guest has sent from byte number `offset` on. With `wait`, an answer without bytes is put off. */
static void console_get(const struct http_request *request, struct vm *vm, bool last, struct http_response *response)
{
    static char chunk[CONSOLE_CHUNK];
    u64 offset, wait;
    size_t len;

    if (!query_number(request, "offset", 0, &offset, response) || !query_number(request, "wait", 0, &wait, response))
        return;
    len = platform_console_read(vm, &offset, chunk, sizeof(chunk));
    if (!len && wait && !last) {
        response->wait_ms = (u32)MIN(wait, (u64)WAIT_MAX_S) * 1000;
        return;
    }
    response->status = 200;
    response->type = "application/octet-stream";
    snprintf(response->fields, sizeof(response->fields),
             "Console-Offset: %lu\r\nConsole-Next: %lu\r\nConsole-Guest: %s\r\n", (unsigned long)(offset - len),
             (unsigned long)offset, shown_name(shown_status(vm)));
    buffer_put(&response->body, chunk, len);
}

/* Type the request's body into the VM's console. */
static void console_post(const struct http_request *request, const struct command *command, const char *body,
                         struct vm *vm, struct http_response *response)
{
    struct call call = { .command = command };
    int err = command_check(&call, vm);
    size_t len;

    if (err) {
        http_refuse(response, status_of(err), "%s", call.error);
        return;
    }
    len = platform_console_write(vm, body, request->content_length);
    if (!len && request->content_length) {
        snprintf(response->fields, sizeof(response->fields), "Retry-After: 1\r\n");
        http_refuse(response, 503, "%s: the guest does not read its input", vm->name);
        return;
    }
    response->status = 200;
    response->type = "application/json";
    buffer_format(&response->body, "{\"written\":%lu}", (unsigned long)len);
}

static void handle_console(const struct http_request *request, const struct command *command, const char *body,
                           bool last, struct http_response *response)
{
    struct call call = { .command = command };
    struct vm *vm = call_vm(&call, request->segment[2]);

    if (!vm)
        http_refuse(response, 404, "%s", call.error);
    else if (request->method == HTTP_POST)
        console_post(request, command, body, vm, response);
    else if (method_is(request, HTTP_GET, response))
        console_get(request, vm, last, response);
}

/* Answer with the bytes of the dirty trace from number `offset` on; after a POST those before it are forgotten. With
 * `wait`, an answer without bytes is put off as long as more can come. */
static void handle_trace(const struct http_request *request, bool last, struct http_response *response)
{
    static char chunk[TRACE_CHUNK];
    const struct dirty_trace *trace = dirty_trace_query();
    bool takes = request->method == HTTP_POST;
    u64 offset, wait, number;
    size_t len;

    if ((!takes && !method_is(request, HTTP_GET, response)) || !query_number(request, "offset", 0, &offset, response) ||
        !query_number(request, "wait", 0, &wait, response) ||
        !query_number(request, "number", trace->number, &number, response))
        return;
    if (number != trace->number) {
        http_refuse(response, 409, "trace %lu is forgotten, the last one is %lu", (unsigned long)number,
                    (unsigned long)trace->number);
        return;
    }
    if (offset > trace->put) {
        http_refuse(response, 400, "offset: %lu is wrong, there are %lu bytes yet", (unsigned long)offset,
                    (unsigned long)trace->put);
        return;
    }
    if (takes)
        dirty_trace_take(offset);
    len = dirty_trace_read(&offset, chunk, sizeof(chunk));
    if (!len && trace->status == DIRTY_TRACE_TRACING && wait && !last) {
        response->wait_ms = (u32)MIN(wait, (u64)WAIT_MAX_S) * 1000;
        return;
    }
    response->status = 200;
    response->type = "application/octet-stream";
    snprintf(response->fields, sizeof(response->fields), "Trace-Offset: %lu\r\nTrace-Ended: %d\r\n",
             (unsigned long)offset, trace->status != DIRTY_TRACE_TRACING && offset + len == trace->put);
    buffer_put(&response->body, chunk, len);
}

static void handle_metrics(const struct http_request *request, struct http_response *response)
{
    if (!method_is(request, HTTP_GET, response))
        return;
    response->status = 200;
    response->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&response->body);
}

/* The command of a path below /v1; *vm is the name of the VM that it is about, or NULL. Returns NULL if there is no
 * such path. */
static const struct command *route(const struct http_request *request, const char **vm)
{
    bool about_vm = request->nr_segments >= 3 && !strcmp(request->segment[1], "vms");
    const struct command *command;

    *vm = about_vm ? request->segment[2] : NULL;
    if (about_vm && request->nr_segments == 3)
        return command_find("vm");
    if (request->nr_segments != (about_vm ? 4 : 2))
        return NULL;
    command = command_find(request->segment[request->nr_segments - 1]);
    return command && (command->arg[0].type == ARG_VM) == about_vm ? command : NULL;
}

/* Refuse a request because nobody knows who sends it. Returns NULL. */
static const struct token *refuse_stranger(struct http_response *response, int status, const char *field,
                                           const char *words)
{
    response->stranger = true;
    snprintf(response->fields, sizeof(response->fields), "%s\r\n", field);
    http_refuse(response, status, "%s", words);
    return NULL;
}

/* Who sends this request? NULL: nobody knows, and it is refused. To look for a token is no attempt if there is none. A
 * client that has shown one may have more handshakes than others. */
static const struct token *sender(const struct http_request *request, struct http_response *response)
{
    const struct token *token;

    if (settings->access == CONFIG_ACCESS_OPEN)
        return &everybody;
    if (request->bearer[0] && !request->known && !attempts_may(&request->from, clock_ns()))
        return refuse_stranger(response, 429, "Retry-After: 1",
                               "too many wrong tokens have come from this address, try again in a second");
    token = tokens_find(request->bearer);
    if (token) {
        if (!request->known)
            caller_know(&request->from, false, clock_ns());
        return token;
    }
    if (request->bearer[0])
        attempts_count(&request->from, clock_ns());
    return refuse_stranger(response, 401, "WWW-Authenticate: Bearer",
                           "expected the header Authorization: Bearer TOKEN with a token of this hypervisor");
}

/* What is no command: to look is enough for GET, but an image has all of a guest's memory. */
static bool may(const struct http_request *request, const struct token *token, struct http_response *response)
{
    if (token->role >= TOKEN_OPERATE || (request->method != HTTP_POST && !image_is_meant(request)))
        return true;
    http_refuse(response, 403, "that takes a token of the role operate, and this one is of the role %s",
                token_role_name(token->role));
    return false;
}

void api_handle(const struct http_request *request, const char *body, bool last, struct http_response *response)
{
    const struct token *token = sender(request, response);
    const struct command *command;
    const char *vm;

    if (!token || !may(request, token, response))
        return;
    if (image_is_meant(request)) {
        image_handle(request, response);
        if (response->taker && request->method == HTTP_POST)
            note(token, "restore", NULL);
        else if (response->taker)
            note(token, "save", request->segment[2]);
        return;
    }
    if (request->content_length > HTTP_BODY_MAX) {
        http_refuse(response, 413, "the body is too long, expected at most %d bytes", HTTP_BODY_MAX);
        return;
    }
    if (request->nr_segments == 1 && !strcmp(request->segment[0], "metrics")) {
        handle_metrics(request, response);
        return;
    }
    if (request->nr_segments == 2 && !strcmp(request->segment[0], "v1") &&
        !strcmp(request->segment[1], "dirty-trace-data")) {
        handle_trace(request, last, response);
        return;
    }
    command = request->nr_segments > 1 && !strcmp(request->segment[0], "v1") ? route(request, &vm) : NULL;
    if (!command)
        http_refuse(response, 404, "no such path, see /v1/help for the commands");
    else if (command->attach)
        handle_console(request, command, body, last, response);
    else
        run_command(request, command, vm, body, token, last, response);
}

void api_init(const struct config_api *config)
{
    int err;

    settings = config;
    if (!config->tokens[0] && config->access != CONFIG_ACCESS_OPEN) {
        pr_info("off: set tokens=FILE or access=open in [api]");
        return;
    }
    err = http_server_start((u16)config->port, config->certificate[0] ? TCP_CLIENTS : TCP_ANYBODY, api_handle);
    if (err) {
        pr_err("cannot listen on port %u: error %d", config->port, err);
        return;
    }
    host_work_add(http_server_poll);
    pr_info("port %u%s, %s%s", config->port, config->certificate[0] ? " by HTTPS" : "",
            config->access == CONFIG_ACCESS_OPEN ? "open to everybody" : "by token",
            uplink_mac() ? "" : "; but there is no network card");
}
