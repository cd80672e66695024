/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: owners/etcd.c owners/base64.c net/http_answer.c net/http_head.c tests/unit/stubs.c */
/* libs: -lcmocka */
/*
 * libFuzzer entry for what a witness answers: the input is an answer, or the body of a good one. Whatever it is, it is
 * incomplete, refused in words, or says what the question asked for in printable text.
 */
#include "tests/fuzz/fuzz.h"

#include "net/http_answer.h"
#include "owners/etcd.h"

static bool is_printable(const char *text, size_t room)
{
    const char *end = memchr(text, 0, room);

    for (; end && text < end; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return end;
}

static void check(const struct etcd_question *question, int status, const char *body, size_t len)
{
    char *copy = malloc(len ? len : 1); /* of exactly its size, for the sanitizer */
    struct etcd_answer answer;

    REQUIRE(copy);
    memcpy(copy, body, len);
    etcd_answer(question, status, copy, len, &answer);
    REQUIRE(is_printable(answer.value, sizeof(answer.value)) && is_printable(answer.fault, sizeof(answer.fault)));
    REQUIRE(status == 200 || answer.fault[0]);
    REQUIRE(answer.fault[0] || answer.cluster);
    REQUIRE(question->swap || !answer.swapped);
    REQUIRE(answer.present || !answer.value[0] || answer.fault[0]);
    free(copy);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };
    u8 kind = fuzz_u8(&fuzz);
    const struct etcd_question question = { .key = "k", .swap = kind & 1, .value = "v" };
    const char *text = (const char *)fuzz.data;
    struct http_answer answer;

    if (kind & 2) {
        check(&question, kind & 4 ? 503 : 200, text, fuzz.size);
        return 0;
    }
    answer = http_answer_parse(text, fuzz.size);
    REQUIRE(answer.head <= fuzz.size);
    if (answer.fault || !answer.head)
        return 0;
    REQUIRE(answer.head + answer.body <= HTTP_ANSWER_MAX && answer.status >= 100 && answer.status <= 999);
    if (answer.head + answer.body <= fuzz.size)
        check(&question, answer.status, text + answer.head, answer.body);
    return 0;
}
