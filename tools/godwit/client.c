/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcurl speaks HTTP. One handle serves all requests, so they share a connection.
 *
 * By HTTPS a hypervisor is who it should be if its certificate is of the CA that was given, or else if its public key
 * is the one that was remembered for it (pins.h). Nothing is sent before that, the token least of all.
 */
#include "tools/godwit/client.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/godwit/pins.h"

#define CONNECT_TIMEOUT 5L
#define TIMEOUT 45L /* the API lets a request wait for 30 s at most */
#define BODY_MAX (1 << 20)
#define URL 1024
#define TOKEN_MAX 255 /* characters that a hypervisor takes */
#define PATH 512
#define NO_EXPECT "Expect:"
#define SHOWN_BYTES 1000000     /* between two lines of progress */
#define UPLOAD_BUFFER (1 << 20) /* bytes that are read at once */

static CURL *curl;
static char base[URL / 2];
static struct curl_slist *fields;
static const char *ca_file; /* NULL: none was given */
static char pin[PIN];       /* of the hypervisor's public key, without a CA */
static char reason[CURL_ERROR_SIZE];

/* Is this an IPv6 address without brackets, and so without a port? Nothing else has two colons. */
static bool is_bare_ip6(const char *host)
{
    const char *colon = strchr(host, ':');

    return host[0] != '[' && colon && strchr(colon + 1, ':');
}

static int base_make(const char *host, bool insecure)
{
    const char *scheme = insecure ? "http" : "https";

    if (strstr(host, "://"))
        return snprintf(base, sizeof(base), "%s", host);
    return snprintf(base, sizeof(base), is_bare_ip6(host) ? "%s://[%s]" : "%s://%s", scheme, host);
}

/* Does libcurl take the address? It would say so only when it is asked to connect, and not what is wrong. */
static bool base_right(void)
{
    CURLU *url = curl_url();
    bool right = url && !curl_url_set(url, CURLUPART_URL, base, 0);

    curl_url_cleanup(url);
    return right;
}

bool client_is_secret(void)
{
    return !strncasecmp(base, "https:", strlen("https:"));
}

/* The host that requests go to, with its port: "192.0.2.10:443", "[fd09::2]:443". */
static void host_name(char name[URL])
{
    CURLU *url = curl_url();
    char *host = NULL, *port = NULL;

    name[0] = '\0';
    if (url && !curl_url_set(url, CURLUPART_URL, base, 0) && !curl_url_get(url, CURLUPART_HOST, &host, 0) &&
        !curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        snprintf(name, URL, "%s:%s", host, port);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
}

/* Does a port that speaks HTTPS look so to a client that speaks HTTP? It hangs up, or says something else. */
static bool is_answer_of_tls(CURLcode code)
{
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY;
}

/* A port that speaks HTTP waits in silence for the rest of a request, and that is no sign of TLS either. So a
 * request that ends before the connection is ready, handshake and all, has met no TLS. */
static CURLcode in_silence(CURL *handle, CURLcode code)
{
    curl_off_t ready = 0;

    curl_easy_getinfo(handle, CURLINFO_PRETRANSFER_TIME_T, &ready);
    return code == CURLE_OPERATION_TIMEDOUT && !ready ? CURLE_SSL_CONNECT_ERROR : code;
}

/* Say why there was no answer, and what to do. */
static void explain_failure(CURLcode code)
{
    const char *words = reason[0] ? reason : curl_easy_strerror(code);
    char host[URL];

    host_name(host);
    if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
        fprintf(stderr,
                "godwit: %s: ITS KEY HAS CHANGED: either it has a new one, or somebody else answers in its place. "
                "Nothing was sent. If you know that it has a new one, remove its line from %s\n",
                base, pins_file());
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        fprintf(stderr, "godwit: %s: %s; expected a certificate of the CA in %s for this name, and one that is valid\n",
                base, words, ca_file);
    else if (code == CURLE_SSL_CACERT_BADFILE)
        fprintf(stderr, "godwit: %s: it has no certificate, expected that of a CA, in PEM\n", ca_file);
    else if (client_is_secret() && (code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR))
        fprintf(stderr, "godwit: %s: %s; one without a certificate is asked with --insecure\n", base, words);
    else if (!client_is_secret() && is_answer_of_tls(code))
        fprintf(stderr, "godwit: %s: %s; one with a certificate is asked without --insecure and GODWIT_INSECURE\n",
                base, words);
    else
        fprintf(stderr, "godwit: %s: %s\n", base, words);
}

/* What each connection has. */
static void prepare_connection(CURL *handle)
{
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_NOPROXY, "*"); /* no proxy, whatever http_proxy says: one would see the token */
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    reason[0] = '\0';
}

/* Look at the key of the hypervisor, and say nothing to it. */
static enum status key_look(char key[PIN])
{
    CURL *handle = curl_easy_init();
    struct curl_certinfo *info = NULL;
    CURLcode code;

    key[0] = '\0';
    prepare_connection(handle);
    curl_easy_setopt(handle, CURLOPT_URL, base);
    curl_easy_setopt(handle, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(handle, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
    code = curl_easy_perform(handle);
    if (code == CURLE_OK)
        curl_easy_getinfo(handle, CURLINFO_CERTINFO, &info);
    else
        explain_failure(in_silence(handle, code));
    for (const struct curl_slist *line = info && info->num_of_certs ? info->certinfo[0] : NULL; line; line = line->next)
        if (!strncmp(line->data, "Cert:", strlen("Cert:")) && pin_of_certificate(line->data + strlen("Cert:"), key))
            break;
    curl_easy_cleanup(handle);
    if (code == CURLE_OK && !key[0])
        fprintf(stderr, "godwit: %s: it shows no certificate\n", base);
    return key[0] ? STATUS_OK : STATUS_UNREACHABLE;
}

/* Ask the person whether this is the key of the hypervisor, and remember it. */
static enum status key_accept(const char *host)
{
    enum status status = key_look(pin);
    char answer[16];

    if (status != STATUS_OK)
        return status;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr,
                "godwit: %s: its key is not known, and there is no terminal to ask: %s. Give --cacert FILE, or run a "
                "command on a terminal first\n",
                base, pin);
        return STATUS_UNREACHABLE;
    }
    fprintf(stderr, "The key of %s is not known. It is\n    %s\nIs that right (yes/no)? ", host, pin);
    if (!fgets(answer, sizeof(answer), stdin) || strcmp(answer, "yes\n") != 0) {
        fprintf(stderr, "godwit: nothing was sent\n");
        return STATUS_UNREACHABLE;
    }
    return pins_add(host, pin) ? STATUS_OK : STATUS_FAILED;
}

/* See to it that we know by what the hypervisor is told from others. */
static enum status key_find(bool ask)
{
    char host[URL];

    if (!client_is_secret() || ca_file)
        return STATUS_OK;
    host_name(host);
    if (pins_find(host, pin))
        return STATUS_OK;
    if (ask)
        return key_accept(host);
    fprintf(stderr, "godwit: %s: its key is not known; run a command with -H %s first\n", base, host);
    return STATUS_UNREACHABLE;
}

/* Can it be the token of anybody? */
static bool token_right(const char *token)
{
    size_t len = strlen(token);

    if (len > TOKEN_MAX)
        fprintf(stderr, "godwit: the token is too long: it has %zu characters, expected at most %d\n", len, TOKEN_MAX);
    for (const char *c = token; *c && len <= TOKEN_MAX; c++)
        if (*c <= ' ' || *c >= 0x7F) {
            fprintf(stderr, "godwit: the token has a blank or an odd character, expected one that mkkeys has made\n");
            return false;
        }
    return len <= TOKEN_MAX;
}

enum status client_init(const char *host, bool insecure, const char *token, const char *cacert)
{
    char field[512];
    int len = base_make(host, insecure);

    if (token && !token_right(token))
        return STATUS_USAGE;
    if (len < 0 || (size_t)len >= sizeof(base)) {
        fprintf(stderr, "godwit: the host's name is too long\n");
        return STATUS_USAGE;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!base_right()) {
        fprintf(stderr, "godwit: host '%s' is wrong, expected HOST, HOST:PORT, an IPv6 address or [ADDRESS]:PORT\n",
                host);
        return STATUS_USAGE;
    }
    if (!client_is_secret() && !insecure) {
        fprintf(stderr, "godwit: host '%s' is in the clear, expected https://, or --insecure with it\n", host);
        return STATUS_USAGE;
    }
    curl = curl_easy_init();
    if (!curl) {
        fprintf(stderr, "godwit: libcurl does not start\n");
        return STATUS_USAGE;
    }
    if (token) {
        snprintf(field, sizeof(field), "Authorization: Bearer %s", token);
        fields = curl_slist_append(fields, field);
    }
    fields = curl_slist_append(fields, NO_EXPECT); /* bodies are small: send them at once */
    ca_file = cacert;
    return key_find(true);
}

void client_fini(void)
{
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct reply *reply = ctx;
    size_t len = size * count;
    char *grown = reply->len + len <= BODY_MAX ? realloc(reply->body, reply->len + len + 1) : NULL;

    if (!grown)
        return 0; /* ends the transfer with an error */
    reply->body = grown;
    memcpy(grown + reply->len, data, len);
    reply->len += len;
    grown[reply->len] = '\0';
    return len;
}

/* The value of a header field if it has that name, "Name: "; else NULL. libcurl ends it with CRLF, not with NUL. */
static const char *field_value(const char *data, size_t len, const char *name)
{
    size_t at = strlen(name);

    return len > at && !strncasecmp(data, name, at) ? data + at : NULL;
}

static size_t on_field(char *data, size_t size, size_t count, void *ctx)
{
    const char *next = field_value(data, size * count, "Console-Next: ");
    const char *guest = field_value(data, size * count, "Console-Guest: ");
    const char *from = field_value(data, size * count, "Trace-Offset: ");
    const char *ended = field_value(data, size * count, "Trace-Ended: ");
    const char *memory = field_value(data, size * count, "Guest-Memory: ");
    struct reply *reply = ctx;

    if (next)
        reply->next = strtoul(next, NULL, 10);
    if (from)
        reply->from = strtoul(from, NULL, 10);
    if (ended)
        reply->ended = *ended == '1';
    if (memory)
        reply->memory = strtoul(memory, NULL, 10);
    if (guest)
        snprintf(reply->guest, sizeof(reply->guest), "%.*s", (int)strcspn(guest, "\r\n"), guest);
    return size * count;
}

static json_t *parsed(const struct reply *reply)
{
    return json_loads(reply->body ? reply->body : "", 0, NULL);
}

void reply_explain(const struct reply *reply)
{
    json_t *json = parsed(reply);
    const char *error = json_string_value(json_object_get(json, "error"));

    if (error)
        fprintf(stderr, "godwit: %s\n", error);
    else
        fprintf(stderr, "godwit: the answer is status %ld\n", reply->http);
    json_decref(json);
}

json_t *reply_json(struct reply *reply)
{
    json_t *json = reply->status == STATUS_OK ? parsed(reply) : NULL;

    if (reply->status != STATUS_OK || json)
        return json;
    fprintf(stderr, "godwit: the answer is not JSON\n");
    reply->status = STATUS_FAILED;
    return NULL;
}

/* Set what all requests have. */
static void prepare(const char *path, struct reply *reply)
{
    char url[URL];

    snprintf(url, sizeof(url), "%s%s", base, path);
    curl_easy_reset(curl);
    prepare_connection(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* that one and no other */
    } else if (client_is_secret()) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L); /* the key is all that is asked for */
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
        curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, pin);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
}

static void perform(struct reply *reply)
{
    CURLcode code = curl_easy_perform(curl);

    if (code != CURLE_OK) {
        explain_failure(in_silence(curl, code));
        reply->status = STATUS_UNREACHABLE;
        return;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->http);
    if (reply->http / 100 != 2)
        reply->status = reply->http == 401 || reply->http == 403 ? STATUS_REFUSED : STATUS_FAILED;
}

struct reply client_try(const char *path, const char *body, size_t len)
{
    struct reply reply = { .status = STATUS_OK };

    prepare(path, &reply);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
    }
    perform(&reply);
    return reply;
}

struct reply client_request(const char *path, const char *body, size_t len)
{
    struct reply reply = client_try(path, body, len);

    if (reply.http && reply.status != STATUS_OK)
        reply_explain(&reply);
    return reply;
}

json_t *client_ask(const char *path, const char *name, enum status *status)
{
    char *quoted = client_quote(name), whole[PATH];
    struct reply reply;
    json_t *json;

    snprintf(whole, sizeof(whole), "%s%s", path, quoted);
    free(quoted);
    reply = client_request(whole, NULL, 0);
    json = reply_json(&reply);
    *status = reply.status;
    reply_free(&reply);
    return json;
}

/* --- Bodies of any length --------------------------------------------------------------------------------------- */

/* Where a body goes: to a file, if the answer is not a refusal. */
struct download {
    struct reply *reply;
    FILE *file;
};

static size_t on_part(char *data, size_t size, size_t count, void *ctx)
{
    struct download *download = ctx;
    long http = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    if (http / 100 != 2)
        return on_body(data, size, count, download->reply);
    return size * fwrite(data, size, count, download->file);
}

static int on_progress(void *ctx, curl_off_t all_down, curl_off_t down, curl_off_t all_up, curl_off_t up)
{
    static curl_off_t shown;
    const struct reply *reply = ctx;
    curl_off_t bytes = down + up, all = all_down + all_up + (curl_off_t)reply->memory, us = 0;

    if (!isatty(STDERR_FILENO) || bytes - shown < SHOWN_BYTES)
        return 0;
    shown = bytes;
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME_T, &us);
    fprintf(stderr, "\r%lld MB", (long long)bytes / 1000000);
    if (all > bytes)
        fprintf(stderr, " of %s%lld", reply->memory ? "about " : "", (long long)all / 1000000);
    if (us)
        fprintf(stderr, ", %lld MB/s  ", (long long)(bytes / us));
    return 0;
}

/* Send and receive, with progress; a transfer may last as long as it gets on. */
static struct reply transfer(struct reply *reply)
{
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 0L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, reply);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)CURL_MAX_READ_SIZE);
    perform(reply);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    if (reply->status == STATUS_UNREACHABLE) /* if there was an answer, it was broken off */
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->http);
    else if (reply->http && reply->status != STATUS_OK)
        reply_explain(reply);
    return *reply;
}

struct reply client_download(const char *path, FILE *file)
{
    struct reply reply = { .status = STATUS_OK };
    struct download download = { &reply, file };

    prepare(path, &reply);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_part);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &download);
    return transfer(&reply);
}

/* The hypervisor says whether it wants the body before it is sent. */
struct reply client_upload(const char *path, FILE *file)
{
    struct reply reply = { .status = STATUS_OK };
    struct curl_slist *with_expect = NULL;
    off_t size;

    fseeko(file, 0, SEEK_END);
    size = ftello(file);
    rewind(file);
    prepare(path, &reply);
    for (const struct curl_slist *field = fields; field; field = field->next)
        if (strcmp(field->data, NO_EXPECT) != 0)
            with_expect = curl_slist_append(with_expect, field->data);
    with_expect = curl_slist_append(with_expect, "Expect: 100-continue");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, with_expect);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_READDATA, file);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, TIMEOUT * 1000);
    transfer(&reply);
    curl_slist_free_all(with_expect);
    return reply;
}

int client_go(const char *address)
{
    char *host = strstr(base, "://") + 3, *port = strchr(*host == '[' ? strchrnul(host, ']') : host, ':');
    char *old = strdup(port ? port : ""); /* "" or ":8080" */
    size_t room = sizeof(base) - (size_t)(host - base);
    int len = old ? snprintf(host, room, strchr(address, ':') ? "[%s]%s" : "%s%s", address, old) : -1;

    free(old);
    return len < 0 || (size_t)len >= room || key_find(false) != STATUS_OK ? -1 : 0;
}

void reply_free(struct reply *reply)
{
    free(reply->body);
    reply->body = NULL;
}

char *client_quote(const char *text)
{
    char *quoted = curl_easy_escape(curl, text, 0), *copy = quoted ? strdup(quoted) : NULL;

    curl_free(quoted);
    if (!copy) {
        fprintf(stderr, "godwit: no memory\n");
        exit(STATUS_FAILED);
    }
    return copy;
}
