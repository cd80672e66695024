/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the serial monitor and the godwit tool share: how they know a command by its name, and how they show JSON to
 * people. Members stand one a line, an array of objects is a table, an array of strings is lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Does `given` name the command? QEMU's names have dashes, and migrate_cancel has an underscore: both are accepted for
 * both. */
static inline bool command_name_is(const char *name, const char *given)
{
    while (*name && (*name == *given || (*name == '_' && *given == '-') || (*name == '-' && *given == '_'))) {
        name++;
        given++;
    }
    return *name == *given;
}

/*
 * Show `json`, which is well-formed and has no blanks between its tokens, as json.c writes it. put(ctx, bytes, len) is
 * called with the text, which holds only printable ASCII and newlines. Pure.
 */
void text_render(const char *json, void (*put)(void *ctx, const char *bytes, size_t len), void *ctx);
