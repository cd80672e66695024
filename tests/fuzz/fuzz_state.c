/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/vcpu_image.c stream/vcpu_image_check.c dev/codec.c */
/*
 * libFuzzer entry for a vcpu's state as a peer says it: the bytes as they are, or changes to those of a vcpu in real or
 * long mode. What is taken says the same bytes again; what is refused is refused in words.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "stream/vcpu_image.h"
#include "tests/unit/vcpu_images.h"

#define ROOM KiB(8)
#define CHANGES 12

static size_t encode(struct vcpu_image *image, u8 bytes[ROOM])
{
    struct codec c = codec_saver(bytes, ROOM);

    vcpu_image_state(image, 0, &limits, &c);
    REQUIRE(!c.err);
    return c.at;
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
    struct codec c;
    size_t len;

    if (fuzz_u8(&fuzz) & 1) {
        len = changed(&fuzz, bytes);
    } else {
        len = MIN(fuzz.size, ROOM);
        fuzz_bytes(&fuzz, bytes, len);
    }
    c = codec_restorer(bytes, len);
    vcpu_image_state(&image, 0, &limits, &c);
    REQUIRE(c.err == 0 || ((c.err == -EINVAL || c.err == -ENOTSUP) && c.why[0]));
    if (c.err == 0)
        REQUIRE(encode(&image, again) == c.at && !memcmp(again, bytes, c.at));
    return 0;
}
