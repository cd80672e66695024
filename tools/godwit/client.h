/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests to a hypervisor's HTTP API. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The exit status of the tool; docs/api.md explains it to the administrator. */
enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 1, /* the hypervisor refused or failed to do it */
    STATUS_USAGE = 2,
    STATUS_UNREACHABLE = 3,   /* no answer of the hypervisor that was meant */
    STATUS_REFUSED = 4,       /* no token, a wrong one, or one that is not good for it */
    STATUS_CANCELLED = 5,     /* a move was broken off; the guest runs where it was */
    STATUS_IN_DOUBT = 6,      /* a move's destination was told to run the guest and does not answer */
    STATUS_INTERRUPTED = 130, /* ended by Ctrl-C; a move goes on */
};

struct reply {
    enum status status; /* if not STATUS_OK, the reason is on stderr, or reply_explain will print it */
    long http;          /* status code; 0: no answer */
    char *body;         /* ends with NUL; reply_free frees it */
    size_t len;
    unsigned long next;   /* of the header "Console-Next" */
    char guest[16];       /* of the header "Console-Guest"; "": none */
    unsigned long from;   /* of the header "Trace-Offset" */
    bool ended;           /* of the header "Trace-Ended" */
    unsigned long memory; /* bytes, of the header "Guest-Memory" */
};

/* Say where requests go, whether in the clear, with which token (NULL: none), and which CA has made the hypervisor's
 * certificate (a file; NULL: its key is known, or the person is asked). Returns STATUS_OK, or another with the reason
 * on stderr. Once. */
enum status client_init(const char *host, bool insecure, const char *token, const char *cacert);
void client_fini(void);

/* Does nobody else hear what is sent? */
bool client_is_secret(void);

/* Send a request and wait for the reply. body NULL: a GET; else a POST of len bytes. */
struct reply client_request(const char *path, const char *body, size_t len);
/* What GET of `path` answers, with the quoted name behind it ("": none): as reply_json, with the status in *status. If
 * it is not STATUS_OK the reason is printed. */
json_t *client_ask(const char *path, const char *name, enum status *status);
/* As client_request, but a refusal of the hypervisor is not explained: reply_explain does that. */
struct reply client_try(const char *path, const char *body, size_t len);
/* As client_request, with bodies of any length, and progress on stderr if that is a terminal: the body of the answer
 * goes to a file, or a file is the body of a POST. */
struct reply client_download(const char *path, FILE *file);
struct reply client_upload(const char *path, FILE *file);
void reply_explain(const struct reply *reply);
/* What a reply says that is STATUS_OK. The caller frees it by json_decref. NULL: it is not STATUS_OK; or it was, but is
 * none of JSON: then the reason is printed, and it is STATUS_FAILED from now on. */
json_t *reply_json(struct reply *reply);
void reply_free(struct reply *reply);

/* From now on ask the hypervisor at this address, IPv4 or IPv6 without brackets, with the same port and token as
 * before. Returns 0, or -1: the address is too long, or the hypervisor's key is not known. */
int client_go(const char *address);

/* Quote text for a path or a query. The caller frees the result with free(). */
char *client_quote(const char *text);
