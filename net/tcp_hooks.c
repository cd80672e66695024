/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lwIP is made for devices with a few connections among friends. It sets no limit to connections that no application
 * owns yet, or owns any longer; its initial sequence numbers can be foretold; a connection in TIME_WAIT keeps its
 * client from connecting again; and it counts a frame of a long segment as a segment. All of that is mended here, where
 * lwIP asks before it acts.
 */
#include "net/tcp_hooks.h"

#include <string.h>

#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

#include "host/clock.h"
#include "tls/random.h"
#include "net/callers.h"
#include "net/siphash.h"
#include "net/tcp_address_lwip.h"

#define ISN_TICK_NS 4000  /* RFC 6528: one more each 4 us, so that a new connection's are above an old one's */
#define ISN_STEP 0x10000U /* so far above the old connection's numbers, whatever the clock says */

static struct {
    bool valid;
    u32 least; /* for the connection that takes the place of one in TIME_WAIT */
} reopened;

/* --- Initial sequence numbers ------------------------------------------------------------------------------------- */

static void put_address(u64 word[2], const ip_addr_t *address)
{
    memcpy(word, &address->u_addr, IP_IS_V6(address) ? 16 : 4);
}

u32 tcp_hook_isn(const ip_addr_t *local, u16 local_port, const ip_addr_t *remote, u16 remote_port)
{
    static u64 key[2];
    u64 word[5] = { (u64)local_port << 16 | remote_port };
    u32 isn;

    if (!key[0])
        random_fill((u8 *)key, sizeof(key));
    put_address(&word[1], local);
    put_address(&word[3], remote);
    isn = (u32)(siphash(key, word, 5) + clock_ns() / ISN_TICK_NS);
    return reopened.valid && TCP_SEQ_LT(isn, reopened.least) ? reopened.least : isn;
}

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

#define PRIO_KNOWN (TCP_PRIO_NORMAL + 1) /* of connections that known hosts have begun */

static bool is_half_open(const struct tcp_pcb *pcb)
{
    return pcb->state == SYN_RCVD;
}

static bool is_closed(const struct tcp_pcb *pcb)
{
    return pcb->state == FIN_WAIT_1 || pcb->state == FIN_WAIT_2 || pcb->state == CLOSING || pcb->state == LAST_ACK;
}

static bool is_time_wait(const struct tcp_pcb *pcb)
{
    return pcb->state == TIME_WAIT;
}

/*
 * Make room for one more connection below `max`. Half of the room is for hosts that are known (net/callers.h), half for
 * strangers: whoever has more than that loses the oldest one. lwIP puts new ones in front of the list, so of equally
 * old ones the last in the list is the oldest.
 */
static void keep_below(struct tcp_pcb *list, bool (*counts)(const struct tcp_pcb *pcb), unsigned max)
{
    struct tcp_pcb *oldest[] = { NULL, NULL };
    unsigned count[] = { 0, 0 };

    for (struct tcp_pcb *pcb = list; pcb; pcb = pcb->next) {
        bool known = pcb->prio >= PRIO_KNOWN;

        if (!counts(pcb))
            continue;
        count[known]++;
        if (!oldest[known] || tcp_ticks - pcb->tmr >= tcp_ticks - oldest[known]->tmr)
            oldest[known] = pcb;
    }
    if (count[false] + count[true] >= max) {
        struct tcp_pcb *goes = oldest[count[true] > max / 2];

        tcp_abandon(goes, goes->state != SYN_RCVD); /* a SYN's source may be forged: it gets no answer */
    }
}

/* A host connects, and lwIP will give the connection its listener's priority. */
static void note_host(struct tcp_pcb *listener)
{
    struct tcp_address host = tcp_address_of_lwip(ip_current_src_addr());

    listener->prio = caller_is_known(&host) ? PRIO_KNOWN : TCP_PRIO_NORMAL;
}

/* --- TIME_WAIT ---------------------------------------------------------------------------------------------------- */

/*
 * The client of a connection in TIME_WAIT connects again from the same port (RFC 1122, 4.2.2.13). lwIP would reset or
 * ignore it until the wait is over. Instead the old connection is removed, and the segment comes in once more, for the
 * listener.
 */
static err_t reopen(struct tcp_pcb *pcb, struct tcp_hdr *hdr, struct pbuf *p)
{
    reopened.least = pcb->snd_nxt + ISN_STEP;
    reopened.valid = true;
    tcp_abort(pcb); /* which sends nothing in this state */
    hdr->src = lwip_htons(hdr->src);
    hdr->dest = lwip_htons(hdr->dest);
    hdr->seqno = lwip_htonl(hdr->seqno);
    hdr->ackno = lwip_htonl(hdr->ackno);
    hdr->wnd = lwip_htons(hdr->wnd);
    pbuf_add_header(p, TCPH_HDRLEN_BYTES(hdr));
    pbuf_ref(p); /* our caller frees it, too */
    tcp_input(p, ip_current_input_netif());
    reopened.valid = false;
    return ERR_ABRT;
}

/* --- Loss --------------------------------------------------------------------------------------------------------- */

/* Will tcp_receive count it as a duplicate acknowledgement (RFC 5681, 2)? */
static bool is_duplicate_ack(const struct tcp_pcb *pcb, const struct tcp_hdr *hdr, const struct pbuf *p)
{
    return TCPH_FLAGS(hdr) == TCP_ACK && p->tot_len == 0 && hdr->ackno == pcb->lastack && pcb->rtime >= 0 &&
           (tcpwnd_size_t)SND_WND_SCALE(pcb, hdr->wnd) == pcb->snd_wnd;
}

/*
 * Behind a loss, lwIP sends a segment for each duplicate acknowledgement from the fourth on, because one segment has
 * left the network. But our segments are cut into frames, and the peer acknowledges frames: only a frame has left. A
 * slow peer that loses a frame would get eleven for each that it takes, and lose ever more, until nothing gets through.
 * So before lwIP widens the window by a segment, it is narrowed here by a segment less one frame.
 */
static void count_frame(struct tcp_pcb *pcb)
{
    if (pcb->dupacks >= 3 && pcb->mss > TCP_FRAME)
        pcb->cwnd -= pcb->mss - TCP_FRAME;
}

err_t tcp_hook_segment(struct tcp_pcb *pcb, struct tcp_hdr *hdr, const u8 *opt2, struct pbuf *p)
{
    if (pcb->state >= ESTABLISHED && is_duplicate_ack(pcb, hdr, p))
        count_frame(pcb);
    if ((TCPH_FLAGS(hdr) & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return ERR_OK;
    if (pcb->state == TIME_WAIT && TCP_SEQ_GT(hdr->seqno, pcb->rcv_nxt) && !opt2)
        return reopen(pcb, hdr, p);
    if (pcb->state == LISTEN) {
        note_host(pcb);
        keep_below(tcp_active_pcbs, is_half_open, TCP_HALF_OPEN_MAX);
        keep_below(tcp_active_pcbs, is_closed, TCP_CLOSED_MAX);
        keep_below(tcp_tw_pcbs, is_time_wait, TCP_TIME_WAIT_MAX);
    }
    return ERR_OK;
}
