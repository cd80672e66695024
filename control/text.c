/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON text is walked in place; a table is walked twice, to measure its columns and to show them. Nothing is
 * allocated.
 */
#include "control/text.h"

#include <stdbool.h>
#include <string.h>

#define COLUMNS 16 /* columns of a table; rows with more are shown one below the other */
#define DEPTH 8    /* nested levels that are shown */
#define GAP 2      /* blanks between columns */

struct output {
    void (*put)(void *ctx, const char *bytes, size_t len);
    void *ctx;
};

/* The end of the string that begins at p. */
static const char *string_end(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

/* The end of the value that begins at p. */
static const char *value_end(const char *p)
{
    unsigned depth = 0;

    do {
        if (*p == '"') {
            p = string_end(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        p++;
    } while (*p && (depth || (*p != ',' && *p != '}' && *p != ']')));
    return p;
}

static bool is_scalar(const char *p)
{
    return *p != '{' && *p != '[';
}

static void put_blanks(const struct output *out, size_t count)
{
    while (count-- > 0)
        out->put(out->ctx, " ", 1);
}

static void put_line_end(const struct output *out)
{
    out->put(out->ctx, "\n", 1);
}

/* Take one character of a string at *p, which then points behind it; a character that can't be printed becomes a
 * dot. */
static char string_char(const char **p)
{
    const char *at = *p;

    if (*at != '\\' || !at[1]) {
        (*p)++;
        return *at >= ' ' && *at < 0x7F ? *at : '.';
    }
    if (at[1] == 'u') {
        for (*p += 2; (size_t)(*p - at) < 6 && **p && **p != '"';)
            (*p)++;
        return '.';
    }
    *p += 2;
    return strchr("\"\\/", at[1]) ? at[1] : ' ';
}

/* Show the scalar or key at p, quotes removed; returns its width. out NULL: only measure. */
static size_t scalar(const struct output *out, const char *p)
{
    const char *end = *p == '"' ? string_end(p) : value_end(p);
    size_t width = 0;

    if (*p != '"') {
        if (out)
            out->put(out->ctx, p, (size_t)(end - p));
        return (size_t)(end - p);
    }
    for (p++; p < end - 1; width++) {
        char c = string_char(&p);

        if (out)
            out->put(out->ctx, &c, 1);
    }
    return width;
}

/* The next member or element after the value that ends at p; NULL: it was the last. */
static const char *next(const char *end)
{
    return *end == ',' ? end + 1 : NULL;
}

/* The first member or element of the container at p, or NULL. */
static const char *first(const char *p)
{
    return p[1] == '}' || p[1] == ']' || !p[1] ? NULL : p + 1;
}

/* The value of the member whose key is at p. */
static const char *member_value(const char *p)
{
    const char *end = string_end(p);

    return *end == ':' ? end + 1 : end;
}

static unsigned scalars(const char *object)
{
    unsigned count = 0;

    for (const char *m = first(object); m; m = next(value_end(member_value(m))))
        count += is_scalar(member_value(m));
    return count;
}

/* Have all rows as many scalars, and a table as many columns? */
static bool is_table(const char *rows)
{
    unsigned columns = scalars(first(rows));

    for (const char *row = first(rows); row; row = next(value_end(row)))
        if (scalars(row) != columns)
            return false;
    return columns <= COLUMNS;
}

struct table {
    size_t width[COLUMNS];
    unsigned columns;
};

static void widen(struct table *table, unsigned column, size_t width)
{
    if (column == table->columns)
        table->width[table->columns++] = 0;
    if (width > table->width[column])
        table->width[column] = width;
}

/* Measure the columns of an array of objects: by the keys of the first object and the scalars of all. */
static void table_measure(struct table *table, const char *rows)
{
    for (const char *row = first(rows); row; row = next(value_end(row))) {
        unsigned column = 0;

        for (const char *m = first(row); m; m = next(value_end(member_value(m)))) {
            if (!is_scalar(member_value(m)))
                continue;
            widen(table, column, scalar(NULL, m));
            widen(table, column++, scalar(NULL, member_value(m)));
        }
    }
}

/* Show one line: the keys (head) or the values of a row. Numbers are aligned to the right. */
static void table_line(const struct output *out, const struct table *table, const char *row, bool head, unsigned indent)
{
    unsigned column = 0;

    put_blanks(out, indent);
    for (const char *m = first(row); m; m = next(value_end(member_value(m)))) {
        const char *value = member_value(m), *shown = head ? m : value;
        size_t blanks;

        if (!is_scalar(value))
            continue;
        blanks = table->width[column++] - scalar(NULL, shown);
        if (*value != '"')
            put_blanks(out, blanks);
        scalar(out, shown);
        if (column < table->columns)
            put_blanks(out, *value == '"' ? blanks + GAP : GAP);
    }
    put_line_end(out);
}

static void show_table(const struct output *out, const char *rows, unsigned indent)
{
    struct table table = { .columns = 0 };
    const char *row = first(rows);

    table_measure(&table, rows);
    table_line(out, &table, row, true, indent);
    for (; row; row = next(value_end(row)))
        table_line(out, &table, row, false, indent);
}

static void show_object(const struct output *out, const char *p, unsigned indent, unsigned depth);

/* With an empty line between two. */
static void show_rows(const struct output *out, const char *rows, unsigned indent, unsigned depth)
{
    for (const char *row = first(rows); row; row = next(value_end(row))) {
        if (row != first(rows))
            put_line_end(out);
        show_object(out, row, indent, depth + 1);
    }
}

static void show_array(const struct output *out, const char *p, unsigned indent, unsigned depth)
{
    const char *element = first(p);

    if (element && *element == '{') {
        if (is_table(p))
            show_table(out, p, indent);
        else
            show_rows(out, p, indent, depth);
        return;
    }
    for (; element; element = next(value_end(element))) {
        if (!is_scalar(element))
            continue;
        put_blanks(out, indent);
        scalar(out, element);
        put_line_end(out);
    }
}

/* Show a container with its key as a heading; one that stands alone at the top needs no heading. */
static void show_container(const struct output *out, const char *key, const char *value, unsigned indent,
                           unsigned depth)
{
    if (!first(value)) {
        put_blanks(out, indent);
        scalar(out, key);
        out->put(out->ctx, ": none\n", 7);
        return;
    }
    put_blanks(out, indent);
    scalar(out, key);
    out->put(out->ctx, ":\n", 2);
    if (*value == '[')
        show_array(out, value, indent + GAP, depth + 1);
    else
        show_object(out, value, indent + GAP, depth + 1);
}

static void show_object(const struct output *out, const char *p, unsigned indent, unsigned depth)
{
    size_t width = 0;

    if (depth == DEPTH)
        return;
    for (const char *m = first(p); m; m = next(value_end(member_value(m))))
        if (is_scalar(member_value(m)) && scalar(NULL, m) > width)
            width = scalar(NULL, m);
    for (const char *m = first(p); m; m = next(value_end(member_value(m)))) {
        const char *value = member_value(m);

        if (!is_scalar(value)) {
            show_container(out, m, value, indent, depth);
            continue;
        }
        put_blanks(out, indent);
        put_blanks(out, GAP + width - scalar(out, m));
        scalar(out, value);
        put_line_end(out);
    }
}

void text_render(const char *json, void (*put)(void *ctx, const char *bytes, size_t len), void *ctx)
{
    struct output out = { put, ctx };
    const char *only;

    if (*json == '[') {
        show_array(&out, json, 0, 0);
        return;
    }
    if (*json != '{') {
        scalar(&out, json);
        put_line_end(&out);
        return;
    }
    /* A single table or list is shown without its heading. */
    only = first(json);
    if (only && *member_value(only) == '[' && first(member_value(only)) && !next(value_end(member_value(only))))
        show_array(&out, member_value(only), 0, 0);
    else
        show_object(&out, json, 0, 0);
}
