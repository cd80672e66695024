/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "stream/tcp_transport.h"

#include <errno.h>
#include <stdio.h>

#include "host/log.h"
#include "net/netif.h"
#include "net/tcp_stream.h"
#include "tls/keyring.h"
#include "tls/rights.h"

static bool insecure; /* in the clear, and that is meant */

static long send(struct transport *transport, const struct chunk *chunks, unsigned count)
{
    long total = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t done = 0;

        while (done < chunks[i].len) {
            const u8 *bytes = chunks[i].bytes;
            long sent = tcp_stream_send(transport->ctx, bytes + done, chunks[i].len - done, chunks[i].stable);

            if (sent < 0)
                return total ? total : sent;
            done += (size_t)sent;
            total += sent;
        }
    }
    return total ? total : -EAGAIN;
}

static long receive(struct transport *transport, void *bytes, size_t len)
{
    return tcp_stream_receive(transport->ctx, bytes, len);
}

static u64 unacknowledged(const struct transport *transport)
{
    return tcp_stream_unacknowledged(transport->ctx);
}

static void close(struct transport *transport)
{
    tcp_stream_close(transport->ctx);
}

static const struct transport_ops ops = {
    .send = send, .receive = receive, .unacknowledged = unacknowledged, .close = close
};

struct transport tcp_transport(struct tcp_stream *stream)
{
    return (struct transport){ .ops = &ops, .ctx = stream };
}

enum tcp_trust tcp_transport_trust(void)
{
    return keyring_present() ? TCP_PEERS : TCP_ANYBODY;
}

void tcp_transport_insecure(bool meant)
{
    insecure = meant;
}

bool tcp_transport_may(const struct tcp_address *to, const char **why)
{
    static char words[RIGHTS_WORDS];
    struct tcp_address host = *to;
    char text[TCP_ADDRESS_TEXT];

    host.port = 0;
    tcp_address_text(&host, text);
    if (netif_port_owns(to->bytes, to->ip6)) {
        *why = "the destination is this machine itself, expected another one's address";
        return false;
    }
    if (!keyring_present() && !insecure) {
        *why = "it would be in the clear, expected a section [keys], or insecure = yes in [migration]";
        return false;
    }
    *why = words;
    return rights_reach(text, words);
}

static int begin(const struct tcp_address *to, struct tcp_stream **connecting)
{
    const char *why;

    return tcp_transport_may(to, &why) ? tcp_stream_connect(to, tcp_transport_trust(), connecting) : -EADDRNOTAVAIL;
}

int tcp_transport_dial(const struct tcp_address *to, struct tcp_stream **connecting, struct transport *transport)
{
    int err = *connecting ? 0 : begin(to, connecting);

    if (err) {
        *connecting = NULL;
        return err;
    }
    err = tcp_stream_state(*connecting);
    if (err == -EAGAIN)
        return err;
    if (err)
        tcp_stream_abort(*connecting);
    else
        *transport = tcp_transport(*connecting);
    *connecting = NULL;
    return err;
}

void tcp_transport_peer(const struct tcp_stream *stream, char *text, size_t room)
{
    const char *name = tcp_stream_peer_name(stream);
    bool proved = name && rights_get(0); /* by a key of its own: by the group's everybody can say any name */
    char address[TCP_ADDRESS_TEXT] = "?";
    struct tcp_address peer;

    if (tcp_stream_peer(stream, &peer))
        tcp_address_text(&peer, address);
    if (name)
        pr_info("%s is %s", address, name);
    snprintf(text, room, "%s%s%s", proved ? name : "", proved ? "@" : "", address);
}
