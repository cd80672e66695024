/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP streams whose contents the client can check.
 *
 *   7   echo     sends back what comes
 *   9   discard  reads to the end, then answers "BYTES CRC32\n" (the CRC of zlib and Ethernet, hexadecimal)
 *   19  source   reads a decimal count and a newline, then sends so many bytes of the pattern
 *
 * The pattern is an endless array of 64-bit little-endian words; word i is i * 9E3779B97F4A7C15h.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/linux/serve.h"

#define GOLDEN 0x9E3779B97F4A7C15ULL
#define CRC_POLYNOMIAL 0xEDB88320U

static _Alignas(8) unsigned char buffer[64 << 10];
static uint32_t crc_table[8][256]; /* [k][b]: byte b followed by k zero bytes */

static void crc_init(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
        crc_table[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            crc_table[k][byte] = crc_table[k - 1][byte] >> 8 ^ crc_table[0][crc_table[k - 1][byte] & 0xFF];
}

/* Eight bytes a step. */
static uint32_t crc_add(uint32_t crc, const unsigned char *data, size_t size)
{
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;

        memcpy(&word, data, 8);
        word ^= crc;
        crc = 0;
        for (int i = 0; i < 8; i++)
            crc ^= crc_table[7 - i][word >> 8 * i & 0xFF];
    }
    while (size--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *data++) & 0xFF];
    return ~crc;
}

static void echo(int fd)
{
    ssize_t size;

    while ((size = read(fd, buffer, sizeof(buffer))) > 0)
        if (serve_send(fd, buffer, (size_t)size))
            return;
}

static void discard(int fd)
{
    unsigned long long total = 0;
    uint32_t crc = 0;
    ssize_t size;

    while ((size = read(fd, buffer, sizeof(buffer))) > 0) {
        crc = crc_add(crc, buffer, (size_t)size);
        total += (unsigned long long)size;
    }
    if (size == 0)
        serve_print(fd, "%llu %08x\n", total, crc);
}

/* The number in a line, which may come in pieces; 0 if there is none. */
static unsigned long long read_count(int fd)
{
    char line[32];
    size_t have = 0;

    while (have < sizeof(line) - 1) {
        ssize_t size = read(fd, line + have, sizeof(line) - 1 - have);

        if (size <= 0)
            return 0;
        have += (size_t)size;
        line[have] = 0;
        if (strchr(line, '\n'))
            return strtoull(line, NULL, 10);
    }
    return 0;
}

static void source(int fd)
{
    unsigned long long left = read_count(fd);
    uint64_t word = 0;

    while (left) {
        size_t size = left < sizeof(buffer) ? left : sizeof(buffer);

        for (size_t i = 0; i < sizeof(buffer) / 8; i++, word += GOLDEN)
            memcpy(buffer + 8 * i, &word, 8);
        if (serve_send(fd, buffer, size))
            return;
        left -= size;
    }
}

static const struct {
    uint16_t port;
    void (*serve)(int fd);
} services[] = { { 7, echo }, { 9, discard }, { 19, source } };

#define SERVICES (sizeof(services) / sizeof(services[0]))

static void accept_one(int listener, void (*serve)(int fd))
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0)
        return;
    if (fork() == 0) {
        serve(fd);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    close(fd);
}

int main(void)
{
    struct pollfd listeners[SERVICES];

    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    crc_init();
    for (size_t i = 0; i < SERVICES; i++)
        listeners[i] = (struct pollfd){ .fd = serve_listen(services[i].port), .events = POLLIN };
    serve_in_background();
    for (;;) {
        if (poll(listeners, SERVICES, -1) < 0)
            continue;
        for (size_t i = 0; i < SERVICES; i++)
            if (listeners[i].revents & POLLIN)
                accept_one(listeners[i].fd, services[i].serve);
    }
}
