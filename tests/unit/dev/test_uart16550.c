/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/uart16550.c dev/codec.c */
/* The 16550A as a driver sees it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/uart16550.h"
#include "dev/codec.h"

static struct uart16550 uart;
static char sent[64];
static unsigned sent_count;

static void record(void *ctx, u8 byte)
{
    assert_ptr_equal(ctx, sent);
    sent[sent_count++ % sizeof(sent)] = (char)byte;
}

static int setup(void **state)
{
    (void)state;
    sent_count = 0;
    uart16550_init(&uart, record, sent);
    return 0;
}

static u8 in(unsigned reg)
{
    return uart16550_read(&uart, reg);
}

static void out(unsigned reg, u8 value)
{
    uart16550_write(&uart, reg, value);
}

static void test_reset_values(void **state)
{
    (void)state;
    assert_int_equal(in(UART_IER), 0);
    assert_int_equal(in(UART_IIR), IIR_NONE);
    assert_int_equal(in(UART_LCR), 0);
    assert_int_equal(in(UART_MCR), 0);
    assert_int_equal(in(UART_LSR), LSR_THRE | LSR_TEMT);
    assert_int_equal(in(UART_MSR), MSR_CTS | MSR_DSR | MSR_DCD);
    assert_false(uart16550_irq(&uart));
}

static void test_transmit(void **state)
{
    (void)state;
    out(UART_DATA, 'h');
    out(UART_DATA, 'i');
    assert_int_equal(sent_count, 2);
    assert_memory_equal(sent, "hi", 2);
    assert_int_equal(in(UART_LSR), LSR_THRE | LSR_TEMT);
}

static void test_divisor_latch(void **state)
{
    (void)state;
    out(UART_LCR, LCR_DLAB | 3);
    out(UART_DATA, 0x34);
    out(UART_IER, 0x12);
    assert_int_equal(in(UART_DATA), 0x34);
    assert_int_equal(in(UART_IER), 0x12);
    out(UART_LCR, 3);
    assert_int_equal(in(UART_IER), 0);
    assert_int_equal(sent_count, 0);
}

static void test_scratch_and_fifo_probe(void **state)
{
    (void)state;
    out(UART_SCR, 0xA5);
    assert_int_equal(in(UART_SCR), 0xA5);
    out(UART_FCR, FCR_ENABLE);
    assert_int_equal(in(UART_IIR), IIR_FIFO | IIR_NONE); /* both bits: it is a 16550A, not a 16550 */
    out(UART_FCR, 0);
    assert_int_equal(in(UART_IIR), IIR_NONE);
}

static void test_transmitter_interrupt(void **state)
{
    (void)state;
    out(UART_MCR, MCR_OUT2);
    out(UART_IER, IER_THRE);
    assert_true(uart16550_irq(&uart));
    assert_int_equal(in(UART_IIR), IIR_THRE);
    assert_false(uart16550_irq(&uart)); /* reading IIR took it */
    assert_int_equal(in(UART_IIR), IIR_NONE);
    out(UART_DATA, 'x');
    assert_true(uart16550_irq(&uart));
    out(UART_IER, 0);
    assert_false(uart16550_irq(&uart));
}

static void test_interrupt_needs_out2(void **state)
{
    (void)state;
    out(UART_IER, IER_THRE);
    assert_false(uart16550_irq(&uart));
    out(UART_MCR, MCR_OUT2);
    assert_true(uart16550_irq(&uart));
}

static void test_receive_without_fifo(void **state)
{
    (void)state;
    out(UART_MCR, MCR_OUT2);
    out(UART_IER, IER_RX);
    assert_int_equal(uart16550_receive(&uart, 'a'), 0);
    assert_int_equal(uart16550_receive(&uart, 'b'), -EAGAIN);
    assert_true(uart16550_irq(&uart));
    assert_int_equal(in(UART_IIR), IIR_RX);
    assert_true(in(UART_LSR)&LSR_DR);
    assert_int_equal(in(UART_DATA), 'a');
    assert_false(uart16550_irq(&uart));
    assert_false(in(UART_LSR)&LSR_DR);
    assert_int_equal(uart16550_receive(&uart, 'b'), 0);
}

static void test_receive_fifo(void **state)
{
    (void)state;
    out(UART_MCR, MCR_OUT2);
    out(UART_FCR, FCR_ENABLE | 0x40); /* trigger at 4 */
    out(UART_IER, IER_RX);
    for (u8 i = 0; i < UART_FIFO_SIZE; i++) {
        assert_int_equal(uart16550_receive(&uart, i), 0);
        assert_int_equal(in(UART_IIR), IIR_FIFO | (i < 3 ? IIR_TIMEOUT : IIR_RX));
    }
    assert_int_equal(uart16550_receive(&uart, 0xFF), -EAGAIN);
    for (u8 i = 0; i < UART_FIFO_SIZE; i++) {
        assert_true(uart16550_irq(&uart));
        assert_int_equal(in(UART_DATA), i);
    }
    assert_false(uart16550_irq(&uart));
    uart16550_receive(&uart, 'x');
    out(UART_FCR, FCR_ENABLE | FCR_CLEAR_RX);
    assert_false(in(UART_LSR)&LSR_DR);
}

static void test_loopback(void **state)
{
    (void)state;
    out(UART_MCR, MCR_LOOP | MCR_RTS | MCR_OUT2);
    assert_int_equal(in(UART_MSR)&0xF0, MSR_CTS | MSR_DCD);
    out(UART_MCR, MCR_LOOP | MCR_DTR | MCR_OUT1);
    assert_int_equal(in(UART_MSR), MSR_DSR | MSR_RI | MSR_DCTS | MSR_DDSR | MSR_DDCD);
    out(UART_MCR, MCR_LOOP);
    assert_int_equal(in(UART_MSR), MSR_TERI | MSR_DDSR);
    out(UART_DATA, 'l');
    assert_int_equal(sent_count, 0);
    assert_int_equal(uart16550_receive(&uart, 'x'), -EAGAIN);
    assert_int_equal(in(UART_DATA), 'l');
    out(UART_DATA, '1');
    out(UART_DATA, '2'); /* no FIFO, so this one is lost */
    assert_int_equal(in(UART_LSR) & (LSR_DR | LSR_OE), LSR_DR | LSR_OE);
    assert_int_equal(in(UART_LSR)&LSR_OE, 0);
}

static void test_interrupt_priority(void **state)
{
    (void)state;
    out(UART_IER, IER_RX | IER_THRE | IER_LINE | IER_MODEM);
    out(UART_MCR, MCR_LOOP);
    out(UART_DATA, '1');
    out(UART_DATA, '2');
    assert_int_equal(in(UART_IIR), IIR_LINE);
    in(UART_LSR);
    assert_int_equal(in(UART_IIR), IIR_RX);
    in(UART_DATA);
    assert_int_equal(in(UART_IIR), IIR_THRE);
    assert_int_equal(in(UART_IIR), IIR_MODEM);
    in(UART_MSR);
    assert_int_equal(in(UART_IIR), IIR_NONE);
}

static void test_save_restore(void **state)
{
    u8 buf[64];
    struct codec w = codec_saver(buf, sizeof(buf));
    struct uart16550 copy;
    struct codec r;

    (void)state;
    out(UART_MCR, MCR_OUT2 | MCR_DTR);
    out(UART_FCR, FCR_ENABLE | 0x80);
    out(UART_IER, IER_RX | IER_THRE);
    for (unsigned i = 0; i < 10; i++) {
        uart16550_receive(&uart, (u8)i);
        in(UART_DATA);
    }
    for (unsigned i = 0; i < 12; i++)
        uart16550_receive(&uart, (u8)i);
    uart16550_state(&uart, &w);
    assert_int_equal(w.err, 0);

    uart16550_init(&copy, record, sent);
    r = codec_restorer(buf, w.at);
    uart16550_state(&copy, &r);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.at, r.len);
    assert_true(uart16550_irq(&copy));
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(uart16550_read(&copy, UART_DATA), i);
    assert_int_equal(uart16550_read(&copy, UART_IIR), IIR_FIFO | IIR_THRE);
}

static void test_restore_refuses_what_cannot_be(void **state)
{
    u8 buf[64], hostile[64];
    struct codec w = codec_saver(buf, sizeof(buf));
    struct uart16550 before = uart;

    (void)state;
    uart16550_state(&uart, &w);
    for (size_t len = 0; len < w.at; len++) {
        struct codec r = codec_restorer(buf, len);

        uart16550_state(&uart, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    /* Any single byte changed: refused, or a chip that still works within its bounds. */
    for (size_t i = 0; i < w.at; i++) {
        struct codec r = codec_restorer(hostile, w.at);

        memcpy(hostile, buf, w.at);
        hostile[i] = 0xFF;
        uart16550_state(&uart, &r);
        if (!r.err)
            for (unsigned n = 0; n < 20; n++) {
                uart16550_receive(&uart, (u8)n);
                in(n);
            }
        uart = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reset_values, setup),
        cmocka_unit_test_setup(test_transmit, setup),
        cmocka_unit_test_setup(test_divisor_latch, setup),
        cmocka_unit_test_setup(test_scratch_and_fifo_probe, setup),
        cmocka_unit_test_setup(test_transmitter_interrupt, setup),
        cmocka_unit_test_setup(test_interrupt_needs_out2, setup),
        cmocka_unit_test_setup(test_receive_without_fifo, setup),
        cmocka_unit_test_setup(test_receive_fifo, setup),
        cmocka_unit_test_setup(test_loopback, setup),
        cmocka_unit_test_setup(test_interrupt_priority, setup),
        cmocka_unit_test_setup(test_save_restore, setup),
        cmocka_unit_test_setup(test_restore_refuses_what_cannot_be, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
