/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/file_sender.h"

#include <string.h>

#include "guest/load/kept.h"
#include "host/bits.h"
#include "stream/record.h"

void file_sender_init(struct file_sender *sender, const struct guest_image *image)
{
    *sender = (struct file_sender){ .file = { image->kernel, image->initrd }, .count = image->initrd.size ? 2 : 1 };
    for (unsigned i = 0; i < sender->count; i++)
        sender->held[i] = kept_hold(sender->file[i].data);
}

void file_sender_again(struct file_sender *sender)
{
    sender->asked = sender->answered = false;
    sender->at = 0;
}

void file_sender_fini(struct file_sender *sender)
{
    for (unsigned i = 0; i < sender->count; i++)
        kept_drop(sender->held[i]);
    *sender = (struct file_sender){ .count = 0 };
}

/* The first file that is needed, from number `index` on; `count`: none is left. */
static unsigned next_needed(const struct file_sender *sender, unsigned index)
{
    while (index < sender->count && !(sender->need & BIT(index)))
        index++;
    return index;
}

const char *file_sender_take(struct file_sender *sender, const struct wire_need *need)
{
    if (!sender->asked || sender->answered || need->files >> sender->count)
        return "NEED out of turn, or of no such file";
    for (unsigned i = 0; i < sender->count; i++)
        if (need->files & BIT(i) && !sender->file[i].data)
            return "what it starts from is neither here nor there";
    sender->need = need->files;
    sender->answered = true;
    sender->index = next_needed(sender, 0);
    return NULL;
}

u64 file_sender_needed(const struct file_sender *sender)
{
    u64 bytes = 0;

    for (unsigned i = 0; i < sender->count; i++)
        bytes += sender->need & BIT(i) ? sender->file[i].size : 0;
    return bytes;
}

static void offer(struct file_sender *sender, struct outbox *box)
{
    struct wire_offer message = { .count = sender->count };

    for (unsigned i = 0; i < sender->count; i++)
        message.file[i] = (struct wire_file){ sender->file[i].size, sender->file[i].digest };
    outbox_record(box, WIRE_OFFER, &message, sizeof(message));
    sender->asked = true;
}

static void say_part(struct file_sender *sender, struct outbox *box)
{
    const struct guest_file *file = &sender->file[sender->index];
    const u8 *bytes = (const u8 *)file->data + sender->at;
    struct wire_part part = { .index = sender->index, .offset = sender->at };
    u64 len = MIN(file->size - sender->at, (u64)WIRE_FILE_PART);

    if (!sender->at)
        sha256_begin(&sender->sha);
    sha256_add(&sender->sha, bytes, len);
    outbox_begin(box);
    codec_bytes(&box->body, &part, sizeof(part));
    memcpy(box->body.buf + box->body.at, bytes, len); /* codec_bytes is for fields, which it may write, too */
    box->body.at += len;
    outbox_end(box, WIRE_FILE);
    sender->at += len;
    sender->bytes += len;
}

static void say_digest(struct file_sender *sender, struct outbox *box)
{
    struct wire_digest message = { .index = sender->index };

    sha256_end(&sender->sha, message.sha256);
    outbox_record(box, WIRE_DIGEST, &message, sizeof(message));
    sender->index = next_needed(sender, sender->index + 1);
    sender->at = 0;
}

bool file_sender_ready(const struct file_sender *sender)
{
    return !sender->asked || (sender->answered && sender->index < sender->count);
}

void file_sender_say(struct file_sender *sender, struct outbox *box)
{
    if (!sender->asked)
        offer(sender, box);
    else if (sender->at < sender->file[sender->index].size)
        say_part(sender, box);
    else
        say_digest(sender, box);
}
