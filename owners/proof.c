/* SPDX-License-Identifier: BSD-2-Clause */
#include "owners/proof.h"

#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "net/bucket.h"
#include "net/headers.h"
#include "tls/keyring.h"
#include "tls/random.h"

#define LIMIT_NS (2000 * NS_PER_MS) /* so long a proof counts, and so long a number is echoed */
#define NONCE_NS (500 * NS_PER_MS)  /* between two numbers, and the longest time in which nothing is said */
#define GREET_NS (100 * NS_PER_MS)  /* between two frames, if the later one greets */
#define NONCES (LIMIT_NS / NONCE_NS)
#define SENDERS WIRE_ECHOES

_Static_assert(WIRE_TAG == KEYRING_TAG, "tag");
_Static_assert(LIMIT_NS <= WIRE_HEARD_MS * NS_PER_MS, "no claim from before PREPARED counts as heard after it");

/* A machine that has said a frame with a right tag, at some time. */
struct sender {
    u64 number; /* its owner number; 0: none */
    u64 count;  /* of its latest frame, by its own count; */
    u64 nonce;  /* the number in that frame; */
    u64 heard;  /* and when that came, ns */
    u64 proved; /* ns: frames with higher counts than the one that proved it were said after this time; 0: it has never
                 * proved itself */
    u8 mac[MAC_LEN]; /* from which that frame came */
    struct bucket frames;
};

static struct {
    struct sender senders[SENDERS];
    u64 count;                              /* of the last frame that was said, */
    u64 said;                               /* and when, ns */
    u64 nonce[NONCES], drawn[NONCES];       /* the latest one is the first; ns: when they were drawn */
    struct bucket echoing, rest, strangers; /* tokens are frames */
} proofs;

/* --- Whom we have heard ----------------------------------------------------------------------------------------- */

static bool is_proven(const struct sender *sender, u64 now)
{
    return sender->proved && now - sender->proved <= LIMIT_NS;
}

static struct sender *find(u64 number)
{
    for (unsigned i = 0; i < SENDERS; i++)
        if (number && proofs.senders[i].number == number)
            return &proofs.senders[i];
    return NULL;
}

/* Who is worth least gives way to a newcomer: whoever has proved nothing lately is worth less than all that have. */
static u64 worth(const struct sender *sender, u64 now)
{
    return is_proven(sender, now) ? now + sender->proved : sender->heard;
}

static struct sender *find_or_make(u64 number, u64 now)
{
    struct sender *sender = find(number), *least = &proofs.senders[0];

    if (sender)
        return sender;
    for (unsigned i = 1; i < SENDERS; i++)
        if (worth(&proofs.senders[i], now) < worth(least, now))
            least = &proofs.senders[i];
    *least = (struct sender){ .number = number };
    return least;
}

/* --- What is said ----------------------------------------------------------------------------------------------- */

/* All that are not LIMIT_NS old are kept. */
static void draw_nonce(u64 now)
{
    if (proofs.nonce[0] && now - proofs.drawn[0] < NONCE_NS)
        return;
    memmove(&proofs.nonce[1], &proofs.nonce[0], (NONCES - 1) * sizeof(proofs.nonce[0]));
    memmove(&proofs.drawn[1], &proofs.drawn[0], (NONCES - 1) * sizeof(proofs.drawn[0]));
    random_fill((u8 *)&proofs.nonce[0], sizeof(proofs.nonce[0]));
    proofs.nonce[0] |= 1; /* never 0 */
    proofs.drawn[0] = now;
}

/* The bytes of which the tag is made; it is behind them. */
static size_t tagged_bytes(const struct wire_proven_claim *frame)
{
    return offsetof(struct wire_proven_claim, echo) + frame->echoes * sizeof(frame->echo[0]);
}

size_t proof_make(struct wire_proven_claim *said)
{
    u64 now = clock_ns();

    draw_nonce(now);
    said->count = ++proofs.count;
    said->nonce = proofs.nonce[0];
    said->echoes = 0;
    for (unsigned i = 0; i < SENDERS; i++)
        if (proofs.senders[i].heard && now - proofs.senders[i].heard <= LIMIT_NS)
            said->echo[said->echoes++] = proofs.senders[i].nonce;
    keyring_tag(said, tagged_bytes(said), (u8 *)&said->echo[said->echoes]);
    proofs.said = now;
    return tagged_bytes(said) + WIRE_TAG;
}

bool proof_greets(void)
{
    return !proofs.said || clock_ns() - proofs.said >= GREET_NS;
}

u64 proof_silent_until(void)
{
    return proofs.said ? proofs.said + NONCE_NS : 0;
}

/* --- What is heard ---------------------------------------------------------------------------------------------- */

static bool take_frame(struct wire_proven_claim *frame, const u8 *bytes, size_t len)
{
    if (len < offsetof(struct wire_proven_claim, echo))
        return false;
    memcpy(frame, bytes, MIN(len, sizeof(*frame)));
    return frame->echoes <= WIRE_ECHOES && len >= tagged_bytes(frame) + WIRE_TAG;
}

/* When (ns) the latest number of ours was drawn that this frame echoes; 0: it echoes none. */
static u64 echoed(const struct wire_proven_claim *frame)
{
    u64 latest = 0;

    for (unsigned i = 0; i < frame->echoes; i++)
        for (unsigned n = 0; n < NONCES; n++)
            if (proofs.nonce[n] && frame->echo[i] == proofs.nonce[n])
                latest = MAX(latest, proofs.drawn[n]);
    return latest;
}

static bool fits(struct bucket *bucket, u64 rate, u64 now)
{
    if (!bucket->rate)
        bucket_init(bucket, rate, rate / 2, now);
    return bucket_take(bucket, 1, now);
}

/* Has the share from which this frame is looked at room for it? What chooses the share is not proven, but a flood that
 * knows less takes nothing from what others say. */
static bool is_looked_at(struct sender *sender, const u8 *mac, const struct wire_proven_claim *frame, u64 now)
{
    if (sender && is_proven(sender, now) && !memcmp(sender->mac, mac, MAC_LEN))
        return fits(&sender->frames, PROOF_SHARE, now);
    return echoed(frame) ? fits(&proofs.echoing, PROOF_ECHOING, now) : fits(&proofs.rest, PROOF_REST, now);
}

/* The tag is right: note what the frame says of its sender. */
static struct sender *note(const u8 *mac, const struct wire_proven_claim *frame, u64 now)
{
    struct sender *sender = find_or_make(frame->claim.owner, now);
    u64 since = echoed(frame);

    sender->count = frame->count;
    sender->nonce = frame->nonce;
    sender->heard = now;
    if (since > sender->proved) {
        sender->proved = since;
        memcpy(sender->mac, mac, MAC_LEN);
    }
    return sender;
}

enum proof_verdict proof_judge(const u8 *mac, const u8 *bytes, size_t len)
{
    struct wire_proven_claim frame;
    struct sender *sender;
    u64 now = clock_ns();

    memcpy(&frame.claim, bytes, sizeof(frame.claim));
    if (len > sizeof(frame.claim) && frame.claim.proof != WIRE_PROOF)
        return PROOF_VERSION;
    if (!take_frame(&frame, bytes, len))
        return PROOF_FORGED;
    sender = find(frame.claim.owner);
    if (sender && frame.count <= sender->count)
        return PROOF_REPLAYED;
    if (!is_looked_at(sender, mac, &frame, now))
        return PROOF_CROWDED;
    if (!keyring_tagged(&frame, tagged_bytes(&frame), (const u8 *)&frame.echo[frame.echoes]))
        return PROOF_FORGED;
    if (is_proven(note(mac, &frame, now), now))
        return PROOF_GIVEN;
    if (frame.claim.kind == WIRE_CLAIM_ASKS && !fits(&proofs.strangers, PROOF_STRANGERS, now))
        return PROOF_CROWDED;
    return PROOF_UNPROVEN;
}

const char *proof_verdict_name(enum proof_verdict verdict)
{
    static const char *const names[NR_PROOF_VERDICTS] = {
        [PROOF_GIVEN] = "given",     [PROOF_UNPROVEN] = "unproven", [PROOF_CROWDED] = "crowded",
        [PROOF_VERSION] = "version", [PROOF_FORGED] = "forged",     [PROOF_REPLAYED] = "replayed",
    };

    return names[verdict];
}
