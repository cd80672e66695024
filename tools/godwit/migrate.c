/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The move is the hypervisor's work and goes on if this tool is stopped; the tool asks for the move's state until it is
 * over. Progress goes to stderr: on a terminal one line that changes, else a line whenever a stage or round begins. The
 * result goes to stdout.
 */
#include "tools/godwit/migrate.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 100
#define DOUBT_POLLS 100    /* polls until a move in doubt is left to the administrator */
#define HAND_OVER_POLLS 30 /* polls in doubt that the end of a move that goes well may take, and more */
#define PATH 512
#define BAR 24

struct options {
    const char *vm, *dest, *mode;
    const char *timeout;
    bool check, verify, images, stopped, force, detach;
};

static bool usage(const char *what, const char *word)
{
    if (what)
        fprintf(stderr, "godwit: migrate: %s '%s'\n", what, word);
    fprintf(stderr, "usage: godwit migrate " MIGRATE_USAGE "\n");
    return false;
}

static bool is_mode(const char *word)
{
    static const char *const modes[] = { "live", "stop-copy", "post-copy", "hybrid", "demand", "cold", "auto", NULL };
    unsigned i = 0;

    while (modes[i] && strcmp(word, modes[i]) != 0)
        i++;
    return modes[i];
}

static bool parse(int argc, char **argv, struct options *o)
{
    bool names = false; /* "--" has come: a word that is no known option is a name, even if it begins with - */

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];

        if (!names && !strcmp(word, "--"))
            names = true;
        else if (!strcmp(word, "--check"))
            o->check = true;
        else if (!strcmp(word, "--verify"))
            o->verify = true;
        else if (!strcmp(word, "--detach"))
            o->detach = true;
        else if (!strcmp(word, "--with-images"))
            o->images = true;
        else if (!strcmp(word, "--stopped"))
            o->stopped = true;
        else if (!strcmp(word, "--force"))
            o->force = true;
        else if (!strcmp(word, "--timeout") && i + 1 < argc)
            o->timeout = argv[++i];
        else if (!strcmp(word, "--mode") && i + 1 < argc && is_mode(argv[i + 1]))
            o->mode = argv[++i];
        else if (!strcmp(word, "--mode"))
            return usage("--mode wants live, stop-copy, post-copy, hybrid, demand, cold or auto, not",
                         i + 1 < argc ? argv[i + 1] : "nothing");
        else if (word[0] == '-' && !names)
            return usage("unknown option, or one without its value:", word);
        else if (!o->vm)
            o->vm = word;
        else if (!o->dest)
            o->dest = word;
        else
            return usage("one argument too many:", word);
    }
    return o->dest ? true : usage(NULL, NULL);
}

/* --- What the answers hold --------------------------------------------------------------------------------------- */

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static enum status begin(const struct options *o)
{
    char *vm = client_quote(o->vm), *dest = client_quote(o->dest), path[PATH];
    struct reply reply;

    snprintf(path, sizeof(path), "/v1/vms/%s/%s?dest=%s&options=%s%s%s%s%s%s%s", vm,
             o->check ? "migrate-check" : "migrate", dest, o->mode, o->verify ? ",verify" : "",
             o->images ? ",with-images" : "", o->stopped ? ",stopped" : "", o->force ? ",force" : "",
             o->timeout ? ",timeout%3D" : "", o->timeout ? o->timeout : "");
    free(vm);
    free(dest);
    reply = client_request(path, "", 0);
    reply_free(&reply);
    return reply.status;
}

/* --- Progress --------------------------------------------------------------------------------------------------- */

/* Does its guest start anew at the destination? */
static bool is_cold(const json_t *move)
{
    return !strcmp(text(move, "mode"), "cold");
}

/* The expected downtime, in words. The first round shows how fast the guest writes: before its end there is no
 * expectation. While the guest is throttled, the expectation is the one under the throttle. Of a guest that has been
 * handed over before its memory (post-copy) there is none either; in mode demand nothing comes until somebody asks. */
static const char *expected(const json_t *move, const json_t *ram, char *buffer, size_t room)
{
    double throttle = number(move, "cpu-throttle-percentage");
    int length;

    if (is_cold(move))
        return "";
    if (!strncmp(text(move, "status"), "postcopy-", strlen("postcopy-")))
        return strcmp(text(move, "mode"), "demand") ? "the guest runs there"
                                                    : "the guest runs there; 'godwit pull' sends the rest";
    if (number(ram, "dirty-sync-count") == 0)
        return "expected downtime not known yet";
    length = snprintf(buffer, room, "expected downtime %.0f ms", number(move, "expected-downtime"));
    if (throttle > 0 && (size_t)length < room)
        snprintf(buffer + length, room - (size_t)length, ", kept from running %.0f %% of the time", throttle);
    return buffer;
}

static bool is_over(const char *status)
{
    return !strcmp(status, "completed") || !strcmp(status, "failed") || !strcmp(status, "cancelled");
}

/* Do the files from which the guest starts still follow it? */
static bool is_followed(const json_t *move)
{
    return !strcmp(text(move, "status"), "completed") &&
           !strcmp(text(json_object_get(move, "images"), "status"), "coming");
}

/* Does nobody know when it goes on? */
static bool is_doubtful(const char *status)
{
    return !strcmp(status, "in-doubt") || !strcmp(status, "postcopy-paused");
}

/* Fill buffer with the stage: "active, round 3", rounds counted from 1; "device". */
static void stage(const json_t *move, const json_t *ram, char *buffer, size_t room)
{
    if (is_cold(move) && !strcmp(text(move, "status"), "active"))
        snprintf(buffer, room, "its files");
    else if (is_cold(move) && !strcmp(text(move, "status"), "pre-switchover"))
        snprintf(buffer, room, "shutting down");
    else if (!strcmp(text(move, "status"), "active"))
        snprintf(buffer, room, "active, round %.0f", number(ram, "dirty-sync-count") + 1);
    else
        snprintf(buffer, room, "%s", text(move, "status"));
}

static void show_bar(const json_t *move, const json_t *ram)
{
    double total = number(ram, "total"), done = total ? 1 - number(ram, "remaining") / total : 0;
    char bar[BAR + 1], now[64], downtime[96];

    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(done * BAR) ? '#' : '.';
    bar[BAR] = '\0';
    stage(move, ram, now, sizeof(now));
    fprintf(stderr, "\r\033[K%-16s [%s] %6.1f MiB left  %7.1f Mbit/s  %s", now, bar,
            number(ram, "remaining") / (1 << 20), number(ram, "mbps"), expected(move, ram, downtime, sizeof(downtime)));
}

/* Print a line whenever a stage or a round begins; `last` remembers it. The end is left to the result. */
static void show_line(const json_t *move, const json_t *ram, char *last, size_t room)
{
    char line[128], downtime[96], rate[32] = "";
    const char *words = expected(move, ram, downtime, sizeof(downtime));

    stage(move, ram, line, sizeof(line));
    if (!strcmp(line, last) || is_over(text(move, "status")))
        return;
    snprintf(last, room, "%s", line);
    if (number(ram, "mbps") > 0) /* known from the first pages on */
        snprintf(rate, sizeof(rate), " at %.0f Mbit/s", number(ram, "mbps"));
    fprintf(stderr, "%s: %.1f MiB left%s%s%s\n", line, number(ram, "remaining") / (1 << 20), rate, *words ? ", " : "",
            words);
}

/* Ask until the move is over, or has been in doubt for long. Returns the last answer, or NULL. show: print the
 * progress; a check has none. */
static json_t *watch(const char *vm, bool show, enum status *status)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
    bool terminal = isatty(STDERR_FILENO);
    char last[128] = "";
    unsigned doubtful = 0;
    json_t *move;

    while ((move = client_ask("/v1/query-migrate?name=", vm, status))) {
        const json_t *ram = json_object_get(move, "ram");
        bool news;

        doubtful = is_doubtful(text(move, "status")) ? doubtful + 1 : 0;
        news = show && (!doubtful || doubtful >= HAND_OVER_POLLS);
        if (news && terminal)
            show_bar(move, ram);
        else if (news)
            show_line(move, ram, last, sizeof(last));
        if ((is_over(text(move, "status")) && !is_followed(move)) || doubtful == DOUBT_POLLS)
            break;
        json_decref(move);
        nanosleep(&pause, NULL);
    }
    if (show && terminal)
        fprintf(stderr, "\r\033[K");
    return move;
}

/* --- Ctrl-C ------------------------------------------------------------------------------------------------------ */

static char farewell[512];

/* It makes only calls that a signal handler may make. */
static void on_interrupt(int signal_number)
{
    ssize_t written = write(STDERR_FILENO, farewell, strlen(farewell));

    (void)signal_number;
    (void)written;
    _exit(STATUS_INTERRUPTED);
}

/* The move goes on in the hypervisor: a user who interrupts the tool is told so. */
static void say_on_interrupt(const char *vm)
{
    snprintf(farewell, sizeof(farewell),
             "\ngodwit: interrupted; the move of %s goes on: godwit query-migrate %s tells how, godwit migrate_cancel "
             "%s ends it unless it runs there already\n",
             vm, vm, vm);
    sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_interrupt }, NULL);
}

/* --- The result ------------------------------------------------------------------------------------------------- */

static void show_round(const char *name, const json_t *round)
{
    printf("%5s %8.0f %8.0f %8.0f %8.0f %10.0f %9.1f", name, number(round, "pages"), number(round, "zero"),
           number(round, "dirtied"), number(round, "hot"), number(round, "bytes"), number(round, "ms"));
    if (number(round, "throttle") > 0)
        printf("  %.0f %% kept from running", number(round, "throttle"));
    if (number(round, "write-limit") > 0)
        printf("  held to %.0f new pages/s", number(round, "write-limit"));
    printf("\n");
}

static void show_rounds(const json_t *move)
{
    json_t *rounds = json_object_get(move, "rounds"), *round, *stopped = json_object_get(move, "stopped-round");
    char name[24];
    size_t i;

    if (!json_array_size(rounds) && number(stopped, "ms") <= 0)
        return;
    printf("\nround    pages     zero  dirtied      hot      bytes        ms\n");
    json_array_foreach(rounds, i, round)
    {
        snprintf(name, sizeof(name), "%zu", i + 1);
        show_round(name, round);
    }
    if (number(stopped, "ms") > 0)
        show_round("stop", stopped);
}

static void show_phases(const json_t *move)
{
    json_t *phases = json_object_get(move, "phases"), *value;
    const char *key, *comma = "";

    printf("phases (ms)        ");
    json_object_foreach(phases, key, value)
    {
        if (!strcmp(key, "postcopy") && json_number_value(value) <= 0)
            continue;
        printf("%s%s %.1f", comma, key, json_number_value(value));
        comma = ", ";
    }
    printf("\n");
}

static void show_warnings(const json_t *move)
{
    const json_t *warning;
    size_t i;

    json_array_foreach(json_object_get(move, "warnings"), i, warning)
    {
        printf("warning            %s\n", json_string_value(warning));
    }
}

static void show_downtime(const json_t *move)
{
    double downtime = number(move, "downtime"), expectation = number(move, "expected-downtime");

    if (downtime > 0 && expectation > 0)
        printf("downtime           %.1f ms (expected %.1f)\n", downtime, expectation);
    else if (downtime > 0) /* without a live round nothing is expected */
        printf("downtime           %.1f ms\n", downtime);
    if (downtime > 0 && json_is_true(json_object_get(move, "verify")))
        printf("verify-time        %.1f ms of it, for %.0f bytes\n", number(move, "verify-time"),
               number(json_object_get(move, "ram"), "downtime-verify-bytes"));
}

/* Show what was sent, if anything was. */
static void show_ram(const json_t *move)
{
    const json_t *ram = json_object_get(move, "ram");

    if (number(ram, "normal") + number(ram, "duplicate") == 0)
        return;
    printf("transferred        %.0f bytes, %.0f on the wire\n", number(ram, "transferred"), number(move, "wire-bytes"));
    printf("pages              %.0f normal, %.0f zero\n", number(ram, "normal"), number(ram, "duplicate"));
    show_phases(move);
    show_rounds(move);
}

/* What has become of the files from which it starts, if they were to move. */
static void show_images(const json_t *move)
{
    const json_t *images = json_object_get(move, "images");
    const char *status = text(images, "status");

    if (!strcmp(status, "there"))
        printf("images             are there, %.0f bytes of them had to be sent\n", number(images, "bytes"));
    else if (!strcmp(status, "failed") && !strcmp(text(move, "status"), "completed"))
        printf("images             are not there: %s; see godwit migrate-files\n", text(images, "reason"));
}

/* For a move that failed, the table leaves out what it did not reach. */
static void show_table(const json_t *move)
{
    printf("status             %s\n", text(move, "status"));
    if (*text(move, "reason"))
        printf("reason             %s (%s)\n", text(move, "reason"), text(move, "error"));
    show_warnings(move);
    printf("mode               %s", text(move, "mode"));
    if (strcmp(text(move, "dirty-log"), "off") != 0)
        printf(", dirty log %s", text(move, "dirty-log"));
    printf("\n");
    if (*text(move, "choice"))
        printf("chosen             %s\n", text(move, "choice"));
    if (number(move, "cpu-throttle-percentage") > 0)
        printf("cpu-throttle       %.0f %% of the time kept from running\n", number(move, "cpu-throttle-percentage"));
    printf("total-time         %.1f ms\n", number(move, "total-time"));
    show_downtime(move);
    show_images(move);
    show_ram(move);
}

/* What each mode would be, as the check says. */
static void show_forecast(const json_t *move)
{
    const json_t *measured = json_object_get(move, "measured"), *row;
    size_t i;

    if (!measured)
        return;
    printf("\nIt has %.0f pages with contents", number(measured, "used-pages"));
    if (json_is_true(json_object_get(measured, "watched")))
        printf(", and writes %.0f pages a second to %.0f pages", number(measured, "dirty-pages-rate"),
               number(measured, "working-set"));
    else
        printf("; what it writes is not known, for its dirty log is in use");
    printf(". Its processors run for %.0f %% of the time.\n", number(measured, "busy"));
    printf("The link carries %.1f MB/s, with a round trip of %.2f ms.\n\n", number(measured, "bytes-per-second") / 1e6,
           number(measured, "round-trip"));
    printf("%-10s %12s %12s %7s %12s %9s\n", "mode", "total, ms", "downtime, ms", "rounds", "bytes", "slowdown");
    json_array_foreach(json_object_get(move, "forecast"), i, row)
    {
        const char *remark = json_is_true(json_object_get(row, "fails"))           ? "  would fail"
                             : json_is_false(json_object_get(row, "within-limit")) ? "  above downtime-limit"
                                                                                   : "";
        char total[24] = "until pull"; /* demand */

        if (number(row, "total-time") > 0)
            snprintf(total, sizeof(total), "%.1f", number(row, "total-time"));
        printf("%-10s %12s %12.1f %7.0f %12.0f %7.0f %%%s\n", text(row, "mode"), total, number(row, "downtime"),
               number(row, "rounds"), number(row, "bytes"), number(row, "slowdown"), remark);
    }
}

/* The outcome of a check: has the destination said no, or nothing? */
static const char *check_outcome(const json_t *move)
{
    const char *error = text(move, "error");

    if (!strcmp(text(move, "status"), "completed"))
        return "it would be taken";
    if (!strcmp(error, "link") || !strcmp(error, "timeout") || !strcmp(error, "cancel"))
        return "it is not known: the destination has not answered";
    return "it would be refused";
}

static enum status result(const json_t *move, const struct options *o, bool as_json)
{
    const char *status = text(move, "status");

    if (as_json) {
        char *dump = json_dumps(move, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

        printf("%s\n", dump ? dump : "");
        free(dump);
    } else if (o->check) {
        printf("%s\n", check_outcome(move));
        show_warnings(move);
        show_forecast(move);
    } else {
        show_table(move);
    }
    if (!strcmp(status, "completed"))
        return STATUS_OK;
    if (!strcmp(status, "in-doubt")) {
        fprintf(stderr,
                "godwit: %s is in doubt under epoch %.0f: the destination was told to run it and does not "
                "answer.\nIt is asked again every second; see godwit resolve %s query\n",
                o->vm, number(move, "epoch"), o->vm);
        return STATUS_IN_DOUBT;
    }
    if (!strcmp(status, "postcopy-paused")) {
        fprintf(stderr,
                "godwit: %s runs at the destination, which misses %.1f MiB of its memory and does not answer.\n"
                "It is tried again every second; see godwit resolve %s query\n",
                o->vm, number(move, "postcopy-missing") / (1 << 20), o->vm);
        return STATUS_IN_DOUBT;
    }
    fprintf(stderr, "godwit: %s: %s\n", o->vm, text(move, "reason"));
    return !strcmp(status, "cancelled") ? STATUS_CANCELLED : STATUS_FAILED;
}

enum status migrate_run(int argc, char **argv, bool as_json)
{
    struct options o = { .mode = "live" };
    enum status status;
    json_t *move;

    if (!parse(argc, argv, &o))
        return STATUS_USAGE;
    status = begin(&o);
    if (status != STATUS_OK || o.detach)
        return status;
    if (!o.check)
        say_on_interrupt(o.vm);
    move = watch(o.vm, !o.check, &status);
    if (!move)
        return status;
    status = result(move, &o, as_json);
    json_decref(move);
    return status;
}
