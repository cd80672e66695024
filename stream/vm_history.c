/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/vm_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/codec.h"
#include "hv/vm.h"

const char *history_mode_name(u8 mode)
{
    static const char *const names[NR_HISTORY_MODES] = { "whole", "split", "cold" };

    return names[mode];
}

/* A VM that has never moved has none. NULL: there is no memory. */
static struct vm_history *history_of(struct vm *vm)
{
    if (!vm->history)
        vm->history = calloc(1, sizeof(*vm->history));
    return vm->history;
}

void vm_history_add(struct vm *vm, const struct history_move *move)
{
    struct vm_history *history = history_of(vm);

    if (history)
        history->move[history->moves++ % HISTORY_MOVES] = *move;
}

static void move_state(struct history_move *move, struct codec *c)
{
    codec_u64(c, &move->epoch);
    codec_u64(c, &move->at);
    codec_u64(c, &move->stood);
    codec_u8(c, &move->mode);
    codec_bytes(c, move->from, sizeof(move->from));
    codec_judge(c, move->mode < NR_HISTORY_MODES && memchr(move->from, '\0', sizeof(move->from)),
                "a move that is none in its history");
}

void vm_history_state(struct vm *vm, struct codec *c)
{
    struct vm_history none = { 0 }, *history = vm->history ? vm->history : &none;

    if (c->restoring)
        history = history_of(vm);
    if (!history) {
        codec_refuse(c, -ENOMEM, "no memory");
        return;
    }
    codec_u32(c, &history->moves);
    for (u32 i = 0; i < HISTORY_MOVES; i++)
        move_state(&history->move[i], c);
    if (c->err && c->restoring)
        *history = (struct vm_history){ 0 };
}
