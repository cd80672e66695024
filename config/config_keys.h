/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of godwit.cfg as data, for the parser. */
#pragma once

#include "config/config.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

enum value_kind {
    VALUE_TEXT,
    VALUE_PATH,
    VALUE_IMAGES, /* paths with blanks between them, at most CONFIG_IMAGES */
    VALUE_PEERS,  /* addresses with blanks between them, at most `room` */
    VALUE_URLS,   /* https://ADDRESS:PORT, with blanks between them, at most CONFIG_WITNESSES */
    VALUE_SIZE,   /* a multiple of 4 KiB */
    VALUE_BYTES,  /* any number, with or without K, M or G; 0 is below any min, and allowed */
    VALUE_NUMBER,
    VALUE_CHOICE,
    VALUE_DHCP_OR_NETWORK4, /* struct config_address */
    VALUE_ADDRESS4,         /* the same, without "/LEN" */
    VALUE_NETWORK6,         /* struct config_address */
    VALUE_SERVER4,          /* struct config_server, IPv4 */
    VALUE_MAC,
    VALUE_HEX, /* `room` bytes, not all 0 */
};

struct key {
    const char *name;
    const char *want; /* completes "expected ..." */
    enum value_kind kind;
    size_t offset;          /* in what the section fills: struct config, config_net or config_vm */
    size_t room;            /* VALUE_TEXT, VALUE_PATH: bytes, the terminator included; VALUE_PEERS, VALUE_HEX */
    uint64_t min, max;      /* VALUE_SIZE, VALUE_BYTES, VALUE_NUMBER; min of VALUE_TEXT: characters */
    const char *choices[8]; /* VALUE_CHOICE: the index is the value; ends with NULL */
};

/* A kind of section. */
struct section {
    const char *word;  /* "net" of [net] */
    const char *place; /* the name that messages give to the section */
    const struct key *keys;
    size_t count; /* at most 32: the parser has one bit for each key */

    /* Of a section that may occur once, in struct config: what it fills, and a number in it that is not 0 if the
     * section is there: `value`, until a key sets it. */
    size_t target, mark;
    uint32_t value;
};

extern const struct section global_section, vm_section;

/* Those that may occur once; the last one has no word. */
extern const struct section single_sections[];

/* Those keys of [migration] that may be changed while the hypervisor runs. */
extern const struct section move_section;
