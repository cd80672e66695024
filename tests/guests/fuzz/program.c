/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs: pieces that touch what processors and hypervisors keep hidden (privilege, segments, flags, ways into
 * the kernel, exits), in random order, with random bytes between them; and random registers to begin with.
 */
#include "tests/guests/fuzz/fuzz.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/string.h"
#include "tests/guests/kit/x86.h"
#include "host/bits.h"

#define PIECES_MAX 24
#define NEAR 64 /* bytes */

/* From TF to NT, without IF and IOPL, which would take the machine from the kernel. */
#define FLAGS_RANDOM 0x254DD5
#define END_4G 0x100000000ULL

struct piece {
    u8 length;
    u8 code[9];
};

/*
 * In the bytes of each mode; a piece means something else in the others, which does no harm. LOCK with BT, BTS, BTR or
 * BTC of a register is QEMU's end (docs/emulators.md), so no piece is one random byte away from it.
 */
static const struct piece pieces[] = {
    { 1, { 0xCF } },                                           /* iret */
    { 2, { 0x48, 0xCF } },                                     /* iretq */
    { 1, { 0xCB } },                                           /* far ret */
    { 1, { 0x9D } },                                           /* popf */
    { 1, { 0x9C } },                                           /* pushf */
    { 6, { 0x68, 0x00, 0x01, 0x00, 0x00, 0x9D } },             /* push TF; popf */
    { 6, { 0x68, 0x00, 0x41, 0x04, 0x00, 0x9D } },             /* push AC, NT, TF; popf */
    { 7, { 0x68, 0x00, 0x01, 0x9D, 0x8E, 0xD0, 0x90 } },       /* the same, 16-bit; mov %ax, %ss */
    { 2, { 0x8E, 0xD0 } },                                     /* mov %ax, %ss */
    { 2, { 0x8E, 0xD8 } },                                     /* mov %ax, %ds */
    { 2, { 0x8E, 0xC0 } },                                     /* mov %ax, %es */
    { 2, { 0x8E, 0xE0 } },                                     /* mov %ax, %fs */
    { 2, { 0x8E, 0xE8 } },                                     /* mov %ax, %gs */
    { 1, { 0x17 } },                                           /* pop %ss */
    { 5, { 0xB8, 0x0F, 0x00, 0x00, 0x00 } },                   /* mov $LDT_DATA32, %eax */
    { 5, { 0xB8, 0x1F, 0x00, 0x00, 0x00 } },                   /* mov $LDT_DATA16, %eax */
    { 2, { 0x0F, 0xA2 } },                                     /* cpuid */
    { 2, { 0x0F, 0x31 } },                                     /* rdtsc */
    { 3, { 0x0F, 0x01, 0xF9 } },                               /* rdtscp */
    { 3, { 0x0F, 0x01, 0xD0 } },                               /* xgetbv */
    { 2, { 0xE4, 0x80 } },                                     /* in $0x80, %al: its own */
    { 2, { 0xE6, 0x80 } },                                     /* out */
    { 5, { 0x66, 0xBA, 0xFF, 0x03, 0xEC } },                   /* mov $0x3FF, %dx; in: the scratch register */
    { 5, { 0xBA, 0xFF, 0x03, 0x00, 0x00 } },                   /* mov $0x3FF, %edx */
    { 2, { 0xF3, 0x6C } },                                     /* rep insb */
    { 2, { 0xF3, 0x6E } },                                     /* rep outsb */
    { 2, { 0x64, 0x6E } },                                     /* outsb by %fs */
    { 2, { 0xF3, 0xA4 } },                                     /* rep movsb */
    { 3, { 0x0F, 0x23, 0xF8 } },                               /* mov %eax, %dr7 */
    { 3, { 0x0F, 0x01, 0xE0 } },                               /* smsw */
    { 3, { 0x0F, 0x00, 0xC8 } },                               /* str */
    { 3, { 0x0F, 0x02, 0xC0 } },                               /* lar */
    { 3, { 0x0F, 0x03, 0xC0 } },                               /* lsl */
    { 3, { 0x0F, 0x00, 0xE0 } },                               /* verr */
    { 7, { 0xEA, 0x00, 0x10, 0x00, 0x00, LDT_CODE32, 0x00 } }, /* ljmp */
    { 5, { 0xEA, 0x00, 0x10, LDT_CODE16, 0x00 } },             /* ljmp, 16-bit */
    { 2, { 0xFF, 0x2C } },                                     /* ljmp by memory */
    { 3, { 0x0F, 0xB2, 0x27 } },                               /* lss */
    { 2, { 0xC5, 0x07 } },                                     /* lds */
    { 4, { 0x6A, LDT_CODE32, 0x6A, 0x00 } },                   /* what a far ret pops */
    { 4, { 0xF3, 0x0F, 0xAE, 0xD0 } },                         /* wrfsbase */
    { 3, { 0x0F, 0xAE, 0x27 } },                               /* xsave */
    { 3, { 0x0F, 0xAE, 0x2F } },                               /* xrstor */
    { 3, { 0x0F, 0xAE, 0x0F } },                               /* fxrstor */
    { 4, { 0xC8, 0x10, 0x00, 0x1F } },                         /* enter */
    { 2, { 0xCD, 0x41 } },                                     /* int 0x41: with VME the program's own */
    { 2, { 0xEB, 0xEE } },                                     /* jmp back */
    { 4, { 0xF0, 0x0F, 0xB1, 0x07 } },                         /* lock cmpxchg */
    { 2, { 0x63, 0xC0 } },                                     /* arpl, movsxd */
};

/* After most of these the program is over. */
static const struct piece last_pieces[] = {
    { 2, { 0x0F, 0x05 } },                                   /* syscall */
    { 2, { 0x0F, 0x34 } },                                   /* sysenter */
    { 2, { 0x0F, 0x07 } },                                   /* sysret */
    { 2, { 0x0F, 0x35 } },                                   /* sysexit */
    { 2, { 0xCD, 0x80 } },                                   /* int 0x80 */
    { 1, { 0xCC } },                                         /* int3 */
    { 1, { 0xCE } },                                         /* into */
    { 1, { 0xF1 } },                                         /* int1 */
    { 2, { 0x0F, 0x33 } },                                   /* rdpmc */
    { 3, { 0x0F, 0x01, 0xD1 } },                             /* xsetbv */
    { 2, { 0x0F, 0x30 } },                                   /* wrmsr */
    { 2, { 0x0F, 0x32 } },                                   /* rdmsr */
    { 1, { 0xF4 } },                                         /* hlt */
    { 1, { 0xFA } },                                         /* cli */
    { 1, { 0xFB } },                                         /* sti */
    { 2, { 0x0F, 0x08 } },                                   /* invd */
    { 3, { 0x0F, 0x01, 0xC1 } },                             /* vmcall */
    { 3, { 0x0F, 0x01, 0xD9 } },                             /* vmmcall */
    { 3, { 0x0F, 0x01, 0xC8 } },                             /* monitor */
    { 3, { 0x0F, 0x01, 0xD8 } },                             /* vmrun */
    { 3, { 0x0F, 0x20, 0xC0 } },                             /* mov %cr0, %eax */
    { 7, { 0x9A, 0x00, 0x00, 0x00, 0x00, LDT_GATE, 0x00 } }, /* lcall by the gate */
};

u64 random_state;

/* xorshift64*. */
u32 random32(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (u32)(random_state * 0x2545F4914F6CDD1DULL >> 32);
}

static u64 random64(void)
{
    return (u64)random32() << 32 | random32();
}

static bool one_in(u32 n)
{
    return random32() % n == 0;
}

static u8 *put(u8 *code, const u8 *limit, u8 byte)
{
    if (code < limit)
        *code++ = byte;
    return code;
}

/* Write a program at or shortly before `end` of the arena, where it is cut off, or before it. Returns its offset. */
static u32 code_fill(u32 end)
{
    u32 at = end - 1 - random32() % (one_in(3) ? NEAR : end - 1);
    u8 *code = (u8 *)ARENA + at, *limit = (u8 *)ARENA + end;

    for (u32 i = random32() % PIECES_MAX + 1; i; i--) {
        const struct piece *piece = one_in(8) ? &last_pieces[random32() % ARRAY_SIZE(last_pieces)]
                                              : &pieces[random32() % ARRAY_SIZE(pieces)];
        u32 spoiled = one_in(8) ? random32() % piece->length : piece->length;

        if (one_in(16))
            code = put(code, limit, (u8)random32());
        for (u32 k = 0; k < piece->length; k++)
            code = put(code, limit, k == spoiled ? (u8)random32() : piece->code[k]);
    }
    return at;
}

static u64 selector(void)
{
    static const u16 usual[] = { LDT_CODE32,  LDT_DATA32,  LDT_CODE16, LDT_DATA16, LDT_GATE,
                                 KIT_USER_DS, KIT_USER_CS, 0,          3 };

    if (one_in(2))
        return usual[random32() % ARRAY_SIZE(usual)];
    return one_in(8) ? random32() & 0xFFFF : (LDT_RANDOM + random32() % (LDT_SLOTS - LDT_RANDOM)) * 8 | 7;
}

/* For a program to begin with: mostly one that can be loaded. */
static u64 data_selector(void)
{
    static const u16 usual[] = { LDT_DATA32, LDT_DATA16, KIT_USER_DS, 0 };

    return one_in(8) ? selector() : usual[random32() % ARRAY_SIZE(usual)];
}

static u64 descriptor(u64 base, u64 limit, u64 attr)
{
    return (limit & 0xFFFF) | (base & BITS(23, 0)) << 16 | attr << 40 | (limit >> 16 & 15) << 48 | (base >> 24) << 56;
}

void ldt_fill(u64 *ldt, const void *gate_target)
{
    u64 target = (u64)gate_target;

    ldt[LDT_CODE32 / 8] = descriptor(0, 0xFFFFF, 0xC0FB);
    ldt[LDT_DATA32 / 8] = descriptor(0, 0xFFFFF, 0xC0F3);
    ldt[LDT_CODE16 / 8] = descriptor(END_4G - ARENA_SIZE, 0xFFFF, 0x00FB);
    ldt[LDT_DATA16 / 8] = descriptor(END_4G - ARENA_SIZE, 0xFFFF, 0x00F3);
    ldt[LDT_GATE / 8] = (target & 0xFFFF) | KIT_CS64 << 16 | 0xECULL << 40 | (target >> 16 & 0xFFFF) << 48;
    ldt[LDT_GATE / 8 + 1] = target >> 32;
    for (u32 i = LDT_RANDOM; i < LDT_SLOTS; i++) {
        u64 base = one_in(2) ? random32() : END_4G - ARENA_SIZE + random32() % ARENA_SIZE;
        u64 attr = (random32() & 0xF00F) | 0x90 | (one_in(4) ? random32() & 0x60 : 0x60);

        ldt[i] = descriptor(one_in(4) ? 0 : base, one_in(2) ? 0xFFFFF : random32(), one_in(8) ? attr & ~0x80ULL : attr);
    }
}

/* Where ring 3 sees the arena in long mode: the ends of what code of each size can reach. */
static u64 place(bool low)
{
    static const u64 places[] = { GiB(1), END_4G - ARENA_SIZE, PAGING_TEST, 0x800000000000 - ARENA_SIZE,
                                  0xFFFF800000000000 };

    return places[random32() % (low ? 2 : ARRAY_SIZE(places))];
}

static u64 value(u64 base)
{
    return one_in(2) ? base + random32() % ARENA_SIZE : one_in(2) ? random32() % 1024 : random64();
}

void program_long(struct user *user)
{
    bool wide = one_in(2);
    u64 base = place(!wide);

    user->rip = base + code_fill(ARENA_SIZE);
    user->cs = wide ? KIT_USER_CS : one_in(8) ? selector() : one_in(4) ? LDT_CODE16 : LDT_CODE32;
    if (user->cs == LDT_CODE16)
        user->rip &= 0xFFFF;
    user->rflags = RFLAGS_FIXED | RFLAGS_IF | (random32() & FLAGS_RANDOM & ~EFLAGS_VM);
    user->rsp = one_in(8) ? random64() : base + random32() % ARENA_SIZE;
    user->ss = one_in(16) ? selector() : wide ? KIT_USER_DS : LDT_DATA32;
    user->ds = data_selector();
    user->es = data_selector();
    user->fs = data_selector();
    user->gs = data_selector();
    user->way = one_in(8) ? WAY_SYSRET : one_in(16) ? WAY_SYSEXIT : WAY_IRET;
    for (u32 i = 0; i < ARRAY_SIZE(user->regs); i++)
        user->regs[i] = one_in(4) ? selector() : value(base);
}

void program_legacy(struct legacy_user *user)
{
    bool v86 = one_in(2);
    u32 at = code_fill(v86 ? (u32)MiB(1) : (u32)ARENA_SIZE), base = (u32)(END_4G - MiB(4));

    user->eflags = RFLAGS_FIXED | RFLAGS_IF | (random32() & FLAGS_RANDOM & ~EFLAGS_VM) | (v86 ? EFLAGS_VM : 0);
    user->cs = v86 ? at >> 4 : one_in(8) ? (u32)selector() : LDT_CODE32;
    user->eip = v86 ? at & 15 : base + at;
    user->esp = one_in(4) ? random32() : v86 ? random32() & 0xFFFF : base + random32() % (u32)ARENA_SIZE;
    user->ss = v86 ? random32() & 0xFFFF : one_in(16) ? (u32)selector() : LDT_DATA32;
    user->ds = v86 ? random32() & 0xFFFF : (u32)data_selector();
    user->es = v86 ? random32() & 0xFFFF : (u32)data_selector();
    user->fs = v86 ? random32() & 0xFFFF : (u32)data_selector();
    user->gs = v86 ? random32() & 0xFFFF : (u32)data_selector();
    for (u32 i = 0; i < ARRAY_SIZE(user->regs); i++)
        user->regs[i] = (u32)value(base);
}
