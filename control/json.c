/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Only printable ASCII goes out. Any other byte is escaped under its own number, so whatever a guest has said is valid
 * JSON.
 */
#include "control/json.h"

#include <stdio.h>
#include <string.h>

#include "host/panic.h"

#define FORMATTED_MAX 320

void json_init(struct json *json)
{
    *json = (struct json){ 0 };
}

void json_fini(struct json *json)
{
    buffer_fini(&json->buffer);
    json_init(json);
}

static void put(struct json *json, const char *bytes, size_t len)
{
    buffer_put(&json->buffer, bytes, len);
}

static void put_text(struct json *json, const char *text)
{
    put(json, text, strlen(text));
}

static void put_quoted(struct json *json, const char *bytes, size_t len)
{
    put(json, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        u8 byte = (u8)bytes[i];
        char escape[8];

        if (byte >= ' ' && byte < 0x7F && byte != '"' && byte != '\\') {
            put(json, &bytes[i], 1);
            continue;
        }
        if (byte == '"' || byte == '\\')
            snprintf(escape, sizeof(escape), "\\%c", byte);
        else
            snprintf(escape, sizeof(escape), "\\u%04x", byte);
        put_text(json, escape);
    }
    put(json, "\"", 1);
}

/* Write what stands in front of every value: comma and key. */
static void begin(struct json *json, const char *key)
{
    if (json->comma)
        put(json, ",", 1);
    json->comma = true;
    if (key) {
        put_quoted(json, key, strlen(key));
        put(json, ":", 1);
    }
}

static void level_open(struct json *json, const char *key, const char *opener, char closer)
{
    assert(json->depth < JSON_DEPTH);
    begin(json, key);
    put_text(json, opener);
    json->closer[json->depth++] = closer;
    json->comma = false;
}

void json_object(struct json *json, const char *key)
{
    level_open(json, key, "{", '}');
}

void json_array(struct json *json, const char *key)
{
    level_open(json, key, "[", ']');
}

void json_close(struct json *json)
{
    assert(json->depth > 0);
    put(json, &json->closer[--json->depth], 1);
    json->comma = true;
}

void json_string(struct json *json, const char *key, const char *value)
{
    json_bytes(json, key, value, strlen(value));
}

void json_bytes(struct json *json, const char *key, const char *bytes, size_t len)
{
    begin(json, key);
    put_quoted(json, bytes, len);
}

void json_format(struct json *json, const char *key, const char *format, ...)
{
    char text[FORMATTED_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_string(json, key, text);
}

void json_number(struct json *json, const char *key, u64 value)
{
    char digits[24];

    begin(json, key);
    snprintf(digits, sizeof(digits), "%lu", (unsigned long)value);
    put_text(json, digits);
}

void json_uuid(struct json *json, const char *key, const u8 id[16])
{
    json_format(json, key, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2],
                id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
}

void json_milli(struct json *json, const char *key, u64 thousandths)
{
    char digits[32];

    begin(json, key);
    snprintf(digits, sizeof(digits), "%lu.%03lu", (unsigned long)(thousandths / 1000),
             (unsigned long)(thousandths % 1000));
    put_text(json, digits);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin(json, key);
    put_text(json, value ? "true" : "false");
}
