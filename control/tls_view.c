/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/tls_view.h"

#include "control/buffer.h"
#include "control/json.h"
#include "control/metrics.h"
#include "net/tls_counters.h"

static void put_handshakes(struct buffer *out)
{
    metric_head(
        out, "godwit_tls_handshakes_total", "counter",
        "Handshakes by which two hypervisors have known each other, or a client of the API has known this one.");
    for (enum tls_side side = 0; side < NR_TLS_SIDES; side++)
        buffer_format(out, "godwit_tls_handshakes_total{with=\"%s\"} %lu\n", tls_side_name(side),
                      tls_counters.with[side].completed);
    metric_head(out, "godwit_tls_handshakes_active", "gauge", "Handshakes that go on.");
    for (enum tls_side side = 0; side < NR_TLS_SIDES; side++)
        buffer_format(out, "godwit_tls_handshakes_active{with=\"%s\"} %u\n", tls_side_name(side),
                      tls_counters.with[side].active);
    metric_head(out, "godwit_tls_handshake_seconds_total", "counter",
                "Processor time of handshakes, of failed ones, too.");
    for (enum tls_side side = 0; side < NR_TLS_SIDES; side++)
        buffer_format(out, "godwit_tls_handshake_seconds_total{with=\"%s\"} %lu.%09lu\n", tls_side_name(side),
                      tls_counters.with[side].worked / 1000000000, tls_counters.with[side].worked % 1000000000);
}

void tls_view_metrics(struct buffer *out)
{
    put_handshakes(out);
    metric_head(out, "godwit_tls_faults_total", "counter",
                "Handshakes with peers that came to nothing, and connections that broke.");
    for (enum tls_fault fault = 0; fault < NR_TLS_FAULTS; fault++)
        buffer_format(out, "godwit_tls_faults_total{reason=\"%s\"} %lu\n", tls_fault_name(fault),
                      tls_counters.fault[fault]);
    metric_head(out, "godwit_tls_client_faults_total", "counter",
                "Handshakes of the API's clients that came to nothing, and connections that broke.");
    buffer_format(out, "godwit_tls_client_faults_total %lu\n", tls_counters.clients_failed);
    metric_head(out, "godwit_tls_bytes_total", "counter", "Bytes of records.");
    for (enum tls_side side = 0; side < NR_TLS_SIDES; side++) {
        const struct tls_with *with = &tls_counters.with[side];
        const char *name = tls_side_name(side);

        buffer_format(out, "godwit_tls_bytes_total{with=\"%s\",direction=\"sent\"} %lu\n", name, with->sent);
        buffer_format(out, "godwit_tls_bytes_total{with=\"%s\",direction=\"received\"} %lu\n", name, with->received);
    }
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
    json_number(out, "client_faults", tls_counters.clients_failed);
    json_object(out, "faults");
    for (enum tls_fault fault = 0; fault < NR_TLS_FAULTS; fault++)
        json_number(out, tls_fault_name(fault), tls_counters.fault[fault]);
    json_close(out);
    json_close(out);
}
