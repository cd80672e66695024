/* SPDX-License-Identifier: BSD-2-Clause */
/* The first serial port, polled; and the formats that the guests need, which link no libc. */
#include "tests/guests/kit/console.h"

#include <stdarg.h>

#include "tests/guests/kit/cpu.h"
#include "config/guest_abi.h"

#define UART_THR (GODWIT_CONSOLE_PORT + 0)
#define UART_RBR (GODWIT_CONSOLE_PORT + 0)
#define UART_LSR (GODWIT_CONSOLE_PORT + 5)
#define LSR_DR 0x01
#define LSR_THRE 0x20

static void put_raw(char c)
{
    while (!(inb(UART_LSR) & LSR_THRE))
        pause();
    outb(UART_THR, (u8)c);
}

static void put(char c)
{
    static bool inside_line;

    if (!inside_line) {
        for (const char *p = guest_name; *p; p++)
            put_raw(*p);
        put_raw(':');
        put_raw(' ');
    }
    inside_line = c != '\n';
    if (c == '\n')
        put_raw('\r');
    put_raw(c);
}

static void put_number(u64 value, unsigned base, bool negative, int width, char pad)
{
    char digits[24];
    int n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        digits[n++] = '-';
    for (; width > n; width--)
        put(pad);
    while (n)
        put(digits[--n]);
}

static void put_string(const char *s, int width)
{
    for (; *s; s++, width--)
        put(*s);
    for (; width > 0; width--)
        put(' ');
}

void kprintf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (const char *p = format; *p; p++) {
        char pad = ' ';
        int width = 0;
        bool wide = false;
        u64 value;

        if (*p != '%') {
            put(*p);
            continue;
        }
        if (*++p == '0')
            pad = '0';
        for (; *p >= '0' && *p <= '9'; p++)
            width = 10 * width + *p - '0';
        for (; *p == 'l'; p++)
            wide = true;
        switch (*p) {
        case 's': put_string(va_arg(args, const char *), width); break;
        case 'c': put((char)va_arg(args, int)); break;
        case 'd':
            value = wide ? va_arg(args, u64) : (u64)va_arg(args, int);
            put_number((s64)value < 0 ? -value : value, 10, (s64)value < 0, width, pad);
            break;
        case 'u':
        case 'x':
            value = wide ? va_arg(args, u64) : va_arg(args, u32);
            put_number(value, *p == 'x' ? 16 : 10, false, width, pad);
            break;
        default: put(*p);
        }
    }
    va_end(args);
}

char console_key(void)
{
    return inb(UART_LSR) & LSR_DR ? (char)inb(UART_RBR) : 0;
}
