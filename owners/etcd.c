/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jsmn (Debian's libjsmn-dev) cuts the answer into tokens, which lie in the order of the text: an object, then for each
 * of its members the name and the value. It does not see to it that each name has a value, so we do. etcd leaves out
 * members whose values are false, 0 or empty.
 */
#include "owners/etcd.h"

#include <stdio.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "host/panic.h"
#include "owners/base64.h"

#define TOKENS 64 /* an answer has about 30 */
#define KEY_TEXT BASE64_ROOM(ETCD_KEY)
#define VALUE_TEXT BASE64_ROOM(ETCD_VALUE)

struct words {
    const char *at;
    size_t len;
};

struct document {
    const char *text;
    jsmntok_t token[TOKENS];
    int count;
};

static int write_read(const char *key, char *body, size_t room)
{
    return snprintf(body, room, "{\"key\":\"%s\"}", key);
}

static int write_swap(const struct etcd_question *question, const char *key, char *body, size_t room)
{
    char expected[VALUE_TEXT], value[VALUE_TEXT], compare[VALUE_TEXT + 64];

    base64_encode(question->expected, strlen(question->expected), expected);
    base64_encode(question->value, strlen(question->value), value);
    if (question->create)
        snprintf(compare, sizeof(compare), "\"target\":\"CREATE\",\"createRevision\":\"0\"");
    else
        snprintf(compare, sizeof(compare), "\"target\":\"VALUE\",\"value\":\"%s\"", expected);
    return snprintf(body, room,
                    "{\"compare\":[{\"key\":\"%s\",\"result\":\"EQUAL\",%s}],"
                    "\"success\":[{\"requestPut\":{\"key\":\"%s\",\"value\":\"%s\"}}],"
                    "\"failure\":[{\"requestRange\":{\"key\":\"%s\"}}]}",
                    key, compare, key, value, key);
}

size_t etcd_request(const struct etcd_question *question, const char *host, char request[ETCD_REQUEST])
{
    char key[KEY_TEXT], body[ETCD_REQUEST];
    int len;

    base64_encode(question->key, strlen(question->key), key);
    len = question->swap ? write_swap(question, key, body, sizeof(body)) : write_read(key, body, sizeof(body));
    assert(len > 0 && (size_t)len < sizeof(body));
    len = snprintf(request, ETCD_REQUEST,
                   "POST /v3/kv/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   question->swap ? "txn" : "range", host, len, body);
    assert(len > 0 && len < ETCD_REQUEST);
    return (size_t)len;
}

/* The token behind one and all that is in it. */
static int behind(const struct document *document, int token)
{
    int next = token + 1;

    while (next < document->count && document->token[next].start < document->token[token].end)
        next++;
    return next;
}

static bool has_type(const struct document *document, int token, jsmntype_t type)
{
    return token >= 0 && document->token[token].type == type;
}

/* What a token says, a string without its quotes; nothing for -1. */
static struct words words_of(const struct document *document, int token)
{
    const jsmntok_t *t = document->token + (token < 0 ? 0 : token);

    return token < 0 ? (struct words){ "", 0 }
                     : (struct words){ document->text + t->start, (size_t)(t->end - t->start) };
}

static bool token_is(const struct document *document, int token, const char *text)
{
    struct words words = words_of(document, token);

    return words.len == strlen(text) && !memcmp(words.at, text, words.len);
}

/* The value of an object's member; -1: there is none, or `object` is none. */
static int member(const struct document *document, int object, const char *name)
{
    int end;

    if (!has_type(document, object, JSMN_OBJECT))
        return -1;
    end = behind(document, object);
    for (int at = object + 1; at + 1 < end; at = behind(document, at + 1)) {
        if (document->token[at].type != JSMN_STRING || document->token[at].size != 1)
            return -1;
        if (token_is(document, at, name))
            return at + 1;
    }
    return -1;
}

/* The only element of an array; -1: it has another number of them, or `array` is none. */
static int only(const struct document *document, int array)
{
    return has_type(document, array, JSMN_ARRAY) && document->token[array].size == 1 ? array + 1 : -1;
}

static bool fail(struct etcd_answer *answer, const char *fault)
{
    snprintf(answer->fault, sizeof(answer->fault), "%s", fault);
    return false;
}

static bool read_number(struct words words, u64 *number)
{
    *number = 0;
    for (size_t i = 0; i < words.len; i++) {
        u64 digit = (u64)words.at[i] - '0';

        if (digit > 9 || *number > (~0ULL - digit) / 10)
            return false;
        *number = 10 * *number + digit;
    }
    return *number > 0;
}

static bool read_cluster(const struct document *document, struct etcd_answer *answer)
{
    int id = member(document, member(document, 0, "header"), "cluster_id");

    return read_number(words_of(document, id), &answer->cluster) || fail(answer, "the answer is not one of an etcd");
}

/* What does not print could do harm where it is shown. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* What a range found: no key, or one. */
static bool read_range(const struct document *document, int range, struct etcd_answer *answer)
{
    int kvs = member(document, range, "kvs"), value = member(document, only(document, kvs), "value");
    struct words words = words_of(document, value);
    long len;

    if (kvs < 0)
        return true;
    if (only(document, kvs) < 0 || (value >= 0 && !has_type(document, value, JSMN_STRING)))
        return fail(answer, "the answer does not say what the key has");
    len = base64_decode(words.at, words.len, answer->value, ETCD_VALUE - 1);
    if (len < 0 || memchr(answer->value, '\0', (size_t)len))
        return fail(answer, "the key has a value that is none of ours: too long, or no text");
    answer->present = true;
    make_printable(answer->value);
    return true;
}

static bool read_txn(const struct document *document, struct etcd_answer *answer)
{
    int succeeded = member(document, 0, "succeeded");
    int response = only(document, member(document, 0, "responses"));
    int put = member(document, response, "response_put"), range = member(document, response, "response_range");

    answer->swapped = token_is(document, succeeded, "true");
    if (answer->swapped ? put < 0 : range < 0)
        return fail(answer, "the answer does not say how the swap ended");
    return answer->swapped || read_range(document, range, answer);
}

/* etcd says in words why it does not do what it was asked. */
static bool refused(const struct document *document, int status, struct etcd_answer *answer)
{
    struct words words = words_of(document, member(document, 0, "error"));

    snprintf(answer->fault, sizeof(answer->fault), "status %d%s%.*s", status, words.len ? ": " : "", (int)words.len,
             words.at);
    make_printable(answer->fault);
    return false;
}

void etcd_answer(const struct etcd_question *question, int status, const char *body, size_t len,
                 struct etcd_answer *answer)
{
    struct document document = { .text = body };
    jsmn_parser parser;

    *answer = (struct etcd_answer){ 0 };
    jsmn_init(&parser);
    document.count = jsmn_parse(&parser, body, len, document.token, TOKENS);
    if (document.count < 1)
        document = (struct document){ .text = body, .count = 1 };
    if (status != 200)
        refused(&document, status, answer);
    else if (read_cluster(&document, answer))
        (void)(question->swap ? read_txn(&document, answer) : read_range(&document, 0, answer));
    if (answer->fault[0])
        answer->value[0] = '\0'; /* a part of it may have been read */
}
