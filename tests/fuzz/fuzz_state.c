/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/state.c migrate/state_check.c host/stream.c */
/*
 * libFuzzer entry for a vcpu's state as a peer says it: the bytes as they are, or changes to those of a vcpu in real or
 * long mode. What is taken says the same bytes again; what is refused is refused in words.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "migrate/state.h"
#include "tests/unit/vcpu_images.h"

#define ROOM KiB(8)
#define CHANGES 12

static size_t encode(const struct vcpu_image *image, u8 bytes[ROOM])
{
    struct writer w = { .buf = bytes, .cap = ROOM };

    state_encode(image, &limits, &w);
    REQUIRE(!w.overflow);
    return w.len;
}

/* A good vcpu's bytes, of which the fuzzer changes some. Returns how many. */
static size_t changed(struct fuzz *fuzz, u8 bytes[ROOM])
{
    static struct vcpu_image image;
    u8 how = fuzz_u8(fuzz);
    size_t len;

    if (how & 1)
        long_mode(&image);
    else
        real_mode(&image);
    len = encode(&image, bytes);
    for (unsigned i = 0; i < CHANGES && fuzz->size; i++) {
        u64 at = fuzz_number(fuzz, 2);

        bytes[at % len] = fuzz_u8(fuzz);
    }
    return how & 2 ? len : len - fuzz_u8(fuzz) % len;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct vcpu_image image;
    static u8 bytes[ROOM], again[ROOM];
    struct fuzz fuzz = { data, size };
    struct reader r = { .buf = bytes };
    const char *why = NULL;
    int err;

    if (fuzz_u8(&fuzz) & 1) {
        r.len = changed(&fuzz, bytes);
    } else {
        r.len = MIN(fuzz.size, ROOM);
        fuzz_bytes(&fuzz, bytes, r.len);
    }
    err = state_decode(&image, 0, &limits, &r, &why);
    REQUIRE(err == 0 || ((err == -EINVAL || err == -ENOTSUP) && why));
    if (err == 0)
        REQUIRE(encode(&image, again) == r.pos && !memcmp(again, bytes, r.pos));
    return 0;
}
