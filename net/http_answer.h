/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the heads of HTTP/1.1 answers (RFC 9112): of those only that say how long their body is, because no other
 * answer is needed from an etcd. Pure. The bytes are a stranger's.
 */
#pragma once

#include "host/types.h"

#define HTTP_ANSWER_MAX 4096 /* bytes of an answer, head and body */

struct http_answer {
    size_t head;       /* bytes of the head; 0: it is not complete yet */
    size_t body;       /* bytes of the body behind it */
    int status;        /* 200 ... */
    bool closes;       /* no further answer comes over its connection */
    const char *fault; /* why this is no answer that can be read, in words; NULL: it can */
};

/* Look for an answer at the start of buf[0..len). The rest is meaningful if head > 0 and fault is NULL. */
struct http_answer http_answer_parse(const char *buf, size_t len);
