/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: save/image_reader.c tools/godwit/image_check.c */
/* sources: migrate/dest_protect.c stream/stash.c stream/sections.c tests/unit/fake_frames.c */
/* sources: migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c migrate/dest_forward.c */
/* sources: migrate/dest_stranded.c migrate/dest_files.c stream/file_receiver.c dev/sha256.c */
/* sources: tests/unit/fake_kept.c */
/* sources: migrate/dest_attempts.c migrate/dest_stages.c migrate/dest_fill.c migrate/stats.c stream/ram_digest.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c owners/handoff.c dev/codec.c */
/*
 * libFuzzer entry for files that are said to be images: well-formed records of every type in any order, beside bytes of
 * the fuzzer's choice, cut off or damaged anywhere, which come in pieces. A guest runs only if the image is one that
 * `godwit image` finds whole, too; else nothing of it is left, and the machine takes a good image then.
 */
#include "config/digest.h"
#include "save/image_reader.h"
#include "stream/crc32c.h"
#include "tests/fuzz/dest_machine.h"
#include "tools/godwit/image_check.h"

#define FILE_ROOM (1u << 17)
#define EPOCH 77 /* none of those that dest_machine.h watches */
#define TURNS 4000

static struct file {
    u8 bytes[FILE_ROOM];
    size_t len, at, piece;
} file;

static struct outbox out;
static u64 records, state_digest;

/* --- Writing ---------------------------------------------------------------------------------------------------- */

static void put(const void *bytes, size_t len)
{
    if (len > FILE_ROOM - file.len)
        return;
    memcpy(file.bytes + file.len, bytes, len);
    file.len += len;
}

static void put_out(void)
{
    u8 bytes[512];
    size_t len;

    while ((len = outbox_take(&out, bytes, sizeof(bytes))))
        put(bytes, len);
}

static void put_record(u32 type, const void *body, size_t len)
{
    outbox_record(&out, type, body, len);
    records++;
    put_out();
}

static void put_header(u32 kind, u8 id, u64 epoch)
{
    struct wire_header header = { .version_min = 1, .version_max = 1, .kind = kind, .features = 1, .epoch = epoch };

    header.vm_id[0] = id;
    outbox_reset(&out);
    outbox_header(&out, &header);
    put_out();
    records = state_digest = 0;
}

static void put_reserve(u32 flags, u64 memory)
{
    struct {
        struct wire_reserve head;
        struct wire_range range;
    } body = { .head = { .name = "g", .nr_ranges = 1, .nr_vcpus = 1, .flags = flags, .memory = memory },
               .range = { 0, memory } };

    put_record(WIRE_RESERVE, &body, sizeof(body));
}

static void put_page(u64 gpa, u32 crc)
{
    static const u8 contents[WIRE_PAGE] = { 1 };
    struct wire_pages count = { .count = 1 };
    struct wire_page page = { .gpa = gpa, .len = WIRE_PAGE };

    page.crc = crc32c(0, contents, WIRE_PAGE) ^ crc;
    outbox_begin(&out);
    codec_bytes(&out.body, &count, sizeof(count));
    codec_bytes(&out.body, &page, sizeof(page));
    outbox_page(&out, contents);
    outbox_end(&out, WIRE_PAGES);
    records++;
    put_out();
}

static void put_zero(u64 gpa, u64 pages)
{
    struct wire_run run = { gpa, pages };

    put_record(WIRE_ZERO, &run, sizeof(run));
}

static void put_state(u32 instance, u64 value)
{
    struct {
        struct wire_section section;
        u64 value;
    } body = { .section = { .name = "vcpu", .instance = instance, .len = sizeof(value) }, .value = value };

    state_digest = digest_bytes(digest_bytes(state_digest, &body.section, sizeof(body.section)), &value, sizeof(value));
    put_record(WIRE_STATE, &body, sizeof(body));
}

static void put_end(u64 wrong)
{
    struct wire_image_end end = { file.len + (wrong & 1), records + (wrong >> 1 & 1), state_digest + (wrong >> 2 & 1),
                                  wrong >> 3 & 1 };

    put_record(WIRE_END, &end, sizeof(end));
}

static void put_good(void)
{
    put_header(WIRE_IMAGE, 1, 2);
    put_reserve(0, SIZE);
    put_zero(0, PAGES);
    put_page(0, 0);
    put_state(0, 7);
    put_end(0);
}

static void put_anything(struct fuzz *fuzz)
{
    u8 bytes[256], how = fuzz_u8(fuzz), len = fuzz_u8(fuzz);

    fuzz_bytes(fuzz, bytes, len);
    if (how & 1)
        put(bytes, len);
    else
        put_record(how >> 1 & 31 | (how & 64 ? WIRE_OPTIONAL : 0), bytes, len);
}

static void write_some(struct fuzz *fuzz)
{
    u8 what = fuzz_u8(fuzz), more = fuzz_u8(fuzz);

    switch (what % 9) {
    case 0: put_header(more % 8, more >> 3 & 1, epochs[more >> 4 & 7]); return;
    case 1: put_reserve(more & 3, SIZE + (more % 16 == 15)); return;
    case 2: put_page(more % 5 * (u64)WIRE_PAGE, more >> 6 == 3); return;
    case 3: put_zero(more % 5 * (u64)WIRE_PAGE, more >> 4); return;
    case 4: put_state(more & 1, more); return;
    case 5: put_end(more % 32); return;
    case 6: put_record(more & 1 ? WIRE_ROUND : WIRE_KEEPALIVE, &(struct wire_round){ 0 }, more & 1 ? 24 : 8); return;
    case 7: put_good(); return;
    default: put_anything(fuzz); return;
    }
}

static void harm(struct fuzz *fuzz)
{
    u8 how = fuzz_u8(fuzz);
    size_t at = (size_t)fuzz_number(fuzz, 3) % (file.len + 1);

    if (how & 1)
        file.bytes[at] ^= how;
    if (how % 4 == 2)
        file.len = at;
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

static long file_receive(struct transport *transport, void *bytes, size_t len)
{
    size_t part = MIN(MIN(len, file.piece), file.len - file.at);

    (void)transport;
    memcpy(bytes, file.bytes + file.at, part);
    file.at += part;
    return part ? (long)part : -EPIPE;
}

static const struct transport_ops file_ops = { .receive = file_receive };

static void step(struct image_reader *reader, struct dest *dest)
{
    struct image_identity identity = { .epoch = EPOCH, .name = "g" };
    struct transport transport = image_reader_transport(reader);

    image_reader_step(reader);
    if (reader->status == READER_OPENED) {
        identity.vm_id[0] = reader->header.vm_id[0] % IDS;
        image_reader_begin(reader, &identity);
        dest_accept(dest, &transport, NULL, "image");
    }
    if (reader->status == READER_ACCEPTED)
        image_reader_pass(reader);
    if (reader->status == READER_PREPARED)
        image_reader_commit(reader);
    dest_step(dest);
    now += 1000;
}

/* Restore the file on a machine of its own. Returns whether the guest runs. */
static bool restore(void)
{
    static struct dest dest;
    static struct image_reader reader;
    struct transport transport = { .ops = &file_ops };
    unsigned running = 0;

    memset(guests, 0, sizeof(guests));
    dest_init(&dest, &ops, NULL);
    file.at = 0;
    REQUIRE(!image_reader_init(&reader, &transport));
    for (unsigned i = 0; i < TURNS && !reader.hung_up; i++) {
        step(&reader, &dest);
        if (reader.status == READER_FAILED && !reader.identity.epoch)
            break;
    }
    image_reader_step(&reader); /* what was said last */
    REQUIRE(reader.status == READER_RUNNING || reader.status == READER_FAILED);
    for (unsigned i = 0; i < GUESTS; i++) {
        REQUIRE(guests[i].exists == guests[i].running);
        running += guests[i].running;
    }
    REQUIRE(running == (reader.status == READER_RUNNING) && !dest_held(&dest));
    dest_fini(&dest);
    image_reader_fini(&reader);
    return running;
}

static bool is_whole(void)
{
    static struct image_check check;
    struct transport transport = { .ops = &file_ops };

    file.at = 0;
    return image_check(&check, &transport);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };

    if (!out.buf)
        REQUIRE(!outbox_init(&out, WIRE_BODY_MAX));
    now = 1000;
    file.len = 0;
    file.piece = fuzz_u8(&fuzz) + 1;
    if (fuzz_u8(&fuzz) & 1) {
        put_header(WIRE_IMAGE, 0, 2);
        put_reserve(fuzz_u8(&fuzz) & WIRE_VERIFY, SIZE);
    }
    for (unsigned i = 0; i < 16 && fuzz.size > 4; i++)
        write_some(&fuzz);
    harm(&fuzz);
    if (restore())
        REQUIRE(is_whole());
    file.len = 0;
    put_good();
    REQUIRE(is_whole() && restore());
    return 0;
}
