/* SPDX-License-Identifier: BSD-2-Clause */
/* A save writes to a file beside the wanted one, which gets its name when the image is whole: what is there under that
 * name is never half of an image. */
#include "tools/godwit/image.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/wire.h"
#include "tools/godwit/image_check.h"
#include "tools/godwit/show.h"

#define PATH 512
#define PART ".part" /* ends the name of a file that is being written */
#define END_BYTES (sizeof(struct wire_record) + sizeof(struct wire_image_end))

struct save_options {
    const char *vm, *file;
    bool live, verify;
};

struct restore_options {
    const char *file, *name;
    bool paused, new_identity;
};

/* `wrong`: the word that is; NULL: one is missing. */
static bool usage(const char *text, const char *wrong)
{
    if (wrong)
        fprintf(stderr, "godwit: %s '%s'\n",
                *wrong == '-' ? "unknown option, or one without its value:" : "one argument too many:", wrong);
    fprintf(stderr, "usage: godwit %s\n", text);
    return false;
}

static enum status file_fails(const char *what, const char *path)
{
    fprintf(stderr, "godwit: cannot %s %s: %s\n", what, path, strerror(errno));
    return STATUS_FAILED;
}

/* Open an image to read it. A directory can be opened, too, and has no bytes. */
static FILE *open_image(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;

    if (file && !fstat(fileno(file), &stat) && S_ISDIR(stat.st_mode)) {
        fclose(file);
        errno = EISDIR;
        return NULL;
    }
    return file;
}

/* --- save ------------------------------------------------------------------------------------------------------- */

static bool save_parse(int argc, char **argv, struct save_options *o)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--live"))
            o->live = true;
        else if (!strcmp(argv[i], "--verify"))
            o->verify = true;
        else if (argv[i][0] == '-' || o->file)
            return usage("save " SAVE_USAGE, argv[i]);
        else
            *(o->vm ? &o->file : &o->vm) = argv[i];
    }
    return o->file ? true : usage("save " SAVE_USAGE, NULL);
}

/* Does the file end as an image does? A transfer that the hypervisor breaks off can look like one that has ended. */
static bool has_end(FILE *file, off_t size)
{
    struct wire_record head;
    struct wire_image_end end;

    return size > (off_t)END_BYTES && !fseeko(file, size - (off_t)END_BYTES, SEEK_SET) &&
           fread(&head, sizeof(head), 1, file) == 1 && fread(&end, sizeof(end), 1, file) == 1 &&
           head.type == WIRE_END && end.bytes == (u64)size - END_BYTES;
}

/* Write the image to a file that is open. */
static enum status save_to(const struct save_options *o, FILE *file)
{
    char path[PATH], *vm = client_quote(o->vm);
    struct reply reply;
    struct stat stat;

    snprintf(path, sizeof(path), "/v1/vms/%s/image?options=%s%s%s", vm, o->live ? "live" : "",
             o->live && o->verify ? "," : "", o->verify ? "verify" : "");
    free(vm);
    reply = client_download(path, file);
    reply_free(&reply);
    if (reply.status != STATUS_OK && reply.http != 200)
        return reply.status;
    if (reply.status == STATUS_OK && (fflush(file) || fstat(fileno(file), &stat)))
        return file_fails("write", o->file);
    if (reply.status == STATUS_OK && has_end(file, stat.st_size))
        return STATUS_OK;
    fprintf(stderr, "godwit: the image is not whole; godwit query-migrate %s tells why\n", o->vm);
    return STATUS_FAILED;
}

enum status save_run(int argc, char **argv)
{
    struct save_options o = { 0 };
    enum status status;
    struct stat there;
    bool began;
    char *part;
    FILE *file;

    if (!save_parse(argc, argv, &o))
        return STATUS_USAGE;
    if (!stat(o.file, &there) && S_ISDIR(there.st_mode)) { /* the guest would be paused for nothing */
        errno = EISDIR;
        return file_fails("write", o.file);
    }
    if (asprintf(&part, "%s" PART, o.file) < 0)
        return STATUS_FAILED;
    umask(077); /* who can read it has the guest's memory */
    file = fopen(part, "w+b");
    status = file ? save_to(&o, file) : file_fails("write", part);
    began = file && ftello(file) > 0;
    if (file && fclose(file) && status == STATUS_OK)
        status = file_fails("write", part);
    if (status == STATUS_OK && rename(part, o.file))
        status = file_fails("write", o.file);
    if (status == STATUS_OK)
        printf("%s is saved in %s%s\n", o.vm, o.file, o.live ? "" : ", and is paused");
    else if (file)
        unlink(part);
    if (status != STATUS_OK && began && !o.live)
        fprintf(stderr, "godwit: if %s is paused now, godwit resume %s lets it go on\n", o.vm, o.vm);
    free(part);
    return status;
}

/* --- restore ---------------------------------------------------------------------------------------------------- */

static bool restore_parse(int argc, char **argv, struct restore_options *o)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--paused"))
            o->paused = true;
        else if (!strcmp(argv[i], "--new-identity"))
            o->new_identity = true;
        else if (!strcmp(argv[i], "--name") && i + 1 < argc)
            o->name = argv[++i];
        else if (argv[i][0] == '-' || o->file)
            return usage("restore " RESTORE_USAGE, argv[i]);
        else
            o->file = argv[i];
    }
    return o->file ? true : usage("restore " RESTORE_USAGE, NULL);
}

enum status restore_run(int argc, char **argv, bool as_json)
{
    struct restore_options o = { 0 };
    char path[PATH], *name;
    struct reply reply;
    FILE *file;

    if (!restore_parse(argc, argv, &o))
        return STATUS_USAGE;
    file = open_image(o.file);
    if (!file || fseeko(file, 0, SEEK_END)) /* its size is said first, so it is no pipe */
        return file_fails("read", o.file);
    name = client_quote(o.name ? o.name : "");
    snprintf(path, sizeof(path), "/v1/images?name=%s&options=%s%s%s", name, o.paused ? "paused" : "",
             o.paused && o.new_identity ? "," : "", o.new_identity ? "new-identity" : "");
    free(name);
    reply = client_upload(path, file);
    fclose(file);
    if (reply.status == STATUS_OK)
        reply.status = show(&reply, as_json);
    reply_free(&reply);
    return reply.status;
}

/* --- image ------------------------------------------------------------------------------------------------------ */

static long file_receive(struct transport *transport, void *bytes, size_t len)
{
    size_t got = fread(bytes, 1, len, transport->ctx);

    return got ? (long)got : ferror((FILE *)transport->ctx) ? -EIO : -EPIPE;
}

/* As the hypervisor shows an identity and a MAC: with `mark` before each byte of which `before` has the bit. */
static json_t *text(const u8 *bytes, size_t len, char mark, unsigned before)
{
    char out[64] = "";

    for (size_t i = 0, at = 0; i < len; i++) {
        if (before >> i & 1)
            out[at++] = mark;
        at += (size_t)snprintf(out + at, sizeof(out) - at, "%02x", bytes[i]);
    }
    return json_string(out);
}

/* What the file has, as far as it could be read. */
static json_t *describe(const struct image_check *check, bool whole)
{
    const struct wire_reserve *reserve = &check->reserve;
    json_t *json = json_object(), *sections = json_array();

    json_object_set_new(json, "status", json_string(whole ? "whole" : "damaged"));
    json_object_set_new(json, "reason", json_string(check->reason));
    json_object_set_new(json, "vm", json_string(memchr(reserve->name, 0, WIRE_NAME) ? reserve->name : ""));
    json_object_set_new(json, "vm_id", text(check->header.vm_id, WIRE_ID, '-', 0x550));
    json_object_set_new(json, "epoch", json_integer((json_int_t)check->header.epoch));
    json_object_set_new(json, "mac", text(reserve->mac, WIRE_MAC, ':', 0x3e));
    json_object_set_new(json, "memory", json_integer((json_int_t)reserve->memory));
    json_object_set_new(json, "vcpus", json_integer(reserve->nr_vcpus));
    json_object_set_new(json, "bytes", json_integer((json_int_t)check->bytes));
    json_object_set_new(json, "rounds", json_integer((json_int_t)check->rounds));
    json_object_set_new(json, "normal", json_integer((json_int_t)check->pages));
    json_object_set_new(json, "duplicate", json_integer((json_int_t)check->zero));
    json_object_set_new(json, "verified", json_boolean(check->verified));
    for (unsigned i = 0; i < check->sections; i++) {
        const struct image_section *section = &check->section[i];

        json_array_append_new(sections, json_pack("{s:s, s:i, s:i}", "section", section->name, "instance",
                                                  (int)section->instance, "bytes", (int)section->len));
    }
    json_object_set_new(json, "sections", sections);
    return json;
}

enum status image_run(const char *path, bool as_json)
{
    static const struct transport_ops ops = { .receive = file_receive };
    struct image_check *check = calloc(1, sizeof(*check));
    struct transport transport = { .ops = &ops, .ctx = open_image(path) };
    struct reply reply = { .status = STATUS_OK };
    bool whole;

    if (!check || !transport.ctx) {
        free(check);
        return file_fails("read", path);
    }
    whole = image_check(check, &transport);
    json_t *json = describe(check, whole);

    fclose(transport.ctx);
    reply.body = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    reply.status = show(&reply, as_json);
    if (!whole) {
        reply.status = STATUS_FAILED;
        fprintf(stderr, "godwit: %s is no whole image: %s\n", path, check->reason);
    }
    reply_free(&reply);
    free(check);
    return reply.status;
}
