/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON for people's eyes: how the serial monitor and the godwit tool show a command's result. Members stand one a line,
 * an array of objects is a table, an array of strings is lines.
 */
#pragma once

#include <stddef.h>

/*
 * Show `json`: well-formed and without blanks between its tokens, as json.c writes it. put(ctx, bytes, len) is called
 * with the text, which holds printable ASCII and newlines only. Pure.
 */
void text_render(const char *json, void (*put)(void *ctx, const char *bytes, size_t len), void *ctx);
