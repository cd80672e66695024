/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A UART as a chip. */
#include "dev/uart16550.h"

#include <errno.h>

#include "dev/codec.h"

#define VERSION 1

/* A terminal that is always there. */
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)
#define MSR_DELTAS (MSR_DCTS | MSR_DDSR | MSR_TERI | MSR_DDCD)

static unsigned rx_capacity(const struct uart16550 *uart)
{
    return uart->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;
}

/* Bytes that raise IIR_RX. */
static unsigned rx_trigger(const struct uart16550 *uart)
{
    static const u8 levels[] = { 1, 4, 8, 14 };

    return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

static void rx_push(struct uart16550 *uart, u8 byte)
{
    uart->rx[(uart->rx_head + uart->rx_count++) % UART_FIFO_SIZE] = byte;
}

static u8 rx_pop(struct uart16550 *uart)
{
    u8 byte;

    if (uart->rx_count == 0)
        return 0;
    byte = uart->rx[uart->rx_head];
    uart->rx_head = (uart->rx_head + 1) % UART_FIFO_SIZE;
    uart->rx_count--;
    return byte;
}

/* The most urgent interrupt that is enabled and pending, or IIR_NONE. */
static u8 pending_interrupt(const struct uart16550 *uart)
{
    if (uart->ier & IER_LINE && uart->overrun)
        return IIR_LINE;
    if (uart->ier & IER_RX && uart->rx_count >= rx_trigger(uart))
        return IIR_RX;
    if (uart->ier & IER_RX && uart->rx_count)
        return IIR_TIMEOUT;
    if (uart->ier & IER_THRE && uart->thre_pending)
        return IIR_THRE;
    if (uart->ier & IER_MODEM && uart->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

/* The OUT2 pin, which on a PC gates the interrupt, is inactive in loopback. */
bool uart16550_irq(const struct uart16550 *uart)
{
    return (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && pending_interrupt(uart) != IIR_NONE;
}

/* Modem inputs: in loopback they are our own outputs. */
static u8 modem_inputs(const struct uart16550 *uart)
{
    if (!(uart->mcr & MCR_LOOP))
        return MSR_CONNECTED;
    return (u8)((uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
                (uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

/* Change bits stay set until MSR is read; for the ring indicator only the end of a ring counts as a change. */
static void modem_update(struct uart16550 *uart)
{
    u8 inputs = modem_inputs(uart), changed = (u8)((uart->msr ^ inputs) & ~MSR_DELTAS);

    if (inputs & MSR_RI)
        changed &= (u8)~MSR_RI;
    uart->msr = (u8)(inputs | (uart->msr & MSR_DELTAS) | changed >> 4);
}

void uart16550_init(struct uart16550 *uart, void (*transmit)(void *ctx, u8 byte), void *ctx)
{
    *uart = (struct uart16550){ .msr = MSR_CONNECTED, .divisor = 1, .transmit = transmit, .ctx = ctx };
}

void uart16550_reset(struct uart16550 *uart)
{
    uart16550_init(uart, uart->transmit, uart->ctx);
}

/* The byte leaves at once, so the transmitter is empty again when this returns. */
static void transmit(struct uart16550 *uart, u8 byte)
{
    uart->thre_pending = true;
    if (!(uart->mcr & MCR_LOOP))
        uart->transmit(uart->ctx, byte);
    else if (uart->rx_count < rx_capacity(uart))
        rx_push(uart, byte);
    else
        uart->overrun = true;
}

/* Turning the interrupt on with an empty transmitter raises it. */
static void write_ier(struct uart16550 *uart, u8 value)
{
    if (value & ~uart->ier & IER_THRE)
        uart->thre_pending = true;
    uart->ier = value & (IER_RX | IER_THRE | IER_LINE | IER_MODEM);
}

/* Switching FIFOs on or off empties them; the other bits count only with FCR_ENABLE. */
static void write_fcr(struct uart16550 *uart, u8 value)
{
    bool enable = value & FCR_ENABLE;

    if ((value ^ uart->fcr) & FCR_ENABLE || (enable && value & FCR_CLEAR_RX))
        uart->rx_head = uart->rx_count = 0;
    uart->fcr = enable ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static u8 read_iir(struct uart16550 *uart)
{
    u8 interrupt = pending_interrupt(uart);

    if (interrupt == IIR_THRE)
        uart->thre_pending = false;
    return interrupt | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_lsr(struct uart16550 *uart)
{
    u8 value = (u8)(LSR_THRE | LSR_TEMT | (uart->rx_count ? LSR_DR : 0) | (uart->overrun ? LSR_OE : 0));

    uart->overrun = false;
    return value;
}

static u8 read_msr(struct uart16550 *uart)
{
    u8 value = uart->msr;

    uart->msr &= (u8)~MSR_DELTAS;
    return value;
}

u8 uart16550_read(struct uart16550 *uart, unsigned reg)
{
    bool latch = uart->lcr & LCR_DLAB;

    switch (reg & 7) {
    case UART_DATA: return latch ? (u8)uart->divisor : rx_pop(uart);
    case UART_IER: return latch ? (u8)(uart->divisor >> 8) : uart->ier;
    case UART_IIR: return read_iir(uart);
    case UART_LCR: return uart->lcr;
    case UART_MCR: return uart->mcr;
    case UART_LSR: return read_lsr(uart);
    case UART_MSR: return read_msr(uart);
    default: return uart->scr;
    }
}

void uart16550_write(struct uart16550 *uart, unsigned reg, u8 value)
{
    bool latch = uart->lcr & LCR_DLAB;

    switch (reg & 7) {
    case UART_DATA:
        if (latch)
            uart->divisor = (u16)((uart->divisor & 0xFF00) | value);
        else
            transmit(uart, value);
        break;
    case UART_IER:
        if (latch)
            uart->divisor = (u16)((uart->divisor & 0x00FF) | value << 8);
        else
            write_ier(uart, value);
        break;
    case UART_FCR: write_fcr(uart, value); break;
    case UART_LCR: uart->lcr = value; break;
    case UART_MCR:
        uart->mcr = value & (MCR_DTR | MCR_RTS | MCR_OUT1 | MCR_OUT2 | MCR_LOOP);
        modem_update(uart);
        break;
    case UART_SCR: uart->scr = value; break;
    default: /* LSR and MSR: written by factory tests only */ break;
    }
}

int uart16550_receive(struct uart16550 *uart, u8 byte)
{
    if (uart->mcr & MCR_LOOP || uart->rx_count >= rx_capacity(uart))
        return -EAGAIN;
    rx_push(uart, byte);
    return 0;
}

void uart16550_state(struct uart16550 *uart, struct codec *c)
{
    struct uart16550 state = *uart;

    codec_version(c, VERSION);
    codec_u8(c, &state.ier);
    codec_u8(c, &state.fcr);
    codec_u8(c, &state.lcr);
    codec_u8(c, &state.mcr);
    codec_u8(c, &state.msr);
    codec_u8(c, &state.scr);
    codec_u16(c, &state.divisor);
    codec_bool(c, &state.overrun);
    codec_bool(c, &state.thre_pending);
    codec_u8(c, &state.rx_head);
    codec_u8(c, &state.rx_count);
    codec_bytes(c, state.rx, sizeof(state.rx));
    codec_judge(c, state.ier <= 0x0F && !(state.fcr & ~(FCR_ENABLE | FCR_TRIGGER)) && state.mcr <= 0x1F,
                "IER, FCR or MCR has reserved bits");
    if (codec_judge(c, state.rx_head < UART_FIFO_SIZE && state.rx_count <= rx_capacity(&state),
                    "the FIFO has no such place"))
        *uart = state;
}
