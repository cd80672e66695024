/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/console.c dev/uart16550.c dev/codec.c */
/* A guest prints by its serial port; the log is one that counts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dev/codec.h"
#include "dev/console.h"
#include "dev/irq.h"
#include "host/clock.h"
#include "host/log.h"
#include "hv/vm.h"

static struct vm vm;
static struct console console;
static u64 now;
static bool has_room;
static unsigned shown;
static char last[LOG_LINE], note[LOG_LINE];

u64 clock_ns(void)
{
    return now;
}

bool log_guest(const char *name, const char *text)
{
    assert_string_equal(name, "web");
    if (!has_room)
        return false;
    snprintf(*text == '(' ? note : last, LOG_LINE, "%s", text);
    shown += *text != '(';
    return true;
}

int bus_add(struct bus *bus, u64 base, u64 size, struct device *device, unsigned region)
{
    (void)bus, (void)base, (void)size, (void)device, (void)region;
    return 0;
}

void vm_add_device(struct vm *of, struct device *device)
{
    (void)of, (void)device;
}

void irq_line(struct vm *of, unsigned line, bool level)
{
    (void)of, (void)line, (void)level;
}

static int setup(void **state)
{
    (void)state;
    memset(&console, 0, sizeof(console));
    snprintf(vm.name, sizeof(vm.name), "web");
    assert_int_equal(console_init(&console, &vm), 0);
    has_room = true;
    shown = 0;
    last[0] = note[0] = '\0';
    return 0;
}

static void print(const char *text)
{
    for (; *text; text++) {
        struct io io = { .size = 1, .write = true, .val = (u8)*text };

        console.device.ops->io(&console.device, 0, &io);
    }
}

/* Nothing that a guest prints moves a cursor, and a long line is broken. */
static void test_lines(void **state)
{
    (void)state;
    print("one\r\n");
    assert_string_equal(last, "one");
    print("\x1b[2J\ttwo\xff\n");
    assert_string_equal(last, ".[2J two.");
    assert_int_equal(shown, 2);
    for (unsigned i = 0; i < CONSOLE_LINE; i++)
        print("x");
    assert_int_equal(shown, 3);
    assert_int_equal(strlen(last), CONSOLE_LINE - 1);
}

/* Some thousand lines at once, then a hundred a second; and the log says how many it does not show. */
static void test_rate(void **state)
{
    u64 unshown;

    (void)state;
    for (unsigned i = 0; i < 5000; i++)
        print("a\n");
    assert_in_range(console.log.unshown, 1900, 2000);
    assert_int_equal(shown + console.log.unshown, 5000);
    unshown = console.log.unshown;
    for (unsigned i = 0; i < 2500; i++, now += 2000000)
        print("a\n");
    assert_in_range(2500 - (console.log.unshown - unshown), 490, 510);
    assert_non_null(strstr(note, " lines are not shown here)"));
    assert_in_range(console.log.told, unshown, console.log.unshown);
}

/* A line for which the port has no room counts, too, and is told of when there is room again. */
static void test_no_room(void **state)
{
    (void)state;
    has_room = false;
    print("a\nb\n");
    assert_int_equal(console.log.unshown, 2);
    assert_int_equal(console.log.told, 0);
    has_room = true;
    print("c\n");
    assert_string_equal(note, "(2 lines are not shown here)");
    assert_string_equal(last, "c");
    assert_int_equal(console.log.unshown, 2);
}

static void state_of(struct codec *c)
{
    console.device.ops->state(&console.device, c);
}

static void scrollback_of(struct codec *c)
{
    console_scrollback(&console, c);
}

/* What is kept of it goes along, and a reader at the other end begins with that. */
static void test_scrollback(void **state)
{
    static u8 section[CONSOLE_RING];
    static char text[CONSOLE_RING];
    struct codec c = codec_saver(section, sizeof(section));
    u64 from = 0;
    size_t len;

    (void)state;
    for (unsigned i = 0; i < 2 * CONSOLE_RING / 4; i++)
        print("abc\n");
    console_scrollback(&console, &c);
    assert_int_equal(c.err, 0);
    len = console_read(&console, &from, text, sizeof(text));
    assert_int_equal(len, CONSOLE_RING); /* here nothing of it is lost */
    memset(&console, 0, sizeof(console));
    assert_int_equal(console_init(&console, &vm), 0);
    c = codec_restorer(section, c.at);
    console_scrollback(&console, &c);
    assert_int_equal(c.err, 0);
    from = 0;
    len = console_read(&console, &from, text, sizeof(text));
    assert_in_range(len, CONSOLE_RING / 2, CONSOLE_RING - 1);
    assert_int_equal(from, 2 * CONSOLE_RING);
    assert_memory_equal(text, "abc\n", 4);
    assert_null(memchr(text, '\0', len));
}

/* A byte has one number wherever it is read: a reader who knows what was said before a move gets what comes after it,
 * and nothing of the console that a host keeps of an earlier stay. */
static void test_numbers_go_along(void **state)
{
    static u8 section[256];
    static char text[64];
    struct codec c = codec_saver(section, sizeof(section));
    u64 known = 0, from = 0;

    (void)state;
    print("there\n");
    console_read(&console, &known, text, sizeof(text));
    console.device.ops->state(&console.device, &c);
    assert_int_equal(c.err, 0);
    memset(&console, 0, sizeof(console));
    assert_int_equal(console_init(&console, &vm), 0);
    c = codec_restorer(section, c.at);
    console.device.ops->state(&console.device, &c);
    assert_int_equal(c.err, 0);
    assert_int_equal(console_read(&console, &from, text, sizeof(text)), 0);
    assert_int_equal(from, known);
    print("here, and more than was said there\n");
    assert_int_equal(console_read(&console, &known, text, 4), 4);
    assert_memory_equal(text, "here", 4);
}

/* A peer may say any number of bytes. The console's numbers never begin again, or its readers would see nothing more.
 */
static void test_no_number_is_too_high(void **state)
{
    static u8 section[256];
    void (*const parts[])(struct codec *) = { state_of, scrollback_of };

    (void)state;
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct codec c = codec_saver(section, sizeof(section));

        console.bytes_out = console.first = ~0ULL;
        parts[i](&c);
        assert_int_equal(c.err, 0);
        c = codec_restorer(section, c.at);
        parts[i](&c);
        assert_int_equal(c.err, -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_rate, setup),
        cmocka_unit_test_setup(test_no_room, setup),
        cmocka_unit_test_setup(test_scrollback, setup),
        cmocka_unit_test_setup(test_numbers_go_along, setup),
        cmocka_unit_test_setup(test_no_number_is_too_high, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
