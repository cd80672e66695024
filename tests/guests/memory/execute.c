/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code in every large page of RAM: it is written, executed and changed there, and data beside it stays. A hypervisor
 * may have to split a large page at the first fetch from it.
 */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define LARGE MiB(2)
#define CODE_OFFSET 0x3000 /* somewhere inside: not the first page */
#define DATA 0x5AFEDA7A5AFEDA7AULL

/* mov $value, %eax; ret */
static void code_write(u64 address, u32 value)
{
    volatile u64 *p = phys(address);

    *p = 0xC3ULL << 40 | (u64)value << 8 | 0xB8;
}

static bool code_says(u64 address, u32 value)
{
    u32 (*function)(void) = (u32(*)(void))(u64)phys(address);

    return function() == value;
}

/* What is written and executed in turn, in one large page. */
static bool large_page_executes(u64 page)
{
    u64 code = page + CODE_OFFSET, data = page + LARGE - 8;
    u32 name = (u32)(page / LARGE);
    bool right;

    *phys(data) = DATA;
    code_write(code, name);
    right = code_says(code, name);
    code_write(code, ~name);
    return right && code_says(code, ~name) && *phys(data) == DATA;
}

void test_execute(void)
{
    u64 tried = 0, wrong = 0;

    report_prefix("execute");
    for (u64 page = align_up((u64)image_end, LARGE); page < boot_ram_end(~0ULL); page += LARGE) {
        if (!boot_is_ram(page, LARGE))
            continue;
        tried++;
        wrong += !large_page_executes(page);
    }
    kprintf("code in %lu large pages\n", tried);
    report("there is a large page", tried > 0);
    report_equal("large pages whose code did something else", wrong, 0);
}
