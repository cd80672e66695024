/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/sections.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/digest.h"

#define HEAD sizeof(struct wire_section)

int sections_init(struct sections *sections)
{
    *sections = (struct sections){ .bytes = malloc(SECTIONS_ROOM) };
    return sections->bytes ? 0 : -ENOMEM;
}

void sections_fini(struct sections *sections)
{
    free(sections->bytes);
    *sections = (struct sections){ 0 };
}

void sections_clear(struct sections *sections)
{
    sections->len = sections->number = 0;
    sections->digest = 0;
}

/* Another section is there, behind the others. */
static void count(struct sections *sections, const struct wire_section *head)
{
    const u8 *bytes = sections->bytes + sections->len + HEAD;

    sections->digest = digest_bytes(digest_bytes(sections->digest, head, HEAD), bytes, head->len);
    sections->len += HEAD + head->len;
    sections->number++;
}

/* Save the next section. Returns 0; -ENOENT: there is none; or another -errno. */
static int save(struct sections *sections, section_fn *section, void *vm, char reason[WIRE_REASON])
{
    size_t room = SECTIONS_ROOM - sections->len;
    struct wire_section head = { .instance = 0 };
    struct codec c;

    if (room < HEAD) {
        snprintf(reason, WIRE_REASON, "no room for its state");
        return -ENOSPC;
    }
    c = codec_saver(sections->bytes + sections->len + HEAD, room - HEAD);
    section(vm, sections->number, &head, &c);
    if (c.err) {
        snprintf(reason, WIRE_REASON, "state of %s %u: %s", head.name, head.instance, c.why);
        return c.err;
    }
    head.len = (u32)c.at;
    memcpy(sections->bytes + sections->len, &head, HEAD);
    count(sections, &head);
    return 0;
}

int sections_save(struct sections *sections, section_fn *section, void *vm, char reason[WIRE_REASON])
{
    int err;

    sections_clear(sections);
    do
        err = save(sections, section, vm, reason);
    while (!err);
    return err == -ENOENT ? 0 : err;
}

int sections_add(struct sections *sections, const void *body, size_t len)
{
    struct wire_section head;

    if (len < HEAD)
        return -EPROTO;
    memcpy(&head, body, HEAD);
    if (head.len != len - HEAD || !memchr(head.name, 0, sizeof(head.name)))
        return -EPROTO;
    if (len > SECTIONS_ROOM - sections->len)
        return -ENOSPC;
    memcpy(sections->bytes + sections->len, body, len);
    count(sections, &head);
    return 0;
}

size_t sections_next(const struct sections *sections, size_t *at, const void **body)
{
    struct wire_section head;

    if (*at == sections->len)
        return 0;
    *body = sections->bytes + *at;
    memcpy(&head, *body, HEAD);
    *at += HEAD + head.len;
    return HEAD + head.len;
}

int sections_restore(const struct sections *sections, section_fn *section, void *vm, char reason[WIRE_REASON])
{
    const void *body;
    size_t at = 0, len;

    for (unsigned i = 0; (len = sections_next(sections, &at, &body)); i++) {
        struct codec c = codec_restorer((const u8 *)body + HEAD, len - HEAD);
        struct wire_section head;

        memcpy(&head, body, HEAD);
        section(vm, i, &head, &c);
        codec_judge(&c, c.at == c.len, "it is longer than expected");
        if (c.err) {
            snprintf(reason, WIRE_REASON, "state of %s %u: %s", head.name, head.instance, c.why);
            return c.err;
        }
    }
    return 0;
}
