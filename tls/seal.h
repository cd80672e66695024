/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of TLS 1.2 under ChaCha20-Poly1305 (RFC 5246, 6.2.3.3; RFC 7905): one direction of a connection whose keys
 * are agreed. Bytes are sealed from where they are into the record that is sent, and opened where they have come. A
 * seal belongs to one caller at a time.
 */
#pragma once

#include "tls/chacha20.h"

#define SEAL_HEADER 5
#define SEAL_TAG 16
#define SEAL_MAX 16384 /* bytes in a record */
#define SEAL_KEY CHACHA20_KEY
#define SEAL_IV CHACHA20_NONCE

/* What is in a record. */
enum seal_type { SEAL_ALERT = 21, SEAL_DATA = 23 };

struct seal {
    u8 key[SEAL_KEY];
    u8 iv[SEAL_IV];
    u64 seq;    /* of the record that is made or opened */
    size_t len; /* bytes in the record that is opened */
    struct chacha20 cipher;
    u64 mac[12]; /* mbedTLS's context */
};

/* Records from number seq on. */
void seal_init(struct seal *seal, const u8 key[SEAL_KEY], const u8 iv[SEAL_IV], u64 seq);

/* No trace of the key is left. */
void seal_wipe(struct seal *seal);

/*
 * Make a record: begin; add bytes, SEAL_MAX at most in all, whose ciphertext goes to `to`, one part behind the other
 * from record + SEAL_HEADER on; end writes the header and the tag, and returns the length of the whole. `bytes` are
 * read once: if they change meanwhile, the record has the old ones or the new ones, and is whole.
 */
void seal_begin(struct seal *seal);
void seal_add(struct seal *seal, u8 *to, const void *bytes, size_t len);
size_t seal_end(struct seal *seal, enum seal_type type, u8 *record, size_t len);

/* How many bytes follow this header, tag included? -EPROTO: it is no header of a record that may come. */
long seal_length(const u8 header[SEAL_HEADER]);

/*
 * Open a record: begin with its header; hash its ciphertext part by part; end with its tag. That returns 0, or
 * -EBADMSG: the peer has not sent this record, or not now. Then decrypt the parts where they are, in the same order.
 */
void unseal_begin(struct seal *seal, const u8 header[SEAL_HEADER]);
void unseal_hash(struct seal *seal, const u8 *bytes, size_t len);
int unseal_end(struct seal *seal, const u8 tag[SEAL_TAG]);
void unseal_decrypt(struct seal *seal, u8 *bytes, size_t len);
