/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/godwit/show.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/text.h"

static void put(void *ctx, const char *bytes, size_t len)
{
    fwrite(bytes, 1, len, ctx);
}

enum status show(struct reply *reply, bool as_json)
{
    json_t *json = reply_json(reply);
    /* The JSON is written anew, because text_render trusts its input. */
    char *text = json_dumps(json, as_json ? JSON_INDENT(2) | JSON_REAL_PRECISION(12)
                                          : JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));

    json_decref(json);
    if (!text)
        return reply->status;
    if (as_json)
        printf("%s\n", text);
    else
        text_render(text, put, stdout);
    free(text);
    return STATUS_OK;
}
