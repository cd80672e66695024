/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/console.h"

#include <stdio.h>

#include "dev/codec.h"
#include "dev/irq.h"
#include "dev/platform_map.h"
#include "config/guest_abi.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "hv/vm.h"

#define CONSOLE_PORTS 8
#define VERSION 3
#define SCROLLBACK (CONSOLE_RING - 4096) /* bytes that a section of the stream has room for */
#define BYTES_MAX (1ULL << 62)           /* that a guest has sent, as a peer says: so many more never come */

/* How many lines the log shows at once: several times the output of a booting Linux. After that it shows one line in
 * this time, about as many as a real port takes. */
#define LINES_AT_ONCE 3000ULL
#define LINE_NS 10000000ULL

static void show_line(struct console *console)
{
    const char *name = console->vm->name;
    u64 ns = clock_ns();
    char note[64];

    if (console->log.free_ns > ns + LINES_AT_ONCE * LINE_NS) {
        console->log.unshown++;
        return;
    }
    console->log.free_ns = MAX(console->log.free_ns, ns) + LINE_NS;
    if (console->log.unshown != console->log.told) {
        snprintf(note, sizeof(note), "(%lu lines are not shown here)", console->log.unshown - console->log.told);
        if (log_guest(name, note))
            console->log.told = console->log.unshown;
    }
    console->log.unshown += !log_guest(name, console->line);
}

static void flush_line(struct console *console)
{
    console->line[console->len] = '\0';
    console->len = 0;
    show_line(console);
}

static void transmit(void *ctx, u8 byte)
{
    struct console *console = ctx;

    console->ring[console->bytes_out++ % CONSOLE_RING] = (char)byte;
    if (byte == '\n') {
        flush_line(console);
        return;
    }
    if (byte == '\r')
        return;
    /* People and tests read the log: a character that would move a cursor is shown as a dot. */
    console->line[console->len++] = byte >= ' ' && byte < 0x7F ? (char)byte : byte == '\t' ? ' ' : '.';
    if (console->len == CONSOLE_LINE - 1)
        flush_line(console);
}

/* After each change: give the chip as much input as it has room for, and set the line. */
static void look(struct console *console)
{
    while (console->taken < console->typed &&
           uart16550_receive(&console->uart, console->queue[console->taken % CONSOLE_QUEUE]) == 0)
        console->taken++;
    irq_line(console->vm, SERIAL_LINE, uart16550_irq(&console->uart));
}

size_t console_read(struct console *console, u64 *from, char *buffer, size_t len)
{
    size_t count = 0;

    spin_lock(&console->vm->device_lock);
    if (*from > console->bytes_out)
        *from = console->bytes_out;
    if (console->bytes_out - *from > CONSOLE_RING)
        *from = console->bytes_out - CONSOLE_RING;
    *from = MAX(*from, console->first);
    while (count < len && *from < console->bytes_out)
        buffer[count++] = console->ring[(*from)++ % CONSOLE_RING];
    spin_unlock(&console->vm->device_lock);
    return count;
}

size_t console_input(struct console *console, const char *bytes, size_t len)
{
    size_t count = 0;

    spin_lock(&console->vm->device_lock);
    while (count < len && console->typed - console->taken < CONSOLE_QUEUE)
        console->queue[console->typed++ % CONSOLE_QUEUE] = bytes[count++];
    console->dropped += len - count;
    look(console);
    spin_unlock(&console->vm->device_lock);
    return count;
}

static void console_io(struct device *device, unsigned region, struct io *io)
{
    struct console *console = (struct console *)device;

    (void)region;
    /* An 8-bit chip on an 8-bit bus: a wider access reaches consecutive registers. */
    u64 value = 0;

    for (unsigned i = 0; i < io->size; i++) {
        if (io->write)
            uart16550_write(&console->uart, io->off + i, io->val >> (8 * i));
        else
            value |= (u64)uart16550_read(&console->uart, io->off + i) << (8 * i);
    }
    if (!io->write)
        io->val = value;
    look(console);
}

static void console_reset(struct device *device)
{
    struct console *console = (struct console *)device;

    uart16550_reset(&console->uart);
    console->taken = console->typed;
    look(console);
}

/* The chip, the input that waits for it, and how many bytes the guest has sent, so that a reader's numbers hold at each
 * host. The ring stays with the host: it keeps what the guest did here. */
static void console_state(struct device *device, struct codec *c)
{
    struct console *console = (struct console *)device;
    u16 waiting = (u16)(console->typed - console->taken);

    codec_version(c, VERSION);
    uart16550_state(&console->uart, c);
    codec_u16(c, &waiting);
    if (codec_judge(c, waiting <= CONSOLE_QUEUE, "more was typed than the queue can hold")) {
        console->taken = 0;
        console->typed = waiting;
    }
    for (u64 at = console->taken; at < console->typed; at++)
        codec_bytes(c, &console->queue[at % CONSOLE_QUEUE], 1);
    codec_u64(c, &console->bytes_out);
    codec_judge(c, console->bytes_out <= BYTES_MAX, "its guest has sent more bytes than can be");
    if (!c->restoring)
        return;
    console->first = console->bytes_out;
    look(console);
}

void console_scrollback(struct console *console, struct codec *c)
{
    u32 kept = (u32)MIN(console->bytes_out - console->first, (u64)SCROLLBACK);
    u64 end = console->bytes_out;

    codec_version(c, 1);
    codec_u64(c, &end);
    codec_u32(c, &kept);
    if (codec_judge(c, kept <= SCROLLBACK && kept <= end, "it keeps more than there was") &&
        codec_judge(c, end <= BYTES_MAX, "its guest has sent more bytes than can be"))
        console->bytes_out = end;
    if (c->restoring)
        console->first = console->bytes_out - MIN(kept, console->bytes_out);
    for (u64 at = end - kept; at < end && !c->err; at++)
        codec_bytes(c, &console->ring[at % CONSOLE_RING], 1);
}

static const struct device_ops ops = {
    .name = "console",
    .version = VERSION,
    .io = console_io,
    .reset = console_reset,
    .state = console_state,
};

int console_init(struct console *console, struct vm *vm)
{
    console->device.ops = &ops;
    console->vm = vm;
    uart16550_init(&console->uart, transmit, console);
    vm_add_device(vm, &console->device);
    return bus_add(&vm->pio, GODWIT_CONSOLE_PORT, CONSOLE_PORTS, &console->device, 0);
}
