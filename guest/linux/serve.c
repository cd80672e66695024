/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/linux/serve.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16
#define TEXT_MAX 512

int serve_listen(uint16_t port)
{
    int on = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any };

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

void serve_in_background(void)
{
    pid_t child = fork();

    if (child > 0)
        _exit(0);
    if (child < 0)
        perror("fork"); /* who started us waits for ever, and we serve */
}

int serve_send(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent <= 0)
            return -1;
        at += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int serve_print(int fd, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return serve_send(fd, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}
