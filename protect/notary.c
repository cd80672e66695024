/* SPDX-License-Identifier: BSD-2-Clause */
#include "protect/notary.h"

#include <stdio.h>
#include <string.h>

#include "host/clock.h"
#include "owners/witness_watch.h"

#define AGAIN_NS (NS_PER_S / 10) /* between two questions that nobody answers */
#define ODD_NS NS_PER_S          /* after an answer that is no deed */

void notary_init(struct notary *notary, const u8 id[VM_ID])
{
    *notary = (struct notary){ .asked = false };
    witness_key(id, notary->key);
}

bool notary_sent(struct notary *notary)
{
    notary->sent |= notary->asked && witness_outcome(notary->request)->sent;
    return notary->sent;
}

/* Ask, unless it is too early. */
static void ask(struct notary *notary)
{
    char wanted[DEED_MAX];

    if (clock_ns() < notary->again)
        return;
    notary->asked = true;
    if (!notary->request)
        notary->request = witness_open();
    if (!notary->request) {
        notary->asked = false;
        notary->again = clock_ns() + AGAIN_NS;
        return;
    }
    if (!notary->swaps || !notary->known) {
        witness_read(notary->request, notary->key);
        return;
    }
    deed_text(&notary->wanted, wanted);
    witness_swap(notary->request, notary->key, notary->deed.present ? notary->text : NULL, wanted);
}

static void begin(struct notary *notary, u64 when)
{
    notary_sent(notary); /* of the question that is given up */
    notary->again = when ? when : 1;
    notary->asked = false;
    notary->fault[0] = '\0';
    ask(notary);
}

void notary_read(struct notary *notary, u64 when)
{
    notary->swaps = false;
    begin(notary, when);
}

void notary_swap(struct notary *notary, const struct deed *wanted)
{
    notary->swaps = true;
    notary->wanted = *wanted;
    begin(notary, 0);
}

void notary_stop(struct notary *notary)
{
    notary->asked = notary->swaps = notary->sent = false;
    notary->again = 0;
}

void notary_fini(struct notary *notary)
{
    witness_close(notary->request);
    notary->request = NULL;
}

/* The key has this value now. False: that is no deed. */
static bool take(struct notary *notary, bool present, const char *value)
{
    notary->known = !present || deed_parse(value, &notary->deed);
    if (!present)
        notary->deed = (struct deed){ .present = false };
    snprintf(notary->text, sizeof(notary->text), "%s", present ? value : "");
    notary->answered = clock_ns();
    notary->fault[0] = '\0';
    if (!notary->known)
        snprintf(notary->fault, sizeof(notary->fault), "the witness has no deed under %s, but \"%.60s\"", notary->key,
                 value);
    return notary->known;
}

/* What has become of the question? Returns true if it was answered as it was meant. */
static bool judge(struct notary *notary, const struct witness_outcome *outcome)
{
    char wanted[DEED_MAX];

    notary->again = clock_ns() + AGAIN_NS;
    switch (outcome->result) {
    case WITNESS_SWAPPED: deed_text(&notary->wanted, wanted); return take(notary, true, wanted);
    case WITNESS_READ:
    case WITNESS_DIFFERENT:
        if (!take(notary, outcome->present, outcome->value)) {
            notary->again = clock_ns() + ODD_NS;
            return false;
        }
        return true;
    default: snprintf(notary->fault, sizeof(notary->fault), "%s", outcome->reason); return false;
    }
}

bool notary_step(struct notary *notary)
{
    const struct witness_outcome *outcome;
    bool answered;

    if (!notary->asked && notary->again)
        ask(notary);
    if (!notary->asked)
        return false;
    outcome = witness_outcome(notary->request);
    notary_sent(notary);
    if (outcome->result == WITNESS_ASKED)
        return false;
    notary->asked = false;
    answered = judge(notary, outcome);
    if (answered)
        notary->again = 0;
    return answered;
}

u64 notary_next(const struct notary *notary)
{
    return notary->asked || !notary->again ? ~0ULL : notary->again;
}
