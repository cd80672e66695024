/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests can know of the stubs. */
#pragma once

extern unsigned stub_log_lines; /* lines that were logged, whether they are shown or not */
