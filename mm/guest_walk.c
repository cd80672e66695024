/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's page tables, walked in software.
 *
 * One loop for the three formats. A walk reads the entries from the root to the leaf, judges the access by the rights
 * of all of them, and only then sets accessed and dirty bits, each by compare-and-exchange: if another processor
 * changed an entry since it was read, the whole walk is done again, so that no bit is set in an entry that means
 * something else now.
 */
#include "mm/guest_walk.h"

#include <errno.h>

#include "host/x86.h"
#include "host/bits.h"

#define MAX_LEVELS 4

/* Reserved address bits of 8-byte entries. */
#define RSVD_ADDR BITS(51, GUEST_MAXPHYADDR)

/* 32-bit paging's 4 MiB page: bits 20..13 are bits 39..32 of the address (SDM 3A "32-Bit Paging", PSE-36). */
#define PSE36_HIGH BITS(20, 13)
#define PSE36_RSVD BIT(21)
_Static_assert(GUEST_MAXPHYADDR == 40, "PSE-36 reaches exactly 40 bits, with no reserved ones among its 8");

struct paging {
    unsigned top;         /* level of the first table in memory */
    unsigned entry_bytes; /* 4 or 8 */
    unsigned index_bits;  /* 10 or 9 */
};

static const struct paging paging_32 = { 2, 4, 10 }, paging_pae = { 2, 8, 9 }, paging_4level = { 4, 8, 9 };

struct step {
    gpa_t at; /* of the entry */
    u64 entry;
};

struct walk {
    struct guest_mem *mem;
    const struct walk_context *ctx;
    const struct paging *paging;
    gva_t gva;
    enum walk_access access;
    struct step step[MAX_LEVELS + 1]; /* by level; [leaf] .. [paging->top] are filled */
    unsigned leaf;                    /* level of the leaf */
    u32 *error;                       /* where the error code of a fault goes */
};

static bool is_user(const struct walk *walk)
{
    return walk->ctx->cpl == 3;
}

static bool nx_enabled(const struct walk *walk)
{
    return walk->paging->entry_bytes == 8 && (walk->ctx->efer & EFER_NXE);
}

static unsigned level_shift(const struct walk *walk, unsigned level)
{
    return PAGE_SHIFT + walk->paging->index_bits * (level - 1);
}

/* The access faults, `cause` being PF_PRESENT, PF_RSVD or none (SDM 3A "Page-Fault Exceptions"). Returns -EFAULT. */
static int fault(const struct walk *walk, u64 cause)
{
    bool tells_fetch = nx_enabled(walk) || (walk->ctx->cr4 & CR4_SMEP);

    *walk->error = (u32)(cause | (walk->access == WALK_WRITE ? PF_WRITE : 0) | (is_user(walk) ? PF_USER : 0) |
                         (walk->access == WALK_FETCH && tells_fetch ? PF_FETCH : 0));
    return -EFAULT;
}

/* Returns 0, or -EAGAIN if the entry is in a missing page. */
static int entry_read(const struct walk *walk, struct step *step)
{
    unsigned bytes = walk->paging->entry_bytes;
    int err;

    step->entry = 0;
    err = guest_read(walk->mem, step->at, &step->entry, bytes);
    if (err == -EFAULT)
        step->entry = size_mask(bytes);
    return err == -EAGAIN ? err : 0;
}

static bool entry_is_leaf(const struct walk *walk, u64 entry, unsigned level)
{
    if (level == 1)
        return true;
    if (level == 4 || !(entry & PTE_PS))
        return false;
    return walk->paging != &paging_32 || (walk->ctx->cr4 & CR4_PSE);
}

/* Bits that must be clear in a present entry (SDM 3A tables "Format of ..." of each paging mode). */
static u64 entry_reserved(const struct walk *walk, u64 entry, unsigned level)
{
    bool large = level > 1 && entry_is_leaf(walk, entry, level);
    u64 mask;

    if (walk->paging == &paging_32)
        return large ? PSE36_RSVD : 0;
    mask = RSVD_ADDR | (nx_enabled(walk) ? 0 : PTE_NX);
    if (walk->paging == &paging_pae)
        mask |= BITS(62, 52);
    if (level == 4)
        mask |= PTE_PS;
    if (large) /* address bits inside the page, except PAT in bit 12 */
        mask |= BITS(level_shift(walk, level) - 1, 13);
    return mask;
}

int guest_pdptes_read(struct guest_mem *mem, u64 cr3, u64 pdpte[4])
{
    int error = guest_read(mem, cr3 & BITS(31, 5), pdpte, 4 * sizeof(pdpte[0]));

    for (unsigned i = 0; i < 4 && !error; i++)
        pdpte[i] &= ~PTE_A;
    return error;
}

/* Find the first table, from CR3 or under PAE from the PDPTE register. Returns what guest_walk does. */
static int root_find(const struct walk *walk, gpa_t *table)
{
    const struct walk_context *ctx = walk->ctx;

    if (walk->paging == &paging_4level) {
        *table = ctx->cr3 & PTE_ADDR;
    } else if (walk->paging == &paging_32) {
        *table = ctx->cr3 & BITS(31, 12);
    } else if (ctx->pdptes_missing) {
        return -EAGAIN;
    } else {
        u64 pdpte = ctx->pdpte[field_get(BITS(31, 30), walk->gva)];

        *table = pdpte & PTE_ADDR;
        return pdpte & PTE_P ? 0 : fault(walk, 0);
    }
    return 0;
}

/* Read the entries down to the leaf. Returns what guest_walk does. */
static int entries_read(struct walk *walk)
{
    const struct paging *paging = walk->paging;
    gpa_t table;
    int err = root_find(walk, &table);

    if (err)
        return err;
    for (unsigned level = paging->top;; level--) {
        struct step *step = &walk->step[level];
        u64 index = (walk->gva >> level_shift(walk, level)) & (BIT(paging->index_bits) - 1);

        step->at = table + index * paging->entry_bytes;
        if (entry_read(walk, step) != 0)
            return -EAGAIN;
        if (!(step->entry & PTE_P))
            return fault(walk, 0);
        if (step->entry & entry_reserved(walk, step->entry, level))
            return fault(walk, PF_PRESENT | PF_RSVD);
        if (entry_is_leaf(walk, step->entry, level)) {
            walk->leaf = level;
            return 0;
        }
        table = step->entry & PTE_ADDR;
    }
}

/* SDM 3A "Determination of Access Rights". */
static bool access_allowed(const struct walk *walk)
{
    const struct walk_context *ctx = walk->ctx;
    u64 all = ~0ULL, any = 0;
    bool user_page;

    for (unsigned level = walk->leaf; level <= walk->paging->top; level++) {
        all &= walk->step[level].entry;
        any |= walk->step[level].entry;
    }
    user_page = (all & PTE_U) != 0;
    if (is_user(walk) && !user_page)
        return false;

    switch (walk->access) {
    case WALK_FETCH:
        if (nx_enabled(walk) && (any & PTE_NX))
            return false;
        return is_user(walk) || !user_page || !(ctx->cr4 & CR4_SMEP);
    case WALK_WRITE:
        if (!(all & PTE_W) && (is_user(walk) || (ctx->cr0 & CR0_WP)))
            return false;
        break;
    case WALK_READ: break;
    }
    return is_user(walk) || !user_page || !(ctx->cr4 & CR4_SMAP) || (ctx->rflags & RFLAGS_AC);
}

/* Set A in every entry used, and D in the leaf of a write. False if an entry has changed since it was read. */
static bool bits_set(struct walk *walk)
{
    for (unsigned level = walk->paging->top; level >= walk->leaf; level--) {
        struct step *step = &walk->step[level];
        u64 new = step->entry | PTE_A;

        if (level == walk->leaf && walk->access == WALK_WRITE)
            new |= PTE_D;
        if (new != step->entry && !guest_cmpxchg(walk->mem, step->at, step->entry, new, walk->paging->entry_bytes))
            return false;
    }
    return true;
}

static gpa_t leaf_address(const struct walk *walk)
{
    u64 entry = walk->step[walk->leaf].entry, offset = BIT(level_shift(walk, walk->leaf)) - 1;
    gpa_t page = entry & PTE_ADDR & ~offset;

    if (walk->paging == &paging_32 && walk->leaf == 2)
        page |= field_get(PSE36_HIGH, entry) << 32;
    return page | (walk->gva & offset);
}

static const struct paging *paging_mode(const struct walk_context *ctx)
{
    if (ctx->efer & EFER_LMA)
        return &paging_4level;
    return ctx->cr4 & CR4_PAE ? &paging_pae : &paging_32;
}

int guest_walk(struct guest_mem *mem, const struct walk_context *ctx, gva_t gva, enum walk_access access, gpa_t *gpa,
               u32 *error)
{
    struct walk walk = { .mem = mem, .ctx = ctx, .paging = paging_mode(ctx), .access = access, .error = error };

    walk.gva = walk.paging == &paging_4level ? gva : (u32)gva;
    if (!(ctx->cr0 & CR0_PG)) {
        *gpa = walk.gva;
        return 0;
    }
    do {
        int err = entries_read(&walk);

        if (err)
            return err;
        if (!access_allowed(&walk))
            return fault(&walk, PF_PRESENT);
    } while (!bits_set(&walk));
    *gpa = leaf_address(&walk);
    return 0;
}
