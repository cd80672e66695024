/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the serial monitor and the godwit tool have in common: how they know a command by its name, and JSON for
 * people's eyes, as they show its result. Members stand one a line, an array of objects is a table, an array of strings
 * is lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is this what somebody calls the command? QEMU's names have dashes, and migrate_cancel has an underscore: either is as
 * good as the other. */
static inline bool command_name_is(const char *name, const char *given)
{
    while (*name && (*name == *given || (*name == '_' && *given == '-') || (*name == '-' && *given == '_'))) {
        name++;
        given++;
    }
    return *name == *given;
}

/*
 * Show `json`: well-formed and without blanks between its tokens, as json.c writes it. put(ctx, bytes, len) is called
 * with the text, which holds printable ASCII and newlines only. Pure.
 */
void text_render(const char *json, void (*put)(void *ctx, const char *bytes, size_t len), void *ctx);
