/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550A UART as a chip: registers in, bytes and an interrupt level out (National Semiconductor PC16550D data
 * sheet).
 *
 * It has no clock: a byte that is written is sent at once, so the transmitter is always empty, and a byte that is
 * received below the FIFO's trigger level counts as timed out at once. Bauds, parity and break are remembered and have
 * no effect. The owner of the chip serializes calls and asks uart16550_irq after each of them.
 */
#pragma once

#include "host/types.h"

struct codec;

#define UART_FIFO_SIZE 16

/* Register offsets; the first two are the divisor latch while LCR_DLAB is set. */
enum uart16550_register {
    UART_DATA = 0, /* RBR when read, THR when written */
    UART_IER = 1,
    UART_IIR = 2, /* read */
    UART_FCR = 2, /* write */
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_MSR = 6,
    UART_SCR = 7,
};

#define IER_RX 0x01    /* data received */
#define IER_THRE 0x02  /* transmitter empty */
#define IER_LINE 0x04  /* overrun */
#define IER_MODEM 0x08 /* a modem input changed */
#define IIR_NONE 0x01  /* no interrupt; else one of these, highest first: */
#define IIR_LINE 0x06
#define IIR_RX 0x04
#define IIR_TIMEOUT 0x0C
#define IIR_THRE 0x02
#define IIR_MODEM 0x00
#define IIR_FIFO 0xC0 /* FIFOs are on */
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define FCR_TRIGGER 0xC0
#define LCR_DLAB 0x80
#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08 /* on a PC: lets the interrupt out */
#define MCR_LOOP 0x10
#define LSR_DR 0x01 /* data ready */
#define LSR_OE 0x02 /* overrun */
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define MSR_DCTS 0x01 /* changes since MSR was read */
#define MSR_DDSR 0x02
#define MSR_TERI 0x04
#define MSR_DDCD 0x08
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

struct uart16550 {
    u8 ier, fcr, lcr, mcr, msr, scr;
    u16 divisor;
    bool overrun;      /* LSR_OE */
    bool thre_pending; /* the transmitter-empty interrupt has not been taken */
    u8 rx[UART_FIFO_SIZE];
    u8 rx_head, rx_count; /* the place of the oldest byte, and how many bytes there are */

    void (*transmit)(void *ctx, u8 byte);
    void *ctx;
};

/* Power on. transmit(ctx, byte) is called, from within uart16550_write, for each byte that the guest sends. */
void uart16550_init(struct uart16550 *uart, void (*transmit)(void *ctx, u8 byte), void *ctx);

/* Master reset: as init, with the same transmit. */
void uart16550_reset(struct uart16550 *uart);

/* Access register reg (its low three bits). */
u8 uart16550_read(struct uart16550 *uart, unsigned reg);
void uart16550_write(struct uart16550 *uart, unsigned reg, u8 value);

/* A byte comes in from outside. -EAGAIN if there is no room for it, or the chip is in loopback: offer it again later.
 */
int uart16550_receive(struct uart16550 *uart, u8 byte);

/* Level of the interrupt line. */
bool uart16550_irq(const struct uart16550 *uart);

/* All state as one versioned section. A state that no chip can be in is refused, and the chip stays as it was. */
void uart16550_state(struct uart16550 *uart, struct codec *c);
