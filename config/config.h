/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * godwit.cfg: its meaning as plain data, and the parser that fills it.
 *
 * The parser is portable C without libc: it runs in the UEFI application, in the hypervisor, in mkimage's checker on
 * the administrator's machine and in the unit tests. docs/config.md describes every key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_TEXT_MAX (64u << 10) /* bytes of a configuration file */
#define CONFIG_MAX_VMS 8
#define CONFIG_MAX_VCPUS 8
#define CONFIG_NAME 32
#define CONFIG_MAC 6
#define CONFIG_UUID 16
#define CONFIG_SHA256 32
#define CONFIG_PATH 64
#define CONFIG_CMDLINE 512
#define CONFIG_API_PORT 80       /* default of port in [api] ... */
#define CONFIG_API_PORT_TLS 443  /* ... with a certificate */
#define CONFIG_STORM_LIMIT 10000 /* default of storm-limit */
#define CONFIG_SYSLOG_PORT 514
#define CONFIG_MIGRATION_PORT 4900
#define CONFIG_DOWNTIME_LIMIT 20 /* ms */
#define CONFIG_MAX_ROUNDS 20
#define CONFIG_IMAGES 8            /* kernels and initrds of guests that may arrive by migration */
#define CONFIG_PEERS 8             /* hypervisors that are asked which of them has a guest */
#define CONFIG_PROTECT 2           /* machines between which a guest is protected */
#define CONFIG_WITNESSES 5         /* members of the witness */
#define CONFIG_WITNESS_PORT 2379   /* etcd's */
#define CONFIG_WITNESS_TIMEOUT 300 /* ms */
#define CONFIG_MAX_FILES (5 + 2 * CONFIG_MAX_VMS + CONFIG_IMAGES) /* hypervisor, keyring, certificate, tokens, ca */
#define CONFIG_MEMORY_MIN (1ULL << 20)
#define CONFIG_MEMORY_MAX (64ULL << 30)

/* Log levels, in the order of host/log.h. */
enum config_log { CONFIG_LOG_ERR, CONFIG_LOG_WARN, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

/* How the machine ends when every guest has ended. */
enum config_exit {
    CONFIG_EXIT_AUTO, /* the emulator's exit port if there is an emulator, else halt */
    CONFIG_EXIT_HALT, /* stay, with all processors halted */
};

/* dirty-log: the first four in the order of mm/dirty.h. */
enum config_dirty_log {
    CONFIG_DIRTY_OFF,
    CONFIG_DIRTY_WRITE_PROTECT,
    CONFIG_DIRTY_DBIT,
    CONFIG_DIRTY_PML,
    CONFIG_DIRTY_EACH,  /* one after the other, as far as the processor has them */
    CONFIG_DIRTY_GUEST, /* as the guest says, by the port of control/dirty_lab.h */
};

/* In the order of policy/policy.h. */
enum config_stall {
    CONFIG_STALL_STOP,
    CONFIG_STALL_ABORT,
    CONFIG_STALL_THROTTLE,
    CONFIG_STALL_POSTCOPY,
    CONFIG_STALL_WRITERS
};

/* Is a guest started when the machine boots? ASK: unless another machine has it. Without [net] or [migration] nobody
 * can be asked, and ASK means YES. */
enum config_autostart { CONFIG_AUTOSTART_ASK, CONFIG_AUTOSTART_YES, CONFIG_AUTOSTART_NO };

/* What a triple fault does. */
enum config_crash { CONFIG_CRASH_RESET, CONFIG_CRASH_STOP, NR_CONFIG_CRASH };

enum config_dirty_split { CONFIG_DIRTY_LAZY, CONFIG_DIRTY_EAGER };

/* A server: an address and a port; port 0: none. */
struct config_server {
    uint8_t bytes[16]; /* IPv4: the first four */
    uint32_t ip6;      /* 1: an IPv6 address; only a witness may have one */
    uint32_t port;
    uint32_t https; /* 1: a witness that is asked by HTTPS */
};

/* One [vm NAME] section. */
struct config_vm {
    char name[CONFIG_NAME];
    char kernel[CONFIG_PATH];         /* file on the boot volume */
    char initrd[CONFIG_PATH];         /* "" if none */
    uint8_t sha256[2][CONFIG_SHA256]; /* that kernel and initrd must have; all zero: any */
    char cmdline[CONFIG_CMDLINE];
    uint64_t memory; /* bytes, a multiple of 4 KiB */
    uint32_t vcpus;
    uint8_t mac[CONFIG_MAC];   /* of its network card; all zero: made from its name and the MAC of the host's card */
    uint8_t uuid[CONFIG_UUID]; /* the VM's identity, wherever it runs; all zero: made from its name and MAC */
    uint32_t autostart;        /* enum config_autostart */
    uint32_t on_crash;         /* enum config_crash */
    uint32_t dirty_log;        /* enum config_dirty_log */
    uint32_t dirty_split;      /* enum config_dirty_split */
    uint32_t dirty_check;      /* ms between rounds of the check */
    uint32_t dirty_drop;       /* one of so many pages is withheld from the check; 0: none is */
    struct config_server protect[CONFIG_PROTECT]; /* in the order of the file; port 0: no more */
    uint32_t protect_interval;                    /* ms; 0: the default */
    uint32_t protect_line;                        /* of the key protect */
    uint32_t line;                                /* of the section header, for messages about the whole section */
};

/* Who may use the HTTP API, or the serial monitor, without a token. */
enum config_access {
    CONFIG_ACCESS_TOKEN, /* nobody */
    CONFIG_ACCESS_OPEN,  /* everybody */
};

/* The [api] section. Without tokens and without `access = open` there is no API. */
struct config_api {
    char tokens[CONFIG_PATH];      /* the file with their hashes; "" if none */
    char certificate[CONFIG_PATH]; /* the file with it and its private key; "": the API is in the clear */
    uint32_t access;               /* enum config_access */
    uint32_t port;                 /* TCP */
    uint32_t insecure;             /* 1: it has no certificate, or is open, and that is meant */
};

enum config_uplink { CONFIG_UPLINK_AUTO, CONFIG_UPLINK_E1000, CONFIG_UPLINK_VIRTIO, CONFIG_UPLINK_NONE };

/* An address and the length of its network's prefix; prefix 0: none. */
struct config_address {
    uint8_t bytes[16]; /* IPv4: the first four */
    uint32_t prefix;
};

/* The [net] section: the hypervisor's own place on the network. */
struct config_net {
    uint32_t present;              /* 0: there is no such section, and no card is touched */
    struct config_address address; /* prefix 0: by DHCP */
    struct config_address gateway; /* prefix 32 if given */
    struct config_address address6;
    uint32_t uplink;             /* enum config_uplink */
    uint8_t mac[6];              /* of the hypervisor's interface; zero: made from the uplink's */
    uint32_t storm_limit;        /* broadcast and multicast frames a second from each port; 0: no limit */
    uint32_t anti_spoof;         /* 1: guests send from their own MAC only */
    uint32_t test_services;      /* 1: discard, echo and source on TCP ports 9, 7 and 19 */
    struct config_server syslog; /* where the log is sent to, by UDP */
};

struct config_throttle {
    uint32_t initial, increment, max; /* percent */
};

struct config_announce {
    uint32_t initial, max, step; /* ms: first pause between two rounds, longest, growth */
    uint32_t rounds;             /* 0: no announcement at all */
};

/* The [migration] section: may guests arrive here, and how do guests move unless a command says otherwise? */
struct config_migration {
    uint32_t port;                           /* TCP; 0: there is no such section, and no port is open for moves */
    uint32_t insecure;                       /* 1: there are no keys, and that is meant */
    char images[CONFIG_IMAGES][CONFIG_PATH]; /* files on the boot volume; "": no more */
    uint64_t incoming_memory; /* bytes that may be held for arriving guests; 0: the default of migration_init */
    uint64_t incoming_memory_per_host;        /* the same, for the guests of one host */
    uint32_t downtime_limit;                  /* ms */
    struct config_server peers[CONFIG_PEERS]; /* in the order of the file; port 0: no more */
    uint32_t max_rounds;
    uint64_t max_bandwidth;   /* bytes a second; 0: no limit */
    uint32_t on_stall;        /* enum config_stall */
    uint32_t hot_each;        /* 1: hot-pages = each */
    uint32_t postcopy_rounds; /* live rounds of a hybrid move */
    struct config_throttle throttle;
    uint32_t heartbeat_limit; /* ms */
    uint32_t dirty_log;       /* enum config_dirty_log; CONFIG_DIRTY_OFF: the best one that the processor has */
    uint32_t dirty_split;     /* enum config_dirty_split */
    struct config_announce announce;
};

/* The [witness] section: the etcd that says who may run a guest. */
struct config_witness {
    uint32_t present;
    uint32_t insecure;                          /* 1: it is asked in the clear, and that is meant */
    uint32_t timeout;                           /* ms for a member to answer */
    char ca[CONFIG_PATH];                       /* the file with its members' CA; "" if they are asked in the clear */
    struct config_server url[CONFIG_WITNESSES]; /* in the order of the file, all of one scheme; port 0: no more */
};

/* The [keys] section: how this hypervisor and others know each other. */
struct config_keys {
    uint32_t present;
    char name[CONFIG_NAME];    /* its own */
    char keyring[CONFIG_PATH]; /* the file with the keys, on the boot volume */
};

struct config {
    char hypervisor[CONFIG_PATH]; /* the ELF file to enter */
    uint32_t log;                 /* enum config_log */
    uint32_t exit;                /* enum config_exit */
    uint32_t cpus;                /* processors to use at most; 0: all */
    uint32_t monitor;             /* enum config_access */
    struct config_api api;
    struct config_net net;
    struct config_migration migration;
    struct config_witness witness;
    struct config_keys keys;
    uint32_t nr_vms;
    struct config_vm vm[CONFIG_MAX_VMS];
};

/* Can this hypervisor ask others whether they have a guest? */
static inline bool config_asks(const struct config *config)
{
    return config->net.present && config->migration.port;
}

/* Where and why a configuration was refused. */
struct config_error {
    unsigned line;     /* 1-based; 0 if it is about the whole file */
    char key[32];      /* the key or section concerned, "" if none */
    char message[384]; /* what is wrong and what would be right */
};

/*
 * Why may a VM not have this name? Names come from a file, an administrator or a peer, and become part of paths, labels
 * and options. Returns NULL if the name is allowed, else what is wrong with it, for a message. Callable anywhere.
 */
const char *config_name_fault(const char *name);

/*
 * Parse text[0..len) into *config, defaults included.
 * Returns true, or false with *error filled: nothing in *config may then be used.
 * Callable anywhere; no allocation, no libc.
 */
bool config_parse(const char *text, size_t len, struct config *config, struct config_error *error);

/*
 * Set a key of [migration] as a line of the file would, if that key may be changed while the hypervisor runs.
 * Returns true, or false with *error filled: then *migration is as it was. Callable anywhere.
 */
bool config_migration_set(struct config_migration *migration, const char *key, const char *value,
                          struct config_error *error);
