/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads HTTP/1.1 requests (RFC 9112) out of a buffer of received bytes. Pure: no allocation, no state between calls.
 *
 * The bytes are a stranger's. A request's head is copied into fixed fields, so nothing in `struct http_request` points
 * into the buffer.
 */
#pragma once

#include "host/types.h"
#include "net/tcp_address.h"

#define HTTP_HEAD_MAX 4096  /* bytes of request line and fields; more: 431 */
#define HTTP_TARGET_MAX 512 /* bytes of the target; more: 414 */
#define HTTP_BODY_MAX 8192  /* bytes of a body, unless it is for a taker (http_server.h) */
#define HTTP_FIELDS_MAX 64  /* fields; more: 431 */
#define HTTP_SEGMENTS 6     /* segments of a path; no deeper path exists here */
#define HTTP_PARAMETERS 8   /* parameters of a query; more: 400 */
#define HTTP_BEARER 256

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

struct http_parameter {
    const char *name, *value; /* in text */
};

struct http_request {
    struct tcp_address from; /* set by the server, as the next one is */
    bool known;              /* an earlier request of this connection was a known client's */
    enum http_method method;
    bool keep_alive;
    bool expect_continue; /* the client waits for "100 Continue" before it sends its body */
    u64 content_length;
    char bearer[HTTP_BEARER]; /* token of "Authorization: Bearer ..."; "": none */

    /* The path "/v1/vms/web" is the segments "v1", "vms", "web"; decoded. */
    unsigned nr_segments;
    const char *segment[HTTP_SEGMENTS]; /* in text */
    unsigned nr_parameters;
    struct http_parameter parameter[HTTP_PARAMETERS];
    char text[HTTP_TARGET_MAX + HTTP_PARAMETERS + 2]; /* a parameter may have no "=" and yet two terminators */
};

struct http_result {
    size_t head;        /* bytes of the head; 0: it is not complete yet */
    int status;         /* 0, or the status code that refuses the request; the connection cannot go on after it */
    const char *reason; /* with status: what was wrong */
};

/* How many bytes of empty lines buf[0..len) begins with. Some clients send one behind a body. RFC 9112 "Message
 * Parsing" wants it ignored where a request is expected. */
size_t http_empty_lines(const char *buf, size_t len);

/* Look for a request at the start of buf[0..len). *request is meaningful if head > 0 and status is 0. */
struct http_result http_parse(const char *buf, size_t len, struct http_request *request);

/* The value of a query parameter, or NULL. */
const char *http_parameter(const struct http_request *request, const char *name);

/* The words for a status code: "Not Found" ... */
const char *http_status_text(int status);
