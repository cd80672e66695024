# SPDX-License-Identifier: BSD-2-Clause
"""What a guest's Linux says of its machine."""

import re

# What a healthy kernel of Debian says on a healthy machine, though it sounds otherwise.
HARMLESS = [
    "not present or invalid",  # DMI
    "RAS: Correctable Errors collector initialized",
    "PMU not available due to virtualization",
    "if necessary, use \"pci=nocrs\" and report a bug",
    "TSC unstable due to TSCs unsynchronized",  # no invariant TSC is promised to a guest that may move
    "fail to add MMCONFIG information",
    "AMD Zen1 ",  # this model has these bugs, with or without us
    "Speculative Return Stack Overflow: WARNING",  # no emulator has the microcode
    "RETBleed: WARNING: Spectre v2 mitigation",  # the processor of Bochs is of 2015, and has no microcode
]
SUSPICIOUS = re.compile(r"warn|error|unchecked|fail|fatal|\bbug\b|unable|unstable|call trace|not responding|unexpected|"
                        r"spurious|nobody cared|advertised our|stuck|lockup|stall|\binvalid\b|oops|panic", re.I)


def suspicious(lines):
    """Those that tell of something wrong."""
    return [line for line in lines if SUSPICIOUS.search(line) and not any(text in line for text in HARMLESS)]
