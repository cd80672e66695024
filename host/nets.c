/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the compiler calls in a debug image when it has caught a mistake of ours: each is a panic that names its kind
 * and place. A release image has no calls of these, so the linker leaves them out.
 */
#include "host/panic.h"
#include "host/types.h"

/* GCC, "Instrumentation Options": between a function's variables and its return address lies this value. Its lowest
 * byte is 0, so that no text that is too long can write it. */
const u64 __stack_chk_guard = 0xb7a915ed5d2c0e00;

void __stack_chk_fail(void) __attribute__((noreturn));

void __stack_chk_fail(void)
{
    panic("stack smashed: a function has written beyond its variables");
}

/* What the description that comes with each call of the undefined-behaviour sanitizer begins with. */
struct place {
    const char *file;
    u32 line;
    u32 column;
};

/* The names that the compiler calls are its own to declare; further arguments are of no use to us. */
#define CAUGHT(handler, words)                                                                                 \
    void caught_##handler(const struct place *) __asm__("__ubsan_handle_" #handler) __attribute__((noreturn)); \
    void caught_##handler(const struct place *place)                                                           \
    {                                                                                                          \
        panic("undefined behaviour at %s:%u:%u: " words, place->file, place->line, place->column);             \
    }

CAUGHT(add_overflow, "signed overflow of an addition")
CAUGHT(sub_overflow, "signed overflow of a subtraction")
CAUGHT(mul_overflow, "signed overflow of a multiplication")
CAUGHT(negate_overflow, "signed overflow of a negation")
CAUGHT(divrem_overflow, "division by 0, or its overflow")
CAUGHT(shift_out_of_bounds, "a shift by too much, or of a negative value")
CAUGHT(out_of_bounds, "an index beyond its array")
CAUGHT(type_mismatch_v1, "a pointer that is NULL, not aligned, or to too small an object")
CAUGHT(pointer_overflow, "overflow of a pointer")
CAUGHT(load_invalid_value, "a value that its type does not have")
CAUGHT(vla_bound_not_positive, "an array without elements")
CAUGHT(nonnull_arg, "NULL for an argument that must not be")
CAUGHT(invalid_builtin, "0 for a count of leading or trailing zeros")
CAUGHT(builtin_unreachable, "unreachable code is reached")
