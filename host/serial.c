/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COM1, a 16550 (PC16550D data sheet), and the emulators' debug port.
 *
 * Output is polled: the transmitter holds 16 bytes, so it is filled by 16 whenever it has run empty. The receiver holds
 * no more, 1.4 ms of a fast typist's or a pipe's work, so it is emptied into `input` by its interrupt, by whoever waits
 * for the transmitter, and now and then by the reader: the host loop reads in each of its rounds, and a port answers no
 * faster than such a round takes.
 */
#include "host/serial.h"

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/host_ioapic.h"
#include "host/traps.h"

#define COM1 0x3F8
#define UART_DATA (COM1 + 0) /* divisor low with LCR_DLAB */
#define UART_IER (COM1 + 1)  /* divisor high with LCR_DLAB */
#define IER_RX 0x01
#define UART_FCR (COM1 + 2)
#define FCR_ENABLE 0x01
#define UART_LCR (COM1 + 3)
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define UART_MCR (COM1 + 4)
#define MCR_DTR_RTS 0x03
#define MCR_OUT2 0x08 /* on a PC: lets the interrupt out */
#define UART_LSR (COM1 + 5)
#define LSR_DATA 0x01
#define LSR_EMPTY 0x20 /* transmitter's FIFO is empty */
#define LSR_IDLE 0x40  /* and its last bit is out */
#define UART_SCRATCH (COM1 + 7)
#define UART_FIFO 16
#define DIVISOR_115200 1
#define COM1_PIN 4 /* of the I/O APIC */
#define INPUT_SIZE 1024
#define LOOK_NS 500000 /* a third of the time in which a receiver that nobody empties gets full */

#define DEBUG_PORT 0xE9 /* reads as its own number where an emulator has it */

/* Polls until a transmitter counts as stuck; a character takes 87 us, a poll of a real port 1 us. */
#define PATIENCE 100000
#define RECEIVE_EVERY 512 /* polls: the receiver does not get full meanwhile */

static bool has_uart, has_debug_port;
static bool stuck; /* the transmitter was, when it was last tried: it is not waited for again until it moves */

static struct {
    bool busy; /* a CPU is emptying the receiver; others then leave it alone */
    u8 byte[INPUT_SIZE];
    unsigned read, written; /* bytes ever; the reader writes `read`, the busy CPU `written` */
    u64 look_at;            /* when the reader asks the receiver again: in between, bytes interrupt */
} input;

/* Take the bytes that the receiver has, but not without limit: a chip that has gone, or that a service processor feeds,
 * may say for ever that it has more. Bytes that nobody reads are lost, as they would be in the chip. Any CPU, also in
 * interrupt handlers and panics. */
static void receive(void)
{
    if (__atomic_exchange_n(&input.busy, true, __ATOMIC_ACQUIRE))
        return;
    for (unsigned i = 0; i < INPUT_SIZE && inb(UART_LSR) & LSR_DATA; i++) {
        u8 byte = inb(UART_DATA);
        unsigned written = input.written;

        if (written - __atomic_load_n(&input.read, __ATOMIC_RELAXED) == INPUT_SIZE)
            continue;
        input.byte[written % INPUT_SIZE] = byte;
        __atomic_store_n(&input.written, written + 1, __ATOMIC_RELEASE); /* after the byte */
    }
    __atomic_store_n(&input.busy, false, __ATOMIC_RELEASE);
}

static bool uart_wait(u8 condition)
{
    for (unsigned i = 0; i < (stuck ? 1 : PATIENCE); i++) {
        u8 status = inb(UART_LSR);

        if (status & condition)
            return true;
        if (status & LSR_DATA && i % RECEIVE_EVERY == 0)
            receive();
    }
    return false;
}

/* The scratch register is memory; an absent chip reads all ones. */
static bool uart_probe(void)
{
    outb(UART_SCRATCH, 0x5A);
    if (inb(UART_SCRATCH) != 0x5A)
        return false;
    outb(UART_SCRATCH, 0xA5);
    return inb(UART_SCRATCH) == 0xA5;
}

static void uart_program(void)
{
    uart_wait(LSR_IDLE); /* the firmware's last words */
    outb(UART_IER, 0);
    outb(UART_LCR, LCR_DLAB);
    outb(UART_DATA, DIVISOR_115200);
    outb(UART_IER, 0);
    outb(UART_LCR, LCR_8N1);
    outb(UART_FCR, FCR_ENABLE);
    outb(UART_MCR, MCR_DTR_RTS);
}

void serial_init(void)
{
    has_uart = uart_probe();
    if (has_uart)
        uart_program();
    has_debug_port = inb(DEBUG_PORT) == DEBUG_PORT;
}

/* Fill the empty FIFO; returns how many bytes of the text fitted. */
static size_t fifo_fill(const char *text, size_t len)
{
    unsigned room = UART_FIFO;
    size_t i;

    for (i = 0; i < len && room >= 2; i++, room--) {
        if (text[i] == '\n') {
            outb(UART_DATA, '\r');
            room--;
        }
        outb(UART_DATA, (u8)text[i]);
    }
    return i;
}

static void uart_write(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i += fifo_fill(text + i, len - i)) {
        stuck = !uart_wait(LSR_EMPTY);
        if (stuck)
            return;
    }
}

void serial_write(const char *text, size_t len)
{
    if (has_uart)
        uart_write(text, len);
    for (size_t i = 0; has_debug_port && i < len; i++)
        outb(DEBUG_PORT, (u8)text[i]);
}

size_t serial_offer(const char *text, size_t len)
{
    static u64 busy_since; /* ns; 0: the transmitter was empty */
    size_t taken = len;

    if (has_uart) {
        receive();
        if (inb(UART_LSR) & LSR_EMPTY) {
            busy_since = 0;
            taken = fifo_fill(text, len);
        } else if (!busy_since) {
            busy_since = clock_ns();
            return 0;
        } else if (clock_ns() - busy_since < NS_PER_S) { /* else it counts as stuck */
            return 0;
        }
    }
    for (size_t i = 0; has_debug_port && i < taken; i++)
        outb(DEBUG_PORT, (u8)text[i]);
    return taken;
}

void serial_flush(void)
{
    if (has_uart)
        uart_wait(LSR_IDLE);
}

bool serial_interrupt_on(void)
{
    if (!has_uart || !host_ioapic_init())
        return false;
    irq_register(IRQ_SERIAL, receive);
    if (!host_ioapic_route(COM1_PIN, IRQ_SERIAL, this_cpu()->apic_id))
        return false;
    outb(UART_MCR, MCR_DTR_RTS | MCR_OUT2);
    outb(UART_IER, IER_RX);
    return true;
}

int serial_read(void)
{
    u64 now = clock_ns();

    if (has_uart && now >= input.look_at) {
        receive();
        input.look_at = now + LOOK_NS;
    }
    if (__atomic_load_n(&input.written, __ATOMIC_ACQUIRE) == input.read)
        return -1;
    u8 byte = input.byte[input.read % INPUT_SIZE];

    input.byte[input.read % INPUT_SIZE] = 0;                         /* it may be of a token */
    __atomic_store_n(&input.read, input.read + 1, __ATOMIC_RELEASE); /* after the byte is out */
    return byte;
}
