/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the API whose bodies are images (docs/image.md): GET /v1/vms/VM/image and POST /v1/images. */
#pragma once

#include "host/types.h"

struct http_request;
struct http_response;

/* Answer a request for one of these paths, which is authorized. False: it is another path. */
bool image_handle(const struct http_request *request, struct http_response *response);
