/* SPDX-License-Identifier: BSD-2-Clause */
/* A witness of two members, of which one answers. It holds something for the guest with the identity 01 ... */
#pragma once

#include "host/types.h"

extern bool fake_witness_missing; /* the configuration has none */
