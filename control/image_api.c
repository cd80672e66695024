/* SPDX-License-Identifier: BSD-2-Clause */
/* Either body is too large to be kept, so the connection leaves HTTP: the one for a move that writes it, the other for
 * a destination that reads it. What is said of the end of a restore is HTTP again. */
#include "control/image_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/command.h"
#include "control/http_parse.h"
#include "control/http_server.h"
#include "control/json.h"
#include "control/status.h"
#include "host/bits.h"
#include "hv/vm.h"
#include "net/mac.h"
#include "net/tcp_stream.h"
#include "save/restoring.h"
#include "save/saving.h"

#define TYPE "application/vnd.godwit.image"

/* A word that may be among the options, and what it sets. */
struct flag {
    const char *name;
    bool *value;
};

/* The flags' names: "live, verify". */
static void flags_text(const struct flag *flags, unsigned count, char *text, size_t room)
{
    size_t at = 0;

    for (unsigned i = 0; i < count && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%s", i ? ", " : "", flags[i].name);
}

/* Read options such as "live,verify". False: one is unknown; the request is refused. */
static bool parse_options(const struct http_request *request, const struct flag *flags, unsigned count,
                          struct http_response *response)
{
    const char *text = http_parameter(request, "options") ?: "";
    char all[80];

    while (*text) {
        size_t len = strcspn(text, ",");
        unsigned i = 0;

        while (i < count && (strlen(flags[i].name) != len || strncmp(flags[i].name, text, len) != 0))
            i++;
        if (i == count) {
            flags_text(flags, count, all, sizeof(all));
            http_refuse(response, 400, "options: '%.*s' is wrong, expected one of %s", (int)MIN(len, (size_t)32), text,
                        all);
            return false;
        }
        *flags[i].value = true;
        text += len + (text[len] == ',');
    }
    return true;
}

/* Send an answer on a connection that has left HTTP. */
static void answer(struct tcp_stream *stream, struct http_response *response)
{
    struct buffer out = { 0 };

    http_put_head(&out, response, response->body.len, false);
    buffer_put(&out, response->body.text, response->body.len);
    if (!out.failed)
        tcp_stream_send(stream, out.text, out.len, false); /* all is taken: little is on its way yet */
    buffer_fini(&out);
    buffer_fini(&response->body);
    tcp_stream_close(stream);
}

/* --- GET /v1/vms/VM/image --------------------------------------------------------------------------------------- */

struct save_call {
    char vm[CONFIG_NAME];
    struct save_request request;
};

/* May it be saved now? */
static bool may_save(const char *name, struct http_response *response)
{
    static const struct command save = { .name = "save",
                                         .states = BIT(VM_RUNNING) | BIT(VM_PAUSED) | BIT(SHOWN_SUSPENDED) };
    struct call call = { .command = &save };
    const struct vm *vm = call_vm(&call, name);

    if (!vm)
        http_refuse(response, 404, "%s", call.error);
    else if (command_check(&call, vm))
        http_refuse(response, 409, "%s", call.error);
    return !response->status;
}

/* Begin to send the image behind the head of the answer, or refuse. */
static void save_begin(const struct save_call *call, struct tcp_stream *stream, struct http_response *response)
{
    struct http_response head = { .status = 200, .type = TYPE };
    struct vm *vm = vm_find(call->vm);
    struct buffer out = { 0 };
    const char *reason;

    snprintf(head.fields, sizeof(head.fields), "Guest-Memory: %lu\r\n", (unsigned long)vm->mem.size);
    http_put_head(&out, &head, ~0ULL, false);
    if (out.failed)
        http_refuse(response, 503, "no memory");
    else if (saving_begin(vm, &call->request, stream, &reason))
        http_refuse(response, 409, "%s: cannot save, %s", vm->name, reason);
    else
        tcp_stream_send(stream, out.text, out.len, false); /* all is taken: the image comes later */
    buffer_fini(&out);
}

static void save_taken(void *ctx, struct tcp_stream *stream, const char *bytes, size_t len)
{
    struct save_call *call = ctx;
    struct http_response response = { 0 };

    (void)bytes;
    (void)len;
    if (stream && may_save(call->vm, &response))
        save_begin(call, stream, &response);
    if (stream && response.status)
        answer(stream, &response);
    free(call);
}

static void save_handle(const struct http_request *request, struct http_response *response)
{
    struct save_request wanted = { 0 };
    const struct flag flags[] = { { "live", &wanted.live }, { "verify", &wanted.verify } };
    struct save_call *call;

    if (request->method != HTTP_GET) {
        snprintf(response->fields, sizeof(response->fields), "Allow: GET\r\n");
        http_refuse(response, 405, "expected GET");
        return;
    }
    if (!parse_options(request, flags, ARRAY_SIZE(flags), response) || !may_save(request->segment[2], response))
        return;
    call = malloc(sizeof(*call));
    if (!call) {
        http_refuse(response, 503, "no memory");
        return;
    }
    snprintf(call->vm, sizeof(call->vm), "%s", request->segment[2]);
    call->request = wanted;
    response->taker = save_taken;
    response->taker_ctx = call;
}

/* --- POST /v1/images -------------------------------------------------------------------------------------------- */

/* An image that comes as the body of a request. */
struct upload {
    struct restore_request request;
    struct tcp_stream *stream;
    u64 left;                   /* bytes of the body that were not taken yet */
    size_t early_at, early_len; /* those that came with the request's head: early[early_at..early_len) */
    char early[HTTP_HEAD_MAX + HTTP_BODY_MAX];
};

static long upload_receive(struct transport *transport, void *bytes, size_t len)
{
    struct upload *upload = transport->ctx;
    size_t want = (size_t)MIN((u64)len, upload->left);
    long got = (long)MIN(want, upload->early_len - upload->early_at);

    if (!upload->left)
        return -EPIPE;
    if (got) {
        memcpy(bytes, upload->early + upload->early_at, (size_t)got);
        upload->early_at += (size_t)got;
    } else {
        got = tcp_stream_receive(upload->stream, bytes, want);
    }
    if (got > 0)
        upload->left -= (u64)got;
    return got == -EPIPE ? -ECONNRESET : got;
}

static void restore_over(void *ctx, const struct restored *restored)
{
    struct upload *upload = ctx;
    struct http_response response = { .status = 200, .type = "application/json" };
    const struct vm *vm = vm_find(restored->name);
    char note[200];
    struct json json;

    if (restored->done) {
        json_init(&json);
        json_object(&json, NULL);
        json_string(&json, "vm", restored->name);
        json_uuid(&json, "vm_id", restored->vm_id);
        json_number(&json, "epoch", restored->epoch);
        json_string(&json, "status", vm ? shown_name(shown_status(vm)) : "gone");
        json_string(&json, "mac", mac_text(restored->mac).text);
        restored_note(restored, note, sizeof(note));
        if (note[0])
            json_string(&json, "note", note);
        json_close(&json);
        response.body = json.buffer;
    } else {
        http_refuse(&response, 409, "cannot restore, %s", restored->reason);
    }
    answer(upload->stream, &response);
    free(upload);
}

static void restore_taken(void *ctx, struct tcp_stream *stream, const char *bytes, size_t len)
{
    static const struct transport_ops ops = { .receive = upload_receive };
    struct upload *upload = ctx;
    struct transport file = { .ops = &ops, .ctx = upload };
    struct http_response response = { 0 };
    int err;

    upload->stream = stream;
    upload->early_len = MIN(len, sizeof(upload->early));
    if (!stream) {
        free(upload);
        return;
    }
    memcpy(upload->early, bytes, upload->early_len);
    err = restoring_begin(&upload->request, &file, restore_over, upload);
    if (!err)
        return;
    http_refuse(&response, 503, err == -EBUSY ? "too many images come already, at most %d may" : "no memory",
                RESTORING_MAX);
    answer(stream, &response);
    free(upload);
}

static void restore_handle(const struct http_request *request, struct http_response *response)
{
    struct restore_request wanted = { 0 };
    const struct flag flags[] = { { "paused", &wanted.paused }, { "new-identity", &wanted.new_identity } };
    const char *name = http_parameter(request, "name") ?: "";
    struct upload *upload;

    if (request->method != HTTP_POST) {
        snprintf(response->fields, sizeof(response->fields), "Allow: POST\r\n");
        http_refuse(response, 405, "expected POST");
        return;
    }
    if (!parse_options(request, flags, ARRAY_SIZE(flags), response))
        return;
    if (strlen(name) >= sizeof(wanted.name)) {
        http_refuse(response, 400, "name: '%.40s' is wrong, expected at most %zu bytes", name, sizeof(wanted.name) - 1);
        return;
    }
    upload = calloc(1, sizeof(*upload));
    if (!upload) {
        http_refuse(response, 503, "no memory");
        return;
    }
    snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    upload->request = wanted;
    upload->left = request->content_length;
    response->taker = restore_taken;
    response->taker_ctx = upload;
}

static bool is_save(const struct http_request *request)
{
    return request->nr_segments == 4 && !strcmp(request->segment[0], "v1") && !strcmp(request->segment[1], "vms") &&
           !strcmp(request->segment[3], "image");
}

static bool is_restore(const struct http_request *request)
{
    return request->nr_segments == 2 && !strcmp(request->segment[0], "v1") && !strcmp(request->segment[1], "images");
}

bool image_is_meant(const struct http_request *request)
{
    return is_save(request) || is_restore(request);
}

void image_handle(const struct http_request *request, struct http_response *response)
{
    if (is_save(request))
        save_handle(request, response);
    else
        restore_handle(request, response);
}
