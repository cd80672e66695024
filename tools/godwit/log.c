/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/godwit/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH 256
#define WAIT_S 25
#define LINES "20" /* unless the user gives COUNT */

static void print_line(json_t *line, bool as_json)
{
    if (as_json) {
        json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        printf("\n");
        return;
    }
    printf("%s %-5s %s\n", json_string_value(json_object_get(line, "time")),
           json_string_value(json_object_get(line, "level")), json_string_value(json_object_get(line, "text")));
}

/* Ask once and print the lines that come. *next: the number of the line to ask for next. */
static enum status fetch(const char *path, bool as_json, json_int_t *next)
{
    enum status status;
    json_t *json = client_ask(path, "", &status), *line;
    json_int_t lost = json_integer_value(json_object_get(json, "lost"));
    size_t i;

    if (lost)
        fprintf(stderr, "godwit: %lld lines were lost\n", (long long)lost);
    json_array_foreach(json_object_get(json, "lines"), i, line) print_line(line, as_json);
    fflush(stdout);
    *next = json_integer_value(json_object_get(json, "next"));
    json_decref(json);
    return status;
}

enum status log_run(int argc, char **argv, bool as_json)
{
    bool follow = argc > 0 && !strcmp(argv[0], "--follow");
    char path[PATH], level[PATH / 2] = "", *count = client_quote(argc > follow ? argv[follow] : LINES);
    enum status status;
    json_int_t next;

    if (argc > follow + 1) {
        char *quoted = client_quote(argv[follow + 1]);

        snprintf(level, sizeof(level), "&level=%s", quoted);
        free(quoted);
    }
    snprintf(path, PATH, "/v1/log?count=%s%s", count, level);
    free(count);
    status = argc > follow + 2 ? STATUS_USAGE : fetch(path, as_json, &next);
    if (status == STATUS_USAGE)
        fprintf(stderr, "usage: godwit log %s\n", LOG_USAGE);
    while (status == STATUS_OK && follow) {
        snprintf(path, PATH, "/v1/log?since=%lld&wait=%d%s", (long long)next, WAIT_S, level);
        status = fetch(path, as_json, &next);
    }
    return status;
}
