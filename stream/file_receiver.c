/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/file_receiver.h"

#include <stdio.h>
#include <string.h>

#include "config/digest.h"
#include "guest/load/digests.h"
#include "guest/load/images.h"
#include "guest/load/kept.h"
#include "host/bits.h"
#include "hv/guest_image.h"
#include "stream/record.h"

void file_receiver_release(struct file_receiver *receiver)
{
    for (unsigned i = 0; i < WIRE_FILES; i++)
        kept_drop(receiver->kept[i]);
    *receiver = (struct file_receiver){ .need = 0 };
}

u64 file_receiver_bytes(const struct file_receiver *receiver)
{
    u64 bytes = 0;

    for (unsigned i = 0; i < WIRE_FILES; i++)
        bytes += receiver->need & BIT(i) ? receiver->kept[i]->size : 0;
    return bytes;
}

static enum wire_code refuse(struct file_receiver *receiver, enum wire_code code, const char *text, const char **reason)
{
    file_receiver_release(receiver);
    *reason = text;
    return code;
}

/* The file that is offered, if it is here already; else NULL. */
static const void *find(struct file_receiver *receiver, unsigned index, const struct wire_file *offered,
                        const u8 *vm_id)
{
    struct guest_image image = { .kernel = { .size = offered->size, .digest = offered->digest } };

    image_locate(&image, vm_id);
    receiver->kept[index] = kept_hold(image.kernel.data);
    return image.kernel.data;
}

/* May the guest have this SHA-256 for that file, NULL: no such file? */
static enum wire_code judge(struct file_receiver *receiver, unsigned index, const u8 *sha256, const char **reason)
{
    static char words[WIRE_REASON];

    if (digest_fits(receiver->guest, index, sha256, words, sizeof(words)))
        return WIRE_OK;
    return refuse(receiver, WIRE_E_RIGHTS, words, reason);
}

/* The same of the files that are not to come, which are here, or which the guest does not have. */
static enum wire_code judge_here(struct file_receiver *receiver, const void *const here[WIRE_FILES],
                                 const char **reason)
{
    enum wire_code code = WIRE_OK;

    for (unsigned i = 0; i < WIRE_FILES && !code; i++)
        if (!(receiver->need & BIT(i)))
            code = judge(receiver, i, digest_of(here[i]), reason);
    return code;
}

/* Go on to the next file that is to come. */
static void next_file(struct file_receiver *receiver)
{
    receiver->index = receiver->need ? (unsigned)__builtin_ctz(receiver->need) : WIRE_FILES;
    receiver->at = receiver->digest = 0;
    sha256_begin(&receiver->sha);
}

enum wire_code file_receiver_offer(struct file_receiver *receiver, const struct inbox *box,
                                   const struct file_terms *terms, struct wire_need *need, const char **reason)
{
    struct wire_offer offer;
    const void *here[WIRE_FILES] = { NULL };
    u64 sum = 0, missing = 0;
    enum wire_code code;

    if (inbox_body(box, &offer, sizeof(offer)) || offer.count < 1 || offer.count > WIRE_FILES)
        return refuse(receiver, WIRE_E_STREAM, "malformed OFFER", reason);
    file_receiver_release(receiver);
    snprintf(receiver->guest, sizeof(receiver->guest), "%s", terms->guest);
    for (unsigned i = 0; i < offer.count; i++) {
        if (!offer.file[i].size || offer.file[i].size > terms->ram - sum)
            return refuse(receiver, WIRE_E_MEMORY, "its files do not fit into its memory", reason);
        sum += offer.file[i].size;
        here[i] = find(receiver, i, &offer.file[i], terms->vm_id);
        if (here[i])
            continue;
        missing += offer.file[i].size;
        receiver->need |= BIT(i);
    }
    code = judge_here(receiver, here, reason);
    if (code)
        return code;
    if (missing > terms->room)
        return refuse(receiver, WIRE_E_MEMORY,
                      "with these files, what comes would hold more than incoming-memory, or "
                      "incoming-memory-per-host",
                      reason);
    for (unsigned i = 0; i < offer.count; i++) {
        if (!(receiver->need & BIT(i)))
            continue;
        receiver->kept[i] = kept_begin(offer.file[i].size, offer.file[i].digest, terms->vm_id);
        if (!receiver->kept[i])
            return refuse(receiver, WIRE_E_MEMORY, "no memory for the files that it starts from", reason);
    }
    *need = (struct wire_need){ .files = receiver->need };
    next_file(receiver);
    return WIRE_OK;
}

/* Go on with the digest of a file over these bytes; only the last ones are not a multiple of a word. */
static u64 go_on(u64 digest, const u8 *bytes, size_t len, bool last)
{
    u64 word;

    if (last)
        return digest_bytes(digest, bytes, len);
    for (size_t i = 0; i < len; i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        digest = digest_word(digest, word);
    }
    return digest;
}

enum wire_code file_receiver_part(struct file_receiver *receiver, const struct inbox *box, const char **reason)
{
    struct kept_file *file = receiver->need ? receiver->kept[receiver->index] : NULL;
    struct wire_part part;
    size_t len = box->len - sizeof(part);
    const u8 *bytes = box->body + sizeof(part);

    if (!file || box->len <= sizeof(part) || len > WIRE_FILE_PART)
        return refuse(receiver, WIRE_E_STREAM, "malformed FILE, or out of turn", reason);
    memcpy(&part, box->body, sizeof(part));
    if (part.index != receiver->index || part.offset != receiver->at || len > file->size - receiver->at ||
        (len < WIRE_FILE_PART && len < file->size - receiver->at))
        return refuse(receiver, WIRE_E_STREAM, "FILE out of order", reason);
    memcpy(file->bytes + receiver->at, bytes, len);
    sha256_add(&receiver->sha, bytes, len);
    receiver->at += len;
    receiver->digest = go_on(receiver->digest, bytes, len, receiver->at == file->size);
    return WIRE_OK;
}

enum wire_code file_receiver_digest(struct file_receiver *receiver, const struct inbox *box, const char **reason)
{
    struct kept_file *file = receiver->need ? receiver->kept[receiver->index] : NULL;
    struct wire_digest message;
    u8 found[SHA256_BYTES];
    enum wire_code code;

    if (!file || inbox_body(box, &message, sizeof(message)) || message.index != receiver->index ||
        receiver->at != file->size)
        return refuse(receiver, WIRE_E_STREAM, "malformed DIGEST, or out of turn", reason);
    sha256_end(&receiver->sha, found);
    if (memcmp(found, message.sha256, sizeof(found)) != 0 || receiver->digest != file->digest)
        return refuse(receiver, WIRE_E_DAMAGED, "a file that it starts from arrived damaged", reason);
    code = judge(receiver, receiver->index, found, reason);
    if (code)
        return code;
    kept_found_whole(file, found);
    receiver->need &= ~BIT(receiver->index);
    next_file(receiver);
    return WIRE_OK;
}
