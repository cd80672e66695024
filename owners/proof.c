/* SPDX-License-Identifier: BSD-2-Clause */
#include "owners/proof.h"

#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "net/bucket.h"
#include "tls/keyring.h"
#include "tls/random.h"

#define LIMIT_NS (2000 * NS_PER_MS) /* so long a proof counts */
#define AGING_NS (1000 * NS_PER_MS) /* after which a new one is asked for */
#define NONCE_NS (500 * NS_PER_MS)  /* between two nonces */
#define GREET_NS (100 * NS_PER_MS)  /* between two greetings */
#define SENDERS 64                  /* beyond that the one with the oldest proof is forgotten, and greeted again */

_Static_assert(WIRE_TAG == KEYRING_TAG, "tag");
_Static_assert(LIMIT_NS <= WIRE_HEARD_MS * NS_PER_MS, "no claim from before PREPARED counts as heard after it");

/* A machine that has proved that it lives. */
struct sender {
    u64 number; /* its owner number; 0: none */
    u64 count;  /* of the last frame that was believed */
    u64 proved; /* ns: all frames with higher counts were said after this time */
};

static struct {
    struct sender senders[SENDERS];
    u64 count;                       /* of the last frame that was said */
    u64 nonce[2], drawn[2];          /* the latest one is the first; ns: when they were drawn */
    u64 heard;                       /* the nonce to echo */
    u64 greeted;                     /* ns */
    struct bucket frames, strangers; /* tokens are frames */
} proofs;

static struct sender *find(u64 number)
{
    for (unsigned i = 0; i < SENDERS; i++)
        if (number && proofs.senders[i].number == number)
            return &proofs.senders[i];
    return NULL;
}

static struct sender *find_or_make(u64 number)
{
    struct sender *sender = find(number), *oldest = &proofs.senders[0];

    if (sender)
        return sender;
    for (unsigned i = 1; i < SENDERS; i++)
        if (proofs.senders[i].proved < oldest->proved)
            oldest = &proofs.senders[i];
    *oldest = (struct sender){ .number = number };
    return oldest;
}

static void draw_nonce(u64 now)
{
    if (proofs.nonce[0] && now - proofs.drawn[0] < NONCE_NS)
        return;
    proofs.nonce[1] = proofs.nonce[0];
    proofs.drawn[1] = proofs.drawn[0];
    random_fill((u8 *)&proofs.nonce[0], sizeof(proofs.nonce[0]));
    proofs.nonce[0] |= 1; /* never 0 */
    proofs.drawn[0] = now;
}

void proof_make(struct wire_proven_claim *said)
{
    draw_nonce(clock_ns());
    said->count = ++proofs.count;
    said->nonce = proofs.nonce[0];
    said->echo = proofs.heard;
    keyring_tag(said, offsetof(struct wire_proven_claim, tag), said->tag);
}

/* The sender has echoed this: note what it proves. */
static void take_echo(const struct wire_proven_claim *frame)
{
    for (unsigned i = 0; i < ARRAY_SIZE(proofs.nonce); i++)
        if (frame->echo && frame->echo == proofs.nonce[i]) {
            struct sender *sender = find_or_make(frame->claim.owner);

            sender->proved = MAX(sender->proved, proofs.drawn[i]);
        }
}

static bool fits(struct bucket *bucket, u64 rate, u64 now)
{
    if (!bucket->rate)
        bucket_init(bucket, rate, rate / 2, now);
    return bucket_take(bucket, 1, now);
}

static bool answered(const struct wire_claim *claim)
{
    return claim->kind == WIRE_CLAIM_ASKS || claim->kind == WIRE_CLAIM_GREETS;
}

enum proof_verdict proof_judge(const u8 *bytes, size_t len)
{
    struct wire_proven_claim frame;
    struct sender *sender;
    u64 now = clock_ns();

    if (!fits(&proofs.frames, PROOF_RATE, now))
        return PROOF_CROWDED;
    if (len < sizeof(frame))
        return PROOF_FORGED;
    memcpy(&frame, bytes, sizeof(frame));
    if (!keyring_tagged(&frame, offsetof(struct wire_proven_claim, tag), frame.tag))
        return PROOF_FORGED;
    sender = find(frame.claim.owner);
    if (sender && frame.count <= sender->count)
        return PROOF_REPLAYED;
    take_echo(&frame);
    sender = find(frame.claim.owner);
    proofs.heard = frame.nonce;
    if (sender && now - sender->proved <= LIMIT_NS) {
        sender->count = frame.count;
        return PROOF_GIVEN;
    }
    return !answered(&frame.claim) || fits(&proofs.strangers, PROOF_STRANGERS, now) ? PROOF_UNPROVEN : PROOF_CROWDED;
}

bool proof_greets(u64 number)
{
    const struct sender *sender = find(number);
    u64 now = clock_ns();

    if ((sender && now - sender->proved < AGING_NS) || (proofs.greeted && now - proofs.greeted < GREET_NS))
        return false;
    proofs.greeted = now;
    return true;
}

const char *proof_verdict_name(enum proof_verdict verdict)
{
    static const char *const names[NR_PROOF_VERDICTS] = {
        [PROOF_GIVEN] = "given",   [PROOF_UNPROVEN] = "unproven", [PROOF_CROWDED] = "crowded",
        [PROOF_FORGED] = "forged", [PROOF_REPLAYED] = "replayed",
    };

    return names[verdict];
}
