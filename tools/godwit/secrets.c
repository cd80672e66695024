/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/godwit/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/godwit/show.h"

#define FILE_MAX 8192 /* bytes: what a hypervisor takes (docs/api.md) */
#define PATH 64

/* Fill `text` with the file; returns its length. 0: it is empty, or cannot be read, which is said on stderr. */
static size_t file_read(const char *name, char text[FILE_MAX + 1])
{
    FILE *file = fopen(name, "rb");
    size_t len = file ? fread(text, 1, FILE_MAX + 1, file) : 0;

    if (!file || ferror(file))
        fprintf(stderr, "godwit: %s: %s\n", name, strerror(errno));
    else if (!len)
        fprintf(stderr, "godwit: %s: it is empty\n", name);
    else if (len > FILE_MAX)
        fprintf(stderr, "godwit: %s: it is too long, expected at most %d bytes\n", name, FILE_MAX);
    if (!file || ferror(file) || len > FILE_MAX)
        len = 0;
    if (file)
        fclose(file);
    return len;
}

enum status secrets_run(const char *command, const char *file, bool as_json)
{
    char text[FILE_MAX + 1], path[PATH];
    struct reply reply;
    size_t len;

    if (!client_is_secret()) {
        fprintf(stderr, "godwit: %s: that is for nobody else to see, expected a hypervisor with a certificate\n", file);
        return STATUS_USAGE;
    }
    len = file_read(file, text);
    if (!len)
        return STATUS_FAILED;
    snprintf(path, sizeof(path), "/v1/%s", command);
    reply = client_request(path, text, len);
    explicit_bzero(text, sizeof(text));
    if (reply.status == STATUS_OK)
        reply.status = show(&reply, as_json);
    reply_free(&reply);
    return reply.status;
}
