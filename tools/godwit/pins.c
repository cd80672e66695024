/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/godwit/pins.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE 512

const char *pins_file(void)
{
    static char path[PATH_MAX];
    const char *given = getenv("GODWIT_KNOWN_HOSTS"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (given && *given)
        snprintf(path, sizeof(path), "%s", given);
    else if (config && *config)
        snprintf(path, sizeof(path), "%s/godwit/known_hosts", config);
    else
        snprintf(path, sizeof(path), "%s/.config/godwit/known_hosts", home ? home : "");
    return path;
}

bool pins_find(const char *host, char pin[PIN])
{
    FILE *file = fopen(pins_file(), "r");
    char line[LINE], name[LINE], hash[PIN];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, "%511s %63s", name, hash) == 2 && !strcmp(name, host);
    if (file)
        fclose(file);
    if (found)
        memcpy(pin, hash, PIN);
    return found;
}

/* Make the directories of a path; one that can't be made is missed when the file is opened. */
static void directories_make(const char *path)
{
    char parent[PATH_MAX];

    snprintf(parent, sizeof(parent), "%s", path);
    for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(parent, 0700);
        *slash = '/';
    }
}

bool pins_add(const char *host, const char pin[PIN])
{
    FILE *file;
    bool done;

    directories_make(pins_file());
    file = fopen(pins_file(), "a");
    done = file && fprintf(file, "%s %s\n", host, pin) > 0;
    if (file && fclose(file))
        done = false;
    if (!done)
        fprintf(stderr, "godwit: %s: %s\n", pins_file(), strerror(errno));
    return done;
}

bool pin_of_certificate(const char *pem, char pin[PIN])
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    unsigned char *key = NULL, hash[EVP_MAX_MD_SIZE], text[PIN];
    int len = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key) : -1;
    unsigned size;
    bool done = len > 0 && EVP_Digest(key, (size_t)len, hash, &size, EVP_sha256(), NULL);

    if (done) {
        EVP_EncodeBlock(text, hash, (int)size); /* 44 characters */
        snprintf(pin, PIN, "sha256//%.44s", (const char *)text);
    }
    OPENSSL_free(key);
    X509_free(certificate);
    BIO_free(bio);
    return done;
}
