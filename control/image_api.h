/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the API whose bodies are images (docs/image.md): GET /v1/vms/VM/image and POST /v1/images. */
#pragma once

#include "host/types.h"

struct http_request;
struct http_response;

/* Is one of these paths meant? */
bool image_is_meant(const struct http_request *request);

/* Answer such a request, whose sender may make it. */
void image_handle(const struct http_request *request, struct http_response *response);
