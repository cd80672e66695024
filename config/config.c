/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of godwit.cfg.
 *
 * config/config_keys.c describes every key: where its value goes, what kind it is and, in words, what would be right.
 * The text is hostile until proved otherwise: it is only ever looked at through spans, which never reach beyond the
 * bytes given, and everything copied out of it is printable ASCII and fits.
 */
#include "config/config.h"

#include <assert.h>
#include <stdarg.h>

#include "config/config_check.h"
#include "config/config_keys.h"
#include "config/netaddr.h"

/* Characters of a wrong value that message() shows at most. */
#define SHOWN 32
#define SINGLES "[net], [api], [migration], [witness], [keys]" /* sections, as messages name them */

struct span {
    const char *at;
    size_t len;
};

struct parser {
    struct config *config;
    struct config_error *error;
    const struct section *section;
    void *target;         /* what the section fills */
    struct config_vm *vm; /* the same, if it is a [vm] section, else NULL */
    uint32_t seen;        /* keys this section has set, a bit by index in its table */
    unsigned line;
    char named[32]; /* see named() */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

static struct span span_of(const char *text)
{
    size_t len = 0;

    while (text[len] != '\0')
        len++;
    return (struct span){ text, len };
}

static bool span_is(struct span s, const char *text)
{
    for (size_t i = 0; i < s.len; i++)
        if (text[i] == '\0' || text[i] != s.at[i])
            return false;
    return text[s.len] == '\0';
}

/* The characters at the start of s for which is() holds; s keeps the rest. */
static struct span span_take(struct span *s, bool (*is)(char))
{
    struct span taken = { s->at, 0 };

    while (taken.len < s->len && is(s->at[taken.len]))
        taken.len++;
    s->at += taken.len;
    s->len -= taken.len;
    return taken;
}

static struct span span_trim(struct span s)
{
    span_take(&s, is_blank);
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

/* Append as much of s as fits to the terminated string in buffer[0..room); what does not print becomes '?'. */
static void append(char *buffer, size_t room, struct span s)
{
    size_t used = span_of(buffer).len;

    for (size_t i = 0; i < s.len && used + 1 < room; i++)
        buffer[used++] = is_printable(s.at[i]) ? s.at[i] : '?';
    buffer[used] = '\0';
}

bool config_error_set(struct config_error *error, unsigned line, const char *key, ...)
{
    va_list parts;

    *error = (struct config_error){ .line = line };
    append(error->key, sizeof(error->key), span_of(key));
    va_start(parts, key);
    for (const char *part = va_arg(parts, const char *); part; part = va_arg(parts, const char *))
        append(error->message, sizeof(error->message), span_of(part));
    va_end(parts);
    return false;
}

/* Refuse the line that is being parsed. */
#define refuse(p, ...) config_refuse((p)->error, (p)->line, __VA_ARGS__)

/* A terminated copy of a span that an error names. */
static const char *named(struct parser *p, struct span s)
{
    p->named[0] = '\0';
    append(p->named, sizeof(p->named), s);
    return p->named;
}

/* A decimal number, with an optional suffix if suffixes are allowed. False if it is none or above the maximum. */
static bool number_parse(struct span s, bool suffixes, uint64_t max, uint64_t *number)
{
    unsigned shift = 0;

    if (suffixes && s.len > 0) {
        char last = s.at[s.len - 1] & ~0x20; /* upper case */

        shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;
        s.len -= shift != 0;
    }
    if (s.len == 0)
        return false;
    *number = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(s.at[i] - '0');
        if (*number > max >> shift)
            return false;
    }
    *number <<= shift;
    return true;
}

/* A path that FAT can name and that stays inside the volume: relative, separated by '/', without "..". */
static bool path_valid(struct span s)
{
    if (s.len == 0 || s.at[0] == '/' || s.at[s.len - 1] == '/')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (i > 0 && (s.at[i] == '.' || s.at[i] == '/') && s.at[i - 1] == s.at[i])
            return false;
        for (const char *bad = "\\:*?\"<>|"; *bad; bad++)
            if (s.at[i] == *bad)
                return false;
    }
    return true;
}

/* Two hexadecimal digits a byte; dashes between pairs are skipped. All zero is refused: it means that nothing was
 * given. */
static bool hex_set(uint8_t *bytes, size_t count, struct span value)
{
    size_t digits = 0;
    unsigned any = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i], low = c | 0x20;
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(low - 'a' + 10);

        if (c == '-' && digits % 2 == 0 && digits > 0)
            continue;
        if (digits == 2 * count || !((c >= '0' && c <= '9') || (low >= 'a' && low <= 'f')))
            return false;
        bytes[digits / 2] = (uint8_t)(digits % 2 ? bytes[digits / 2] | digit : digit << 4);
        any |= digit;
        digits++;
    }
    return digits == 2 * count && any;
}

/* An address, perhaps with a port. It is not a group's, not one of loopback and not in 0.0.0.0/8. */
static bool server4_set(struct config_server *server, struct span value, uint32_t port)
{
    server->port = port;
    return netaddr_port(value.at, &value.len, &server->port) && netaddr_ip4(value.at, value.len, server->bytes) &&
           server->bytes[0] != 0 && server->bytes[0] != 127 && server->bytes[0] < 224;
}

/* The same of IPv6, as in a URL: "[fd09::2]" or "[fd09::2]:80". */
static bool server6_set(struct config_server *server, struct span value, uint32_t port)
{
    struct span address = { value.at + 1, 0 }, rest;

    while (address.len + 1 < value.len && address.at[address.len] != ']')
        address.len++;
    if (address.len + 1 >= value.len)
        return false;
    rest = (struct span){ address.at + address.len + 1, value.len - address.len - 2 };
    server->ip6 = 1;
    server->port = port;
    return netaddr_port(rest.at, &rest.len, &server->port) && rest.len == 0 &&
           netaddr_ip6(address.at, address.len, server->bytes) && server->bytes[0] != 0xFF &&
           (server->bytes[0] | server->bytes[1]) != 0;
}

/* The setters of list_set. */
static bool image_set(void *item, struct span path)
{
    append(item, CONFIG_PATH, path);
    return path_valid(path) && path.len < CONFIG_PATH;
}

static bool peer_set(void *item, struct span address)
{
    return server4_set(item, address, CONFIG_MIGRATION_PORT);
}

static bool url_set(void *item, struct span url)
{
    struct config_server *server = item;
    bool https = url.len > 8 && span_is((struct span){ url.at, 8 }, "https://");
    size_t scheme = https ? 8 : 7;
    struct span address = { url.at + scheme, url.len - scheme };

    server->https = https;
    return url.len > scheme && (https || span_is((struct span){ url.at, 7 }, "http://")) &&
           (*address.at == '[' ? server6_set : server4_set)(server, address, CONFIG_WITNESS_PORT);
}

static bool is_not_blank(char c)
{
    return !is_blank(c);
}

/* Words with blanks between them, no two the same: at most `max` items of `size` bytes, which are zero now. */
static bool list_set(char *list, unsigned max, size_t size, bool (*set)(void *item, struct span word),
                     struct span value)
{
    char *item = list;

    for (; item < list + max * size && value.len > 0; item += size) {
        if (!set(item, span_take(&value, is_not_blank)))
            return false;
        for (const char *other = list; other < item; other += size)
            if (config_bytes_equal(other, item, size))
                return false;
        value = span_trim(value);
    }
    return item > list && value.len == 0;
}

/* Set the key's field. False: the value is not what the key wants. */
static bool field_set(const struct key *key, void *field, struct span value)
{
    struct config_address *address = field;
    uint64_t number;

    switch (key->kind) {
    case VALUE_PATH:
        if (!path_valid(value))
            return false;
        /* fallthrough */
    case VALUE_TEXT:
        if (value.len >= key->room || value.len < key->min)
            return false;
        *(char *)field = '\0';
        append(field, key->room, value);
        return true;
    case VALUE_SIZE:
    case VALUE_BYTES:
        if (!number_parse(value, true, key->max, &number) ||
            (number < key->min && (number || key->kind == VALUE_SIZE)) ||
            (key->kind == VALUE_SIZE && number % 4096 != 0))
            return false;
        *(uint64_t *)field = number;
        return true;
    case VALUE_NUMBER:
        if (!number_parse(value, false, key->max, &number) || number < key->min)
            return false;
        *(uint32_t *)field = (uint32_t)number;
        return true;
    case VALUE_CHOICE:
        for (number = 0; key->choices[number] && !span_is(value, key->choices[number]);)
            number++;
        if (key->choices[number])
            *(uint32_t *)field = (uint32_t)number;
        return key->choices[number];
    case VALUE_DHCP_OR_NETWORK4:
        return span_is(value, "dhcp") || (netaddr_prefix(value.at, &value.len, 32, &address->prefix) &&
                                          netaddr_ip4(value.at, value.len, address->bytes));
    case VALUE_ADDRESS4: address->prefix = 32; return netaddr_ip4(value.at, value.len, address->bytes);
    case VALUE_NETWORK6:
        return netaddr_prefix(value.at, &value.len, 128, &address->prefix) &&
               netaddr_ip6(value.at, value.len, address->bytes);
    case VALUE_SERVER4: return server4_set(field, value, CONFIG_SYSLOG_PORT);
    case VALUE_MAC: return netaddr_mac(value.at, value.len, field);
    case VALUE_HEX: return hex_set(field, key->room, value);
    case VALUE_IMAGES: return list_set(field, CONFIG_IMAGES, CONFIG_PATH, image_set, value);
    case VALUE_PEERS: return list_set(field, (unsigned)key->room, sizeof(struct config_server), peer_set, value);
    case VALUE_URLS: return list_set(field, CONFIG_WITNESSES, sizeof(struct config_server), url_set, value);
    }
    return false;
}

static bool value_set(struct parser *p, const struct key *key, struct span value)
{
    char shown[SHOWN + 1] = "";

    append(shown, sizeof(shown), value);
    return field_set(key, (char *)p->target + key->offset, value) ||
           refuse(p, key->name, "\"", shown, value.len > SHOWN ? "...\"" : "\"", " is wrong, expected ", key->want);
}

/* Reduce s, what follows "key =", to the value: without quotes, comment and surrounding blanks. */
static bool value_cut(struct parser *p, const struct key *key, struct span s, struct span *value)
{
    bool quoted = s.len > 0 && s.at[0] == '"';
    size_t i = quoted;

    /* Unquoted, a comment needs a blank before its '#', so that one inside a word is part of the value. */
    while (i < s.len && !(quoted ? s.at[i] == '"' : s.at[i] == '#' && (i == 0 || is_blank(s.at[i - 1])))) {
        if (!is_printable(s.at[i]) && s.at[i] != '\t')
            return refuse(p, key->name, "a value holds printable ASCII characters only");
        i++;
    }
    if (!quoted) {
        *value = span_trim((struct span){ s.at, i });
        return true;
    }
    if (i == s.len)
        return refuse(p, key->name, "the closing \" is missing");
    *value = (struct span){ s.at + 1, i - 1 };
    s = span_trim((struct span){ s.at + i + 1, s.len - i - 1 });
    if (s.len > 0 && s.at[0] != '#')
        return refuse(p, key->name, "only a # comment may follow the closing \"");
    return true;
}

static bool key_unknown(struct parser *p, struct span name)
{
    const struct section *section = p->section;

    refuse(p, named(p, name), "unknown key, expected ");
    for (size_t i = 0; i < section->count; i++) {
        char *message = p->error->message;

        append(message, sizeof(p->error->message), span_of(i == 0 ? "" : i + 1 == section->count ? " or " : ", "));
        append(message, sizeof(p->error->message), span_of(section->keys[i].name));
    }
    append(p->error->message, sizeof(p->error->message), span_of(section->place));
    return false;
}

/* The index of a key in the section's table, or its count. */
static size_t key_find(const struct section *section, struct span name)
{
    size_t i = 0;

    while (i < section->count && !span_is(name, section->keys[i].name))
        i++;
    return i;
}

static bool key_parse(struct parser *p, struct span line)
{
    const struct key *table = p->section->keys;
    size_t i;
    struct span name = span_take(&line, is_name), value = { NULL, 0 };

    line = span_trim(line);
    if (name.len == 0 || line.len == 0 || line.at[0] != '=')
        return refuse(p, named(p, name), "expected key = value, [vm NAME], " SINGLES " or # comment");
    i = key_find(p->section, name);
    if (i == p->section->count)
        return key_unknown(p, name);
    if (p->seen & 1u << i)
        return refuse(p, named(p, name), "given twice, expected once",
                      p->section == &global_section ? " in the file" : " in a section");
    p->seen |= 1u << i;
    if (table[i].offset == offsetof(struct config_vm, protect) && p->vm)
        p->vm->protect_line = p->line;
    return value_cut(p, &table[i], span_trim((struct span){ line.at + 1, line.len - 1 }), &value) &&
           value_set(p, &table[i], value);
}

/* Every virtual machine needs a kernel. Called when its section ends. */
static bool section_end(struct parser *p)
{
    if (!p->vm || p->vm->kernel[0] != '\0')
        return true;
    p->line = p->vm->line;
    return refuse(p, "kernel", "missing in section [vm ", p->vm->name, "], expected kernel = FILE");
}

static bool vm_begin(struct parser *p, struct span name)
{
    struct config *config = p->config;
    const char *fault;

    for (uint32_t i = 0; i < config->nr_vms; i++)
        if (span_is(name, config->vm[i].name))
            return refuse(p, named(p, name), "a [vm] section of this name exists, names must differ");
    if (config->nr_vms == CONFIG_MAX_VMS)
        return refuse(p, named(p, name), "too many [vm] sections, expected at most " TEXT(CONFIG_MAX_VMS));
    p->section = &vm_section;
    p->vm = &config->vm[config->nr_vms++];
    p->target = p->vm;
    *p->vm = (struct config_vm){ .memory = 64ULL << 20, .vcpus = 1, .dirty_check = 20, .line = p->line };
    append(p->vm->name, CONFIG_NAME, name);
    fault = config_name_fault(p->vm->name);
    return !fault || refuse(p, named(p, name), fault);
}

static bool single_begin(struct parser *p, const struct section *single)
{
    uint32_t *mark = (uint32_t *)(void *)((char *)p->config + single->mark);

    if (*mark)
        return refuse(p, single->word, "a second [", single->word, "] section, expected one");
    *mark = single->value;
    p->section = single;
    p->target = (char *)p->config + single->target;
    p->vm = NULL;
    return true;
}

/* A section header: "[vm NAME]", "[net]", "[api]" ..., then perhaps a comment. */
static bool section_parse(struct parser *p, struct span line)
{
    const struct section *single = single_sections;
    struct span header = { line.at, 0 }, word, name; /* header: up to its ']', as a message shows it */

    while (header.len < line.len && line.at[header.len++] != ']')
        continue;
    line = span_trim((struct span){ line.at + 1, line.len - 1 });
    word = span_take(&line, is_name);
    line = span_trim(line);
    name = span_take(&line, is_name);
    line = span_trim(line);
    while (single->word && (name.len > 0 || !span_is(word, single->word)))
        single++;
    if ((!single->word && (!span_is(word, "vm") || name.len == 0 || name.len >= CONFIG_NAME)) || line.len == 0 ||
        line.at[0] != ']')
        return refuse(p, named(p, header),
                      "expected [vm NAME], " SINGLES ", NAME being at most 31 ASCII letters, digits, '-', '_' and '.'");
    line = span_trim((struct span){ line.at + 1, line.len - 1 });
    if (line.len > 0 && line.at[0] != '#')
        return refuse(p, named(p, header), "only a # comment may follow the ]");
    if (!section_end(p))
        return false;
    p->seen = 0;
    return single->word ? single_begin(p, single) : vm_begin(p, name);
}
static_assert(CONFIG_NAME == 32, "the section message names the limit");

/* The next line of *text, without its end of line and surrounding blanks. */
static struct span line_take(struct span *text)
{
    struct span line = { text->at, 0 };
    size_t taken;

    while (line.len < text->len && line.at[line.len] != '\n')
        line.len++;
    taken = line.len + (line.len < text->len);
    text->at += taken;
    text->len -= taken;
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    return span_trim(line);
}

bool config_parse(const char *text, size_t len, struct config *config, struct config_error *error)
{
    struct parser p = { .config = config, .error = error, .section = &global_section, .target = config };
    struct span rest = { text, len };

    *config = (struct config){
        .hypervisor = "godwit.elf",
        .log = CONFIG_LOG_INFO,
        .exit = CONFIG_EXIT_AUTO,
        .monitor = CONFIG_ACCESS_OPEN,
        .net.storm_limit = CONFIG_STORM_LIMIT,
        .witness.timeout = CONFIG_WITNESS_TIMEOUT,
    };
    config->migration = (struct config_migration){
        .downtime_limit = CONFIG_DOWNTIME_LIMIT,
        .max_rounds = CONFIG_MAX_ROUNDS,
        .postcopy_rounds = 1,
        .heartbeat_limit = 300,
        .throttle = { .initial = 20, .increment = 10, .max = 99 },
        .announce = { .initial = 50, .max = 550, .step = 100, .rounds = 5 },
    };
    if (len > CONFIG_TEXT_MAX)
        return refuse(&p, "", "the file is too long, expected at most 64 KiB");
    if (len >= 3 && span_is((struct span){ text, 3 }, "\xef\xbb\xbf")) /* a byte order mark */
        rest = (struct span){ text + 3, len - 3 };
    while (rest.len > 0) {
        const struct span line = line_take(&rest);

        p.line++;
        if (line.len > 0 && *line.at != '#' && !(*line.at == '[' ? section_parse : key_parse)(&p, line))
            return false;
    }
    if (config->api.port > UINT16_MAX)
        config->api.port = config->api.certificate[0] ? CONFIG_API_PORT_TLS : CONFIG_API_PORT;
    return section_end(&p) && config_check(config, error);
}
static_assert(CONFIG_TEXT_MAX == 64u << 10, "the length message names the limit");

bool config_migration_set(struct config_migration *migration, const char *key, const char *value,
                          struct config_error *error)
{
    struct parser p = { .error = error, .section = &move_section, .target = migration };
    size_t i = key_find(&move_section, span_of(key));

    if (i == move_section.count)
        return key_unknown(&p, span_of(key));
    return value_set(&p, &move_section.keys[i], span_of(value));
}
