/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/mistake.h"

#include <errno.h>
#include <stdlib.h>

#include "hv/backend.h"
#include "control/command.h"
#include "host/apic.h"
#include "host/asm.h"
#include "host/cpu.h"
#include "host/traps.h"
#include "host/bits.h"
#include "host/lock.h"
#include "host/types.h"
#include "hv/resident.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "host/frame.h"

#define VECTOR_HANDLER 0xF0 /* an interrupt that nothing else uses */
#define MANY 1000           /* pieces: more than the allocator keeps back */

/* The compiler must not see what is wrong. */
static volatile int seven = 7;
static char *volatile somewhere;

static struct spinlock lock = SPINLOCK(LOCK_MISTAKE);
static struct spinlock inner = SPINLOCK(LOCK_LOG);

static void smash_stack(void)
{
    char text[16];

    somewhere = text;
    for (int i = 0; i < seven * 8; i++)
        somewhere[i] = 'x';
    somewhere = NULL;
}

static void overflow(void)
{
    seven = 0x7fffffff + seven;
}

static void index_beyond(void)
{
    int numbers[3] = { 0, 0, 0 };

    seven = numbers[seven];
}

/* The caller that gets the frame next, after it was zeroed, finds that it was written to. The frame that has been free
 * for longest is given first, so take all. */
static void write_freed_frame(void)
{
    u64 *page = frame_alloc_page();

    if (!page)
        return;
    frame_free_page(page);
    while (frame_scrub())
        ;
    page[100] = (u64)seven;
    while (frame_alloc(FRAME_ORDER_4K) != FRAME_NONE)
        ;
}

/* The analyser of `make check` must not follow the piece to its wrong use: hence the assembler statement. */
static void free_piece(void)
{
    char *piece = malloc(64);

    somewhere = piece;
    __asm__("" : "+r"(piece));
    free(piece);
}

static void write_freed_piece(void)
{
    free_piece();
    somewhere[seven] = 'x';
    for (int i = 0; i < MANY; i++)
        free_piece();
}

static void free_twice(void)
{
    free_piece();
    free(somewhere);
}

/* The lock looks as if another processor held it: its ticket is the next one. */
static void release_anothers_lock(void)
{
    lock.next++;
    spin_unlock(&lock);
}

static void take_twice(void)
{
    spin_lock(&lock);
    spin_lock(&lock);
}

static void take_outer_last(void)
{
    spin_lock(&inner);
    spin_lock(&lock);
}

/* The host loop then goes to sleep, or into a guest, with the lock. */
static void keep_lock(void)
{
    spin_lock(&lock);
}

static void lock_with_interrupts_on(void)
{
    __asm__ volatile("sti");
    spin_lock(&lock);
}

/* Make the mistake in an interrupt handler on the processor with that index, which must then stop this one. */
static void run_in_handler(u32 cpu, void (*mistake)(void))
{
    irq_register(VECTOR_HANDLER, mistake);
    apic_send(cpu_at(cpu)->apic_id, IPI_FIXED | VECTOR_HANDLER);
    for (;;)
        take_interrupts();
}

static void take_lock(void)
{
    spin_lock(&lock);
}

static void lock_in_handler(void)
{
    run_in_handler(0, take_lock);
}

static void find_vm(void)
{
    vm_find("");
}

static void host_loop_elsewhere(void)
{
    run_in_handler(1, find_vm);
}

/* One of the vcpus is resident on another processor; which one may change between two looks. */
static void read_resident_vcpus(void)
{
    struct vcpu_state state;

    for (unsigned look = 0; look < 100000; look++)
        list_each (const struct vm, vm, vm_list())
            backend()->get(vm->vcpu[0], &state, STATE_ALL);
}

static void resident_elsewhere(void)
{
    resident_set(container_of(vm_list()->next, struct vm, node)->vcpu[0]);
}

#define KINDS(X)                                  \
    X("stack", smash_stack)                       \
    X("overflow", overflow)                       \
    X("index", index_beyond)                      \
    X("frame", write_freed_frame)                 \
    X("heap", write_freed_piece)                  \
    X("free-twice", free_twice)                   \
    X("lock", release_anothers_lock)              \
    X("lock-twice", take_twice)                   \
    X("lock-order", take_outer_last)              \
    X("lock-kept", keep_lock)                     \
    X("lock-interrupts", lock_with_interrupts_on) \
    X("lock-handler", lock_in_handler)            \
    X("host-loop", host_loop_elsewhere)           \
    X("vcpu-state", read_resident_vcpus)          \
    X("vcpu-resident", resident_elsewhere)

#define NAME(name, mistake) name,
#define MISTAKE(name, mistake) mistake,

const char *const mistake_kinds[] = { KINDS(NAME) NULL };

static void (*const mistakes[])(void) = { KINDS(MISTAKE) };

int command_mistake(struct call *call)
{
    mistakes[call->arg[0].number]();
    return call_fail(call, -EINVAL, "nothing has caught it");
}
