/* SPDX-License-Identifier: BSD-2-Clause */
/* The outcome of a guest's tests: one line each, and the verdict of all. */
#pragma once

#include "tests/guests/kit/trap.h"
#include "host/types.h"

/* "PASS name" or "FAIL file:line: name". */
#define report(name, ok) report_ok(__FILE__, __LINE__, (name), (ok))

/* The same with both numbers in the failure. */
#define report_equal(name, got, want) report_number(__FILE__, __LINE__, (name), (u64)(got), (u64)(want))

/* struct fault f ended by this vector (FAULT_NONE: by none). */
#define report_fault(name, f, vector) report_vector(__FILE__, __LINE__, (name), (f), (vector), false, 0)

/* ... and with this error code. */
#define report_error(name, f, vector, error) report_vector(__FILE__, __LINE__, (name), (f), (vector), true, (error))

/* Put "prefix: " before the names that follow; NULL: nothing. */
void report_prefix(const char *prefix);

/* A test that makes no sense on this machine. Counts neither way. */
void report_skip(const char *name, const char *reason);

/* "PASS" or "FAIL (n failed)" for the whole guest, and the verdict port. */
_Noreturn void report_end(void);

void report_ok(const char *file, int line, const char *name, bool ok);
void report_number(const char *file, int line, const char *name, u64 got, u64 want);
void report_vector(const char *file, int line, const char *name, struct fault f, int vector, bool check_error,
                   u64 error);
