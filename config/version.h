/* SPDX-License-Identifier: BSD-2-Clause */
/* The name and version that banner, CPUID leaf and tools show. */
#pragma once

#define GODWIT_NAME "Godwit"
#define GODWIT_VERSION "0.1"
