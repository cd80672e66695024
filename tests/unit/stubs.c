/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What pure code calls of the ground floor, for programs on this machine: the log goes to stderr if
 * GODWIT_TEST_LOG is set, and a panic is a failed cmocka assertion, so that expect_assert_failure() can demand one.
 * this_cpu() is CPU 0, unless the test runs as another one (tests/unit/processor.h).
 */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/cpu.h"
#include "host/log.h"
#include "host/panic.h"
#include "tests/unit/stubs.h"

unsigned stub_log_lines;

static __attribute__((constructor)) void run_as_cpu_0(void)
{
    static struct cpu cpu;

    cpu.self = &cpu;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
}

void log_vline(enum log_level level, const char *prefix, const char *format, va_list args)
{
    stub_log_lines++;
    if (!getenv("GODWIT_TEST_LOG"))
        return;
    fprintf(stderr, "%d %s: ", (int)level, prefix);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_vline(level, prefix, format, args);
    va_end(args);
}

bool log_guest(const char *name, const char *text)
{
    log_line(LOG_INFO, name, "| %s", text);
    return true;
}

void panic(const char *format, ...)
{
    static char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    mock_assert(0, text, "panic", 0);
    abort();
}
