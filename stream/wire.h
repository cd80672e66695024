/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The migration stream on the wire: docs/migration-stream.md in C. Constants and layouts only.
 *
 * All fields are little-endian and naturally aligned, so that a struct is its own layout on this processor; every
 * struct is copied out of the stream before it is looked at.
 */
#pragma once

#include "host/types.h"

#define WIRE_MAGIC 0x474D544957444F47ULL /* "GODWITMG" */
#define WIRE_VERSION_MIN 1
#define WIRE_VERSION 1

#define WIRE_PAGE 4096
#define WIRE_BODY_MAX (64u << 10) /* bytes of a body; the contents of pages are not counted */
#define WIRE_BATCH 64             /* pages in one record */
#define WIRE_RUNS 1024            /* runs of zero pages in one record */
#define WIRE_RANGES 8
#define WIRE_VCPUS 64
#define WIRE_DEVICES 64
#define WIRE_CPUID 64
#define WIRE_SECTIONS 256
#define WIRE_NAME 32
#define WIRE_MAC 6
#define WIRE_SECTION_NAME 16
#define WIRE_REASON 120
#define WIRE_ID 16
#define WIRE_WARNINGS 4
#define WIRE_FRAME_MIN 14    /* an Ethernet header */
#define WIRE_FRAME_MAX 2048  /* bytes of one FRAME */
#define WIRE_FRAMES 1024     /* FRAMEs of a move */
#define WIRE_QUESTIONS 8     /* questions on one connection */
#define WIRE_FILES 2         /* files from which a guest starts: kernel and initrd */
#define WIRE_FILE_PART 32768 /* bytes of a file in one FILE, but for the last one */
#define WIRE_SHA256 32
#define WIRE_TAG 16    /* HMAC-SHA256, cut (tls/keyring.h) */
#define WIRE_ANSWERS 2 /* answers to a question: about the guest, and about a guest with its MAC */

/* Times of the protocol, in ms. */
#define WIRE_KEEPALIVE_MS 1000
#define WIRE_DEAD_MS 5000
#define WIRE_SETUP_MS 10000
#define WIRE_PROGRESS_MS 10000 /* a peer that has something to do must get on within this time */
#define WIRE_RETRY_MS 1000
#define WIRE_CLAIM_MS 1000
#define WIRE_FORWARD_MS 250  /* for so long after RUNNING, frames that reach the source are sent on */
#define WIRE_FOLLOW_MS 60000 /* a source whose files are cut off gives up if none becomes whole within this time */
#define WIRE_HEARD_MS 2000   /* a claim of the owner that is heard so long after PREPARED was also said after it */

/* After so many pages of work an end says KEEPALIVE, whatever its clock says: in an emulator, the clock of a machine
 * that works hard is behind the clock of its peer, which waits. */
#define WIRE_KEEPALIVE_PAGES 128

/* The same of missing pages that a destination has taken: its source sends only so many ahead of that. */
#define WIRE_KEEPALIVE_FILLED 16

/* The same of pages that an end only looks at: it finds them empty, or has had nothing in them. Long runs of them cost
 * less than a tenth of a byte each. */
#define WIRE_KEEPALIVE_LOOKED 1024

enum wire_kind {
    WIRE_MOVE = 1,
    WIRE_RESOLVE = 2,
    WIRE_REPLY = 3,
    WIRE_ASK = 4,
    WIRE_SERVE = 5,
    WIRE_IMAGE = 6, /* a file: docs/image.md */
};

#define WIRE_FEATURE_VERIFY 1ULL
#define WIRE_FEATURE_POSTCOPY 2ULL
#define WIRE_FEATURE_FILES 4ULL
#define WIRE_FEATURE_PROBE 8ULL
#define WIRE_FEATURE_PROTECT 16ULL
/* That this code has. */
#define WIRE_FEATURES \
    (WIRE_FEATURE_VERIFY | WIRE_FEATURE_POSTCOPY | WIRE_FEATURE_FILES | WIRE_FEATURE_PROBE | WIRE_FEATURE_PROTECT)

#define WIRE_OPTIONAL 0x80000000u /* a bit of a type: a receiver that doesn't know the type skips the record */

enum wire_type {
    WIRE_END = 1,
    WIRE_KEEPALIVE,
    WIRE_RESERVE,
    WIRE_ACCEPTED,
    WIRE_REFUSED,
    WIRE_PAGES,
    WIRE_ZERO,
    WIRE_ROUND,
    WIRE_ROUND_DONE,
    WIRE_STATE,
    WIRE_PREPARE = 16, /* from here to UNKNOWN the handoff: struct wire_handoff */
    WIRE_PREPARED,
    WIRE_COMMIT,
    WIRE_RUNNING,
    WIRE_QUERY,
    WIRE_ABORT,
    WIRE_ABORTED,
    WIRE_UNKNOWN,
    WIRE_CLAIM = 25,   /* a question, or an answer: struct wire_claim */
    WIRE_MISSING,      /* struct wire_run: these pages are at the source alone */
    WIRE_WANT,         /* u64 gpa: something waits for these pages */
    WIRE_COMPLETE,     /* struct wire_handoff: no page is missing any more */
    WIRE_OFFER = 30,   /* struct wire_offer: the files from which the guest starts */
    WIRE_NEED,         /* struct wire_need: those that are not here */
    WIRE_FILE,         /* struct wire_part, and bytes of a file */
    WIRE_DIGEST,       /* struct wire_digest: all of that file has been said */
    WIRE_FILED,        /* struct wire_filed: all files are here, or why not */
    WIRE_PROTECT = 36, /* struct wire_protect: the copy is to be kept up to date */
    WIRE_PROTECTING,   /* struct wire_protecting: it will be */
    WIRE_CHECKPOINT,   /* struct wire_checkpoint: all of a checkpoint has been said */
    WIRE_CHECKPOINTED, /* struct wire_checkpointed: it is in the copy */
};

#define WIRE_FRAME (WIRE_OPTIONAL | 24) /* after RUNNING: an Ethernet frame */
#define WIRE_PULL (WIRE_OPTIONAL | 29)  /* empty: send what is missing unasked, too */
#define WIRE_PROBE (WIRE_OPTIONAL | 35) /* from the source u64, not 0: answer by an empty PROBE; then zeros */

/* Why a move was refused or broken off. */
enum wire_code {
    WIRE_OK,
    WIRE_E_VERSION,  /* no common version */
    WIRE_E_FEATURE,  /* a required feature is missing */
    WIRE_E_STREAM,   /* the stream breaks its rules */
    WIRE_E_MEMORY,   /* no memory for the guest */
    WIRE_E_NAME,     /* another VM has the name */
    WIRE_E_BUSY,     /* this VM is moving already, or too many are */
    WIRE_E_REPLAY,   /* the epoch isn't new */
    WIRE_E_CPU,      /* the processor lacks what the guest was shown */
    WIRE_E_DEVICE,   /* a device, or its version, is unknown */
    WIRE_E_STATE,    /* a section of state is not acceptable */
    WIRE_E_DAMAGED,  /* pages arrived damaged or not at all */
    WIRE_E_DIGEST,   /* verification failed */
    WIRE_E_CANCEL,   /* the operator cancelled */
    WIRE_E_TIMEOUT,  /* the peer was silent */
    WIRE_E_LINK,     /* the connection broke */
    WIRE_E_CONVERGE, /* the policy gave up */
    WIRE_E_INTERNAL, /* the VM failed underneath */
    WIRE_E_MAC,      /* another VM here has its MAC, or it may not send from it */
    WIRE_E_RIGHTS,   /* its source may not bring it here */
};

/* "version", "busy" ...; "unknown" for a code that a peer may have said, and that is none. */
const char *wire_code_name(enum wire_code code);

struct wire_header {
    u64 magic;
    u16 version_min, version_max;
    u32 kind; /* enum wire_kind */
    u64 features, required;
    u8 vm_id[WIRE_ID];
    u64 epoch;
    u32 reserved;
    u32 crc; /* of the 60 bytes before it */
};

/* Head of a record; `len` counts from `crc` on, without padding. */
struct wire_record {
    u32 type, len, crc, seq;
};

struct wire_pages {
    u32 count, reserved;
};

struct wire_page {
    u64 gpa;
    u32 crc; /* of the contents */
    u32 len; /* WIRE_PAGE */
};

struct wire_run {
    u64 gpa, pages;
};

#define WIRE_DRY_RUN 1u
#define WIRE_VERIFY 2u
#define WIRE_DEMAND 4u /* behind RUNNING come only pages that are wanted, until PULL */

/* A file from which a guest starts anew. */
struct wire_file {
    u64 size; /* bytes; 0: it has none */
    u64 digest;
};

/* The guest starts anew there, from its files: there is neither memory nor state of processors and devices. */
#define WIRE_COLD 8u
#define WIRE_STOPPED 16u /* of such a guest: it is not started there, until somebody says so */
#define WIRE_FOLLOW 32u  /* the files follow after RUNNING */
/* The copy is kept up to date by checkpoints until COMMIT or ABORT (docs/failover-protocol.md). */
#define WIRE_GUARDED 64u
#define WIRE_WITNESS 128u /* the source's machine asks a witness who may run a guest */
/* A field of flags, for people: by which mode it moves, 1 + enum migrate_mode (policy/predict.h), or as said here. */
#define WIRE_MODE (15u << 8)
#define WIRE_MODE_UNSAID 0
#define WIRE_MODE_IMAGE 15 /* it comes from an image */
#define WIRE_MODES 16

/* RESERVE: this, then ranges, then CPUID leaves, then devices. */
struct wire_reserve {
    char name[WIRE_NAME];
    u64 memory; /* bytes, the sum of the ranges */
    u32 nr_ranges, nr_vcpus, nr_cpuid, nr_devices;
    u32 flags, mtu;
    u64 tsc_khz; /* the TSC frequency on which the guest counts */
    u64 owner;   /* the source's number: struct wire_claim */
    struct wire_file kernel, initrd;
    u8 mac[WIRE_MAC];       /* of its network card */
    u8 taken_mac[WIRE_MAC]; /* the address that its driver uses instead, or the same */
    u32 further_macs;       /* number of further addresses that it sends from */
};

struct wire_range {
    u64 gpa, bytes;
};

struct wire_cpuid {
    u32 leaf, subleaf, eax, ebx, ecx, edx;
};

struct wire_device {
    char name[WIRE_SECTION_NAME];
    u32 instance, version;
};

/* ACCEPTED: what the guest would not have here as at its source, in words. */
struct wire_accepted {
    u32 count, reserved;
    char warning[WIRE_WARNINGS][WIRE_REASON];
};

struct wire_refused {
    u32 code, reserved; /* enum wire_code */
    u64 epoch;          /* WIRE_E_REPLAY: the highest that the destination remembers of this VM */
    char reason[WIRE_REASON];
};

/* ROUND and ROUND_DONE. */
struct wire_round {
    u32 number;
    u32 digest; /* ROUND: 1: digest what you hold before you answer. ROUND_DONE: the us that this took */
    u64 pages, zero;
};

/* STATE: this, then `len` bytes. */
struct wire_section {
    char name[WIRE_SECTION_NAME];
    u32 instance, len;
};

struct wire_offer {
    u32 count, reserved; /* 1, or 2 with an initrd */
    struct wire_file file[WIRE_FILES];
};

struct wire_need {
    u32 files, reserved; /* a bit for each file of OFFER */
};

/* FILE: this, then the bytes. */
struct wire_part {
    u32 index, reserved; /* of the file in OFFER */
    u64 offset;
};

struct wire_digest {
    u32 index, reserved;
    u8 sha256[WIRE_SHA256];
};

struct wire_filed {
    u32 code, reserved; /* enum wire_code */
    char reason[WIRE_REASON];
};

/* What an operator can set (config/config_keys.c). */
#define WIRE_INTERVAL_MIN_MS 5
#define WIRE_INTERVAL_MAX_MS 1000
#define WIRE_LIMIT_MIN_MS 100
#define WIRE_LIMIT_MAX_MS 60000

struct wire_protect {
    u32 interval_ms; /* between checkpoints */
    u32 limit_ms;    /* of silence, after which the other machine may be dead */
    u32 room_pages;  /* that a checkpoint may have */
    u32 reserved;
};

struct wire_protecting {
    u64 owner;      /* the destination's number: struct wire_claim */
    u32 room_pages; /* that a checkpoint may have there: the lesser number counts */
    u32 reserved;
};

struct wire_checkpoint {
    u64 epoch, number;
    u64 paused_ns; /* as in PREPARE */
    u64 state_digest;
    u64 pages, zero_pages; /* that were said */
};

struct wire_checkpointed {
    u64 epoch, number;
    u32 us; /* that the destination took to put it into the copy */
    u32 reserved;
};

#define WIRE_WISH_ABORT 1u

struct wire_handoff {
    u64 epoch;
    u32 code, wish;
    u64 paused_ns; /* time since the guest stopped. PREPARE: until this was said; COMMIT: until it is heard, if nothing
                      delays it */
    u64 state_digest, memory_digest;
};

/* END of an image: what was before it, and the digests that a move's PREPARE has. */
struct wire_image_end {
    u64 bytes, records;
    u64 state_digest, memory_digest;
};

#define WIRE_CLAIM_MAGIC 0x4C43544957444F47ULL /* "GODWITCL" */

/* What a claim says of a VM: its sender owns the VM; its sender is about to start the VM, and a machine that has the VM
 * shall say so; its sender keeps a copy that may be the only one. GREETS is about no VM, and only where there are keys:
 * it says the sender's nonce and echoes, as all frames do. */
enum wire_claim_kind {
    WIRE_CLAIM_OWNS = 1,
    WIRE_CLAIM_ASKS,
    WIRE_CLAIM_HOLDS,
    WIRE_CLAIM_GREETS,
};

/* Sent in a frame of its own to all hypervisors of the link, or as the body of CLAIM. */
struct wire_claim {
    u64 magic;
    u8 vm_id[WIRE_ID];
    u64 epoch;
    u64 owner;  /* the sender: a random number, drawn at the hypervisor's boot */
    u64 age_ms; /* how long this copy has been on that machine */
    u64 rival;  /* the owner of the same epoch whose copy must stand still, as this owner judges; 0: none */
    char name[WIRE_NAME];
    u8 mac[6];   /* of its network card */
    u16 kind;    /* enum wire_claim_kind */
    u8 ip4[4];   /* where the hypervisor's API is; 0: unknown */
    u32 version; /* WIRE_VERSION */
    u32 proof;   /* the version of the proof that follows it, WIRE_PROOF; 0: none does */
    u32 crc;     /* of all bytes before it */
};

#define WIRE_PROOF 1
#define WIRE_ECHOES 64

/* A claim on the link, with keys (docs/claims.md "With keys"). As much of it is said as has a meaning. */
struct wire_proven_claim {
    struct wire_claim claim;
    u64 count;                                      /* grows from frame to frame of this sender */
    u64 nonce;                                      /* the sender's latest: a machine that echoes it lives */
    u64 echoes;                                     /* how many follow */
    u64 echo[WIRE_ECHOES + WIRE_TAG / sizeof(u64)]; /* the latest nonces of the machines that the sender has heard
                                                     * lately; behind the last one, the tag of all bytes before it */
};

/* age_ms where the witness names the sender as the owner: older than any copy is. */
#define WIRE_AGE_DEED (1ULL << 62)

#define WIRE_BEAT_MAGIC 0x4248544957444F47ULL /* "GODWITHB" */

/* A datagram between the two machines of a protected guest, from port 4900 to port 4900: its sender keeps the agreement
 * of this epoch (docs/failover-protocol.md, "Heartbeats"). */
struct wire_beat {
    u64 magic;
    u8 vm_id[WIRE_ID];
    u64 epoch;
    u64 owner;      /* the sender: struct wire_claim */
    u64 seq;        /* grows from beat to beat: an old one does not count */
    u64 checkpoint; /* the last one that was taken, or acknowledged */
    u32 reserved;
    u32 crc; /* of all bytes before it */
};

/* With keys. */
struct wire_tagged_beat {
    struct wire_beat beat;
    u8 tag[WIRE_TAG]; /* of the beat */
};

_Static_assert(sizeof(struct wire_beat) == 64, "beat");
_Static_assert(sizeof(struct wire_tagged_beat) == 80, "beat with keys");
_Static_assert(sizeof(struct wire_claim) == 112, "claim");
_Static_assert(sizeof(struct wire_proven_claim) == 664, "claim with keys");
_Static_assert(sizeof(struct wire_header) == 64, "header");
_Static_assert(sizeof(struct wire_record) == 16, "record head");
_Static_assert(sizeof(struct wire_pages) == 8, "PAGES");
_Static_assert(sizeof(struct wire_page) == 16, "page entry");
_Static_assert(sizeof(struct wire_run) == 16, "ZERO entry");
_Static_assert(sizeof(struct wire_reserve) == 128, "RESERVE");
_Static_assert(sizeof(struct wire_accepted) == 488, "ACCEPTED");
_Static_assert(sizeof(struct wire_range) == 16, "range");
_Static_assert(sizeof(struct wire_cpuid) == 24, "CPUID leaf");
_Static_assert(sizeof(struct wire_device) == 24, "device");
_Static_assert(sizeof(struct wire_refused) == 136, "REFUSED");
_Static_assert(sizeof(struct wire_round) == 24, "ROUND");
_Static_assert(sizeof(struct wire_section) == 24, "STATE");
_Static_assert(sizeof(struct wire_handoff) == 40, "handoff messages");
_Static_assert(sizeof(struct wire_image_end) == 32, "END of an image");
_Static_assert(sizeof(struct wire_offer) == 40, "OFFER");
_Static_assert(sizeof(struct wire_need) == 8, "NEED");
_Static_assert(sizeof(struct wire_part) == 16, "FILE");
_Static_assert(sizeof(struct wire_digest) == 40, "DIGEST");
_Static_assert(sizeof(struct wire_filed) == 128, "FILED");
_Static_assert(sizeof(struct wire_protect) == 16, "PROTECT");
_Static_assert(sizeof(struct wire_protecting) == 16, "PROTECTING");
_Static_assert(sizeof(struct wire_checkpoint) == 48, "CHECKPOINT");
_Static_assert(sizeof(struct wire_checkpointed) == 24, "CHECKPOINTED");
