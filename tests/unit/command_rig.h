/* SPDX-License-Identifier: BSD-2-Clause */
/* Gives lines to the command table, on the host of fake_vms.h, and keeps what they answer. */
#pragma once

#include "control/command.h"
#include "control/json.h"

/* Of the last line: its call, with the error in words, and what it wrote. */
extern struct call call;
extern struct json out;

/* Of whoever gives the lines; an admin, unless a test says otherwise. */
extern enum token_role role;

/* For each test: cmocka's setup and teardown. */
int command_setup(void **state);
int command_teardown(void **state);

/* Run a line; returns what it returns. */
int run(const char *line);

/* The last answer has this in it. */
bool answered(const char *text);
