/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/tls_view.h"

#include "control/buffer.h"
#include "control/json.h"
#include "control/metrics.h"
#include "net/tls_counters.h"

void tls_view_metrics(struct buffer *out)
{
    const struct tls_counters *counters = &tls_counters;

    metric_head(out, "godwit_tls_handshakes_total", "counter",
                "Handshakes by which two hypervisors have known each other.");
    buffer_format(out, "godwit_tls_handshakes_total %lu\n", counters->completed);
    metric_head(out, "godwit_tls_handshakes_active", "gauge", "Handshakes that go on.");
    buffer_format(out, "godwit_tls_handshakes_active %u\n", counters->active);
    metric_head(out, "godwit_tls_handshake_seconds_total", "counter",
                "Processor time of handshakes, of failed ones, too.");
    buffer_format(out, "godwit_tls_handshake_seconds_total %lu.%09lu\n", counters->worked / 1000000000,
                  counters->worked % 1000000000);
    metric_head(out, "godwit_tls_faults_total", "counter",
                "Handshakes that came to nothing, and connections that broke.");
    for (unsigned fault = 0; fault < NR_TLS_FAULTS; fault++)
        buffer_format(out, "godwit_tls_faults_total{reason=\"%s\"} %lu\n", tls_fault_name((enum tls_fault)fault),
                      counters->fault[fault]);
    metric_head(out, "godwit_tls_client_faults_total", "counter",
                "Handshakes of the API's clients that came to nothing, and connections that broke.");
    buffer_format(out, "godwit_tls_client_faults_total %lu\n", counters->clients_failed);
    metric_head(out, "godwit_tls_bytes_total", "counter", "Bytes of records of such connections.");
    buffer_format(out, "godwit_tls_bytes_total{direction=\"sent\"} %lu\n", counters->sent);
    buffer_format(out, "godwit_tls_bytes_total{direction=\"received\"} %lu\n", counters->received);
}

void tls_view_json(struct json *out)
{
    const struct tls_counters *counters = &tls_counters;

    json_object(out, "tls");
    json_number(out, "handshakes", counters->completed);
    json_number(out, "active", counters->active);
    json_number(out, "handshake_us", counters->worked / 1000);
    json_number(out, "client_faults", counters->clients_failed);
    json_number(out, "sent_bytes", counters->sent);
    json_number(out, "received_bytes", counters->received);
    json_object(out, "faults");
    for (unsigned fault = 0; fault < NR_TLS_FAULTS; fault++)
        json_number(out, tls_fault_name((enum tls_fault)fault), counters->fault[fault]);
    json_close(out);
    json_close(out);
}
