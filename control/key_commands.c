/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about keys: what anybody may know of them, and of the cipher; files that take the place of those that the
 * boot has read. */
#define LOG_PREFIX "keys"
#include <errno.h>
#include <stdio.h>

#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/rtc.h"
#include "tls/certificate.h"
#include "tls/chacha20_choice.h"
#include "tls/keyring.h"
#include "tls/tokens.h"

#define OF (2 * KEYRING_NAME + KEYRING_HOST)

static void put_key(struct json *out, const struct keyring_key *key)
{
    char of[OF] = "group", since[RTC_TEXT];

    if (key->peer)
        snprintf(of, sizeof(of), "%s@%s", key->peer, key->host);
    rtc_text(key->since, since);
    json_object(out, NULL);
    json_string(out, "of", of);
    json_string(out, "id", key->id);
    json_string(out, "use", key->offered ? "offered" : "accepted");
    json_string(out, "since", since);
    json_close(out);
}

/* The codes that were measured at boot. */
static void put_codes(struct json *out)
{
    json_array(out, "codes");
    for (enum chacha20_code code = 0; code < NR_CHACHA20; code++) {
        if (!chacha20_rate(code))
            continue;
        json_object(out, NULL);
        json_string(out, "code", chacha20_names[code]);
        json_number(out, "bytes-per-second", chacha20_rate(code));
        json_close(out);
    }
    json_close(out);
}

int command_query_keys(struct call *call)
{
    struct keyring_key key;

    json_string(call->out, "name", keyring_name());
    json_string(call->out, "cipher", chacha20_names[chacha20_used()]);
    put_codes(call->out);
    json_array(call->out, "keys");
    for (unsigned i = 0; keyring_show(i, &key); i++)
        put_key(call->out, &key);
    json_close(call->out);
    return 0;
}

/* Log and tell that a file has taken the place of the one before. */
static void put_note(struct json *out, const char *what)
{
    pr_info("other %s from now on, until the next boot", what);
    json_string(out, "note", "until the next boot, which needs the same file on the boot volume");
}

/* The file was not taken. */
static int refuse(struct call *call, int err, unsigned line, const char *words)
{
    char where[24] = "";

    if (line)
        snprintf(where, sizeof(where), "line %u: ", line);
    return call_fail(call, err, "%s%s; the file before it stays in use", where, words);
}

int command_keys_set(struct call *call)
{
    struct keyring_fault fault;
    int err;

    if (!keyring_present())
        return call_fail(call, -EBUSY, "this hypervisor was booted without the section [keys], which says its name");
    err = keyring_read(call->file, call->file_len, keyring_name(), clock_ns(), &fault);
    if (err)
        return refuse(call, err, fault.line, fault.words);
    put_note(call->out, "keys");
    return command_query_keys(call);
}

int command_tokens_set(struct call *call)
{
    unsigned line;
    const char *wrong;

    if (!tokens_present())
        return call_fail(call, -EBUSY, "this hypervisor was booted without tokens, expected tokens in [api]");
    wrong = tokens_read(call->file, call->file_len, TOKEN_ADMIN, &line);
    if (wrong)
        return refuse(call, -EINVAL, line, wrong);
    put_note(call->out, "tokens");
    return 0;
}

int command_certificate_set(struct call *call)
{
    const char *wrong = certificate_read(call->file, call->file_len);

    if (wrong)
        return refuse(call, -EINVAL, 0, wrong);
    put_note(call->out, "certificates");
    return 0;
}

int command_cipher(struct call *call)
{
    enum chacha20_code code = (enum chacha20_code)call->arg[0].number;

    if (!chacha20_rate(code))
        return call_fail(call, -EBUSY, "this processor has no %s, or nothing to encrypt: query-keys shows what it has",
                         chacha20_names[code]);
    chacha20_use(code);
    pr_info("ChaCha20 by %s from now on", chacha20_names[code]);
    json_string(call->out, "cipher", chacha20_names[code]);
    return 0;
}
