/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/tcp_transport.c tls/rights.c config/config.c config/config_check.c */
/* sources: config/config_keys.c config/netaddr.c tests/unit/fake_keys.c tests/unit/stubs.c */
/* To whom connections are opened, and to whom not. */
#include "stream/tcp_transport.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/netif.h"
#include "net/tcp_stream.h"
#include "tests/unit/fake_keys.h"
#include "tls/rights.h"

static unsigned opened;

void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    if (address->ip6)
        snprintf(text, TCP_ADDRESS_TEXT, "fd09::%u", address->bytes[15]);
    else
        snprintf(text, TCP_ADDRESS_TEXT, "192.0.2.%u%s", address->bytes[3], address->port ? ":4900" : "");
}

int tcp_stream_connect(const struct tcp_address *to, enum tcp_trust trust, struct tcp_stream **stream)
{
    (void)to, (void)trust, (void)stream;
    opened++;
    return -EHOSTUNREACH;
}

bool netif_port_owns(const u8 *address, bool ip6)
{
    return !ip6 && address[3] == 10;
}

int tcp_stream_state(const struct tcp_stream *stream)
{
    (void)stream;
    return -EAGAIN;
}

void tcp_stream_abort(struct tcp_stream *stream)
{
    (void)stream;
}

void tcp_stream_close(struct tcp_stream *stream)
{
    (void)stream;
}

long tcp_stream_send(struct tcp_stream *stream, const void *bytes, size_t len, bool stable)
{
    (void)stream, (void)bytes, (void)stable;
    return (long)len;
}

long tcp_stream_receive(struct tcp_stream *stream, void *bytes, size_t len)
{
    (void)stream, (void)bytes, (void)len;
    return -EAGAIN;
}

size_t tcp_stream_unacknowledged(const struct tcp_stream *stream)
{
    (void)stream;
    return 0;
}

const char *tcp_stream_peer_name(const struct tcp_stream *stream)
{
    (void)stream;
    return NULL;
}

bool tcp_stream_peer(const struct tcp_stream *stream, struct tcp_address *peer)
{
    (void)stream, (void)peer;
    return false;
}

/* Is a connection to this address tried? If not, these words say why. */
static bool tries(struct tcp_address to, const char *words)
{
    struct tcp_stream *connecting = NULL;
    struct transport transport;
    unsigned before = opened;
    const char *why = "";
    bool may;
    int err;

    to.port = 4900;
    may = tcp_transport_may(&to, &why);
    err = tcp_transport_dial(&to, &connecting, &transport);
    assert_null(connecting);
    assert_int_equal(err, may ? -EHOSTUNREACH : -EADDRNOTAVAIL);
    assert_int_equal(opened - before, may);
    if (!may)
        assert_string_equal(why, words);
    return may;
}

/* To anybody but itself; where there are peers, to those alone. */
static void test_to_whom(void **state)
{
    static const struct tcp_address self = { .bytes = { 192, 0, 2, 10 } }, beta = { .bytes = { 192, 0, 2, 11 } },
                                    other = { .bytes = { 192, 0, 2, 12 } },
                                    ip6 = { .ip6 = true, .bytes = { [15] = 2 } };
    struct rights_table table = { 0 };
    char line[] = "beta 192.0.2.11";

    (void)state;
    fake_keys = true;
    rights_use(&table);
    assert_true(tries(other, NULL));
    assert_true(tries(ip6, NULL));
    assert_false(tries(self, "the destination is this machine itself, expected another one's address"));
    assert_null(rights_line(&table, "peer", line));
    assert_true(tries(beta, NULL));
    assert_false(tries(other, "192.0.2.12 is no peer of this host, expected peer NAME 192.0.2.12 in its keyring"));
    assert_false(tries(ip6, "fd09::2 is no peer of this host, expected peer NAME and an IPv4 address in its keyring"));
}

/* Without keys nothing leaves, unless that is meant, also from a machine that takes nothing in. */
static void test_in_the_clear(void **state)
{
    static const struct tcp_address other = { .bytes = { 192, 0, 2, 12 } };
    static const struct rights_table table;

    (void)state;
    fake_keys = false;
    rights_use(&table);
    assert_false(tries(other, "it would be in the clear, expected a section [keys], or insecure = yes in [migration]"));
    tcp_transport_insecure(true);
    assert_true(tries(other, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_whom),
        cmocka_unit_test(test_in_the_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
