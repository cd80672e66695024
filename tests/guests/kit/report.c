/* SPDX-License-Identifier: BSD-2-Clause */
/* Test outcomes on the console, and the verdict that ends the VM. */
#include "tests/guests/kit/report.h"

#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "config/guest_abi.h"

static unsigned failed, passed;
static const char *prefix;

void report_prefix(const char *new_prefix)
{
    prefix = new_prefix;
}

static void name_print(const char *name)
{
    kprintf("%s%s%s", prefix ? prefix : "", prefix ? ": " : "", name);
}

static void fail(const char *file, int line, const char *name)
{
    failed++;
    kprintf("FAIL %s:%d: ", file, line);
    name_print(name);
}

static void pass(const char *name)
{
    passed++;
    kprintf("PASS ");
    name_print(name);
    kprintf("\n");
}

void report_ok(const char *file, int line, const char *name, bool ok)
{
    if (ok) {
        pass(name);
        return;
    }
    fail(file, line, name);
    kprintf("\n");
}

void report_number(const char *file, int line, const char *name, u64 got, u64 want)
{
    if (got == want) {
        pass(name);
        return;
    }
    fail(file, line, name);
    kprintf(" (got 0x%lx, want 0x%lx)\n", got, want);
}

void report_vector(const char *file, int line, const char *name, struct fault f, int vector, bool check_error,
                   u64 error)
{
    if (f.vector == vector && (!check_error || f.error == error)) {
        pass(name);
        return;
    }
    fail(file, line, name);
    kprintf(" (got vector %d error 0x%lx cr2 0x%lx rip 0x%lx, want vector %d", f.vector, f.error, f.cr2, f.rip, vector);
    if (check_error)
        kprintf(" error 0x%lx", error);
    kprintf(")\n");
}

void report_skip(const char *name, const char *reason)
{
    kprintf("SKIP ");
    name_print(name);
    kprintf(": %s\n", reason);
}

void report_end(void)
{
    cli();
    if (!passed && !failed)
        report("at least one test ran", false);
    if (failed)
        kprintf("FAIL (%u failed)\n", failed);
    else
        kprintf("PASS\n");
    outl(GODWIT_VERDICT_PORT, failed);
    for (;;)
        asm volatile("hlt");
}
