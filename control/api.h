/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP API: it turns paths into commands, and serves what is no command (consoles, the dirty trace, metrics).
 * docs/api.md describes it.
 *
 * GET /v1/COMMAND, GET /v1/vms/NAME and /v1/vms/NAME/COMMAND reach the command table; a command that changes something
 * is a POST. So a new command is in the API without a line here. Host loop only.
 */
#pragma once

#include "host/types.h"

struct config_api;
struct http_request;
struct http_response;

/*
 * Serve the API as configured, on all addresses of this machine. If the configuration has neither a token nor open
 * access, the API stays off, and a line in the log says so. Once, at boot, after net_init; adds host work. `config`
 * stays valid.
 */
void api_init(const struct config_api *config);

/* Answer one request. Contract: http_handler (http_server.h). */
void api_handle(const struct http_request *request, const char *body, bool last, struct http_response *response);
