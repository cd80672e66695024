/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/tls_in.c net/tcp_hooks.c net/callers.c net/tcp_address.c net/siphash.c net/csum.c */
/* sources: tls/seal.c tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c tests/unit/stubs.c */
/* libs: -lcmocka */
/*
 * libFuzzer entry for records of TLS as they come out of TCP: in pieces of any sizes, with any bytes. The input is what
 * comes, of which nothing is ever believed; or it says which records the peer makes, how they are cut, and what
 * somebody does to them on the way. All that the peer has said before that comes out, in order, and nothing behind it.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include <lwip/sys.h>

#include "host/clock.h"
#include "net/tls_in.h"
#include "tls/random.h"

#define RECORDS 4
#define RECORD_MAX 300 /* bytes of text */

static const u8 key[SEAL_KEY] = { 7 }, iv[SEAL_IV] = { 8 };

static struct record {
    u8 type, text[RECORD_MAX];
    size_t len, at, end; /* of its text; of the record, where it is in the stream */
} record[RECORDS];

/* What lwIP and ours ask for: none of it matters here. */
u64 clock_ns(void)
{
    return 1;
}

u32 net_random(void)
{
    return 4;
}

u32_t sys_now(void)
{
    return 0;
}

void random_fill(u8 *bytes, u32 len)
{
    memset(bytes, 4, len);
}

/* The next bytes come, as a chain of pbufs with whatever sizes. */
static void append(struct tls_in *in, struct fuzz *fuzz, const u8 *bytes, size_t len)
{
    struct pbuf *chain = NULL;

    while (len > 0) {
        size_t most = (size_t)fuzz_u8(fuzz) + 1, part = MIN(len, most);
        struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)part, PBUF_RAM);

        REQUIRE(p);
        memcpy(p->payload, bytes, part);
        if (chain)
            pbuf_cat(chain, p);
        else
            chain = p;
        bytes += part;
        len -= part;
        if (fuzz_u8(fuzz) & 1 || !len) {
            tls_in_append(in, chain);
            chain = NULL;
        }
    }
}

static void check_record(const struct tls_opened *opened, const struct record *right)
{
    u8 text[RECORD_MAX];

    REQUIRE(opened->type == right->type && opened->len == right->len && !opened->data == !right->len);
    if (!opened->data)
        return;
    REQUIRE(opened->data->tot_len == right->len);
    REQUIRE(pbuf_copy_partial(opened->data, text, (u16_t)right->len, 0) == right->len);
    REQUIRE(!memcmp(text, right->text, right->len));
    pbuf_free(opened->data);
}

/* Open all. The first `good` records come out, and, if something was done to the stream, no others. */
static void check(struct tls_in *in, unsigned good)
{
    struct tls_opened opened;
    unsigned count = 0;
    int err;

    while (!(err = tls_in_next(in, &opened))) {
        REQUIRE(count < good);
        check_record(&opened, &record[count++]);
    }
    REQUIRE(count == good);
    REQUIRE(err == -EAGAIN || err == -EPROTO || err == -EBADMSG);
}

/* The peer's records, one behind the other. Returns how many bytes. */
static size_t seal_all(struct fuzz *fuzz, u8 *stream, unsigned count)
{
    struct seal seal;
    size_t at = 0;

    seal_init(&seal, key, iv, 1);
    for (unsigned i = 0; i < count; i++) {
        struct record *r = &record[i];

        r->type = fuzz_u8(fuzz) & 1 ? SEAL_DATA : SEAL_ALERT;
        r->len = fuzz_number(fuzz, 2) % (RECORD_MAX + 1);
        memset(r->text, fuzz_u8(fuzz), r->len);
        r->at = at;
        seal_begin(&seal);
        seal_add(&seal, stream + at + SEAL_HEADER, r->text, r->len);
        at += seal_end(&seal, (enum seal_type)r->type, stream + at, r->len);
        r->end = at;
    }
    seal_wipe(&seal);
    return at;
}

/* A record comes before the one that it follows. */
static void swap(u8 *stream, const struct record *first, const struct record *second)
{
    static u8 copy[SEAL_HEADER + RECORD_MAX + SEAL_TAG];
    size_t size = first->end - first->at;

    memcpy(copy, stream + first->at, size);
    memmove(stream + first->at, stream + second->at, second->end - second->at);
    memcpy(stream + second->end - size, copy, size);
}

/* Somebody changes a byte, or leaves a record out, swaps two or repeats one. Returns how many records are good before
 * that. */
static unsigned meddle(struct fuzz *fuzz, u8 *stream, size_t *len, unsigned count)
{
    u8 how = fuzz_u8(fuzz) % 5, which = fuzz_u8(fuzz);
    const struct record *r = &record[count ? which % count : 0];
    size_t size = r->end - r->at, at;

    if (how == 0 || !count)
        return count;
    if (how == 1) {
        at = fuzz_number(fuzz, 2) % *len;
        stream[at] ^= 1 << which % 8;
        for (unsigned i = 0; i < count; i++)
            if (at < record[i].end)
                return i;
    }
    if (how == 2) {
        memmove(stream + r->at, stream + r->end, *len - r->end);
        *len -= size;
        return (unsigned)(r - record);
    }
    if (how == 3) {
        if (r + 1 == &record[count])
            return count;
        swap(stream, r, r + 1);
        return (unsigned)(r - record);
    }
    memmove(stream + r->end, stream + r->at, *len - r->at);
    *len += size;
    return (unsigned)(r - record) + 1;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static u8 stream[(RECORDS + 1) * (SEAL_HEADER + RECORD_MAX + SEAL_TAG)];
    struct fuzz fuzz = { data, size };
    u8 kind = fuzz_u8(&fuzz);
    unsigned good = 0;
    struct tls_in in = { .waiting = NULL };
    size_t len;

    seal_init(&in.seal, key, iv, 1);
    if (kind & 1) {
        len = MIN(fuzz.size, sizeof(stream));
        fuzz_bytes(&fuzz, stream, len);
    } else {
        len = seal_all(&fuzz, stream, kind / 2 % (RECORDS + 1));
        good = meddle(&fuzz, stream, &len, kind / 2 % (RECORDS + 1));
    }
    append(&in, &fuzz, stream, len);
    check(&in, good);
    tls_in_fini(&in);
    return 0;
}
