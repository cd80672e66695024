/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/tls_view.h"

#include <stddef.h>

#include "control/buffer.h"
#include "control/json.h"
#include "control/metrics.h"
#include "host/bits.h"
#include "net/tls_counters.h"
#include "tls/chacha20_choice.h"

#define WITH(member) offsetof(struct tls_with, member)

/* Values of each side. One without help is a further sample of the metric before it. */
static const struct {
    const char *name, *labels, *type, *help;
    size_t offset; /* in struct tls_with */
    bool ns;       /* the value is in nanoseconds and shown in seconds */
} side_metrics[] = {
    { "godwit_tls_handshakes_total", "", "counter",
      "Handshakes by which this hypervisor and others, clients of the API, and the witness have known each other.",
      WITH(completed), false },
    { "godwit_tls_handshakes_active", "", "gauge", "Handshakes that go on.", WITH(active), false },
    { "godwit_tls_handshake_seconds_total", "", "counter", "Processor time of handshakes, of failed ones, too.",
      WITH(worked), true },
    { "godwit_tls_bytes_total", ",direction=\"sent\"", "counter", "Bytes of records.", WITH(sent), false },
    { "godwit_tls_bytes_total", ",direction=\"received\"", NULL, NULL, WITH(received), false },
};

static void put_sides(struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(side_metrics); i++) {
        if (side_metrics[i].help)
            metric_head(out, side_metrics[i].name, side_metrics[i].type, side_metrics[i].help);
        for (enum tls_side side = 0; side < NR_TLS_SIDES; side++) {
            const char *at = (const char *)&tls_counters.with[side] + side_metrics[i].offset;
            u64 value = *(const u64 *)(const void *)at;

            buffer_format(out, "%s{with=\"%s\"%s} ", side_metrics[i].name, tls_side_name(side), side_metrics[i].labels);
            if (side_metrics[i].ns)
                buffer_format(out, "%lu.%09lu\n", value / 1000000000, value % 1000000000);
            else
                buffer_format(out, "%lu\n", value);
        }
    }
}

static void put_cipher(struct buffer *out)
{
    metric_head(out, "godwit_tls_cipher_bytes_per_second", "gauge",
                "By which code bytes are encrypted, and how fast it was at boot.");
    buffer_format(out, "godwit_tls_cipher_bytes_per_second{code=\"%s\"} %lu\n", chacha20_names[chacha20_used()],
                  chacha20_rate(chacha20_used()));
}

void tls_view_metrics(struct buffer *out)
{
    put_sides(out);
    put_cipher(out);
    metric_head(out, "godwit_tls_faults_total", "counter",
                "Handshakes with peers that came to nothing, and connections that broke.");
    for (enum tls_fault fault = 0; fault < NR_TLS_FAULTS; fault++)
        buffer_format(out, "godwit_tls_faults_total{reason=\"%s\"} %lu\n", tls_fault_name(fault),
                      tls_counters.fault[fault]);
    metric_head(out, "godwit_tls_client_faults_total", "counter",
                "Handshakes of the API's clients that came to nothing, and connections that broke.");
    buffer_format(out, "godwit_tls_client_faults_total %lu\n", tls_counters.with[TLS_WITH_CLIENTS].failed);
    metric_head(out, "godwit_tls_witness_faults_total", "counter",
                "Handshakes with members of the witness that came to nothing, and connections that broke.");
    buffer_format(out, "godwit_tls_witness_faults_total %lu\n", tls_counters.with[TLS_WITH_WITNESS].failed);
}

static void put_with(struct json *out, enum tls_side side)
{
    const struct tls_with *with = &tls_counters.with[side];

    json_object(out, NULL);
    json_string(out, "with", tls_side_name(side));
    json_number(out, "handshakes", with->completed);
    json_number(out, "active", with->active);
    json_number(out, "handshake_us", with->worked / 1000);
    json_number(out, "sent_bytes", with->sent);
    json_number(out, "received_bytes", with->received);
    json_close(out);
}

void tls_view_json(struct json *out)
{
    json_object(out, "tls");
    json_array(out, "connections");
    for (enum tls_side side = 0; side < NR_TLS_SIDES; side++)
        put_with(out, side);
    json_close(out);
    json_number(out, "client_faults", tls_counters.with[TLS_WITH_CLIENTS].failed);
    json_number(out, "witness_faults", tls_counters.with[TLS_WITH_WITNESS].failed);
    json_object(out, "faults");
    for (enum tls_fault fault = 0; fault < NR_TLS_FAULTS; fault++)
        json_number(out, tls_fault_name(fault), tls_counters.fault[fault]);
    json_close(out);
    json_close(out);
}
