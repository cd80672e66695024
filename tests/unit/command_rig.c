/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/command_rig.h"

#include <string.h>

#include "tests/unit/fake_vms.h"

struct call call;
struct json out;
enum token_role role;

int command_setup(void **state)
{
    (void)state;
    fake_vms_init();
    role = TOKEN_ADMIN;
    json_init(&out);
    return 0;
}

int command_teardown(void **state)
{
    (void)state;
    json_fini(&out);
    return 0;
}

int run(const char *line)
{
    char words[COMMAND_LINE];

    json_fini(&out);
    strcpy(words, line);
    return command_line(&call, role, words, &out);
}

bool answered(const char *text)
{
    return strstr(out.buffer.text, text);
}
