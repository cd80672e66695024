/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/http_parse.c net/http_head.c */
/*
 * libFuzzer entry for the request parser: any bytes give a complete request, a refusal or a wish for more; more bytes
 * behind a complete head change nothing.
 */

#include "tests/fuzz/fuzz.h"
#include "control/http_parse.h"

static bool in_text(const struct http_request *request, const char *text)
{
    return text >= request->text && text < request->text + sizeof(request->text) &&
           memchr(text, 0, (size_t)(request->text + sizeof(request->text) - text));
}

static void check(const struct http_request *request)
{
    REQUIRE(request->content_length < 1ULL << 60);
    REQUIRE(memchr(request->bearer, 0, sizeof(request->bearer)));
    REQUIRE(request->nr_segments <= HTTP_SEGMENTS && request->nr_parameters <= HTTP_PARAMETERS);
    for (unsigned i = 0; i < request->nr_segments; i++)
        REQUIRE(in_text(request, request->segment[i]));
    for (unsigned i = 0; i < request->nr_parameters; i++)
        REQUIRE(in_text(request, request->parameter[i].name) && in_text(request, request->parameter[i].value));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct http_request request, again;
    char *copy = malloc(size ? size : 1); /* of exactly its size, for the sanitizer */
    struct http_result result, shorter;

    REQUIRE(copy);
    memcpy(copy, data, size);
    result = http_parse(copy, size, &request);
    REQUIRE(result.head <= size && result.head <= HTTP_HEAD_MAX);
    REQUIRE(!result.status == !result.reason);
    REQUIRE(result.head || result.status || size < HTTP_HEAD_MAX);
    if (result.status)
        REQUIRE(strcmp(http_status_text(result.status), "Unknown") != 0);
    if (result.head && !result.status) {
        check(&request);
        shorter = http_parse(copy, result.head, &again);
        REQUIRE(shorter.head == result.head && !shorter.status && again.content_length == request.content_length);
        REQUIRE(!http_parse(copy, result.head - 1, &again).head);
    }
    free(copy);
    return 0;
}
