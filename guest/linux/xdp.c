/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drop all ICMP over IPv4 by an XDP program in the network driver itself, before the kernel has made a packet of it,
 * for as long as this program runs: xdp [INTERFACE] (eth0). Everything else passes.
 */
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ETH_TYPE 12 /* offsets in a frame without a VLAN tag */
#define IP_PROTOCOL 23
#define FRAME_LOOKED_AT 24          /* bytes */
#define ETH_P_IP_ON_THE_WIRE 0x0008 /* as a little-endian word */
#define IP_PROTOCOL_ICMP 1

#define INSN(c, d, s, o, i)                                                 \
    {                                                                       \
        .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) \
    }
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define SET(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)

static const struct bpf_insn drop_icmp[] = {
    LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data)),
    LOAD(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct xdp_md, data_end)),
    SET(BPF_REG_0, XDP_PASS),
    INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_4, BPF_REG_2, 0, 0),
    INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_4, 0, 0, FRAME_LOOKED_AT),
    INSN(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_4, BPF_REG_3, 5, 0), /* a shorter frame passes, and so on */
    LOAD(BPF_H, BPF_REG_5, BPF_REG_2, ETH_TYPE),
    INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 3, ETH_P_IP_ON_THE_WIRE),
    LOAD(BPF_B, BPF_REG_5, BPF_REG_2, IP_PROTOCOL),
    INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 1, IP_PROTOCOL_ICMP),
    SET(BPF_REG_0, XDP_DROP),
    INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static int bpf(int command, union bpf_attr *attr, const char *what)
{
    int fd = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

    if (fd < 0) {
        perror(what);
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    const char *interface = argc > 1 ? argv[1] : "eth0";
    union bpf_attr program = { .prog_type = BPF_PROG_TYPE_XDP,
                               .insns = (uint64_t)(uintptr_t)drop_icmp,
                               .insn_cnt = sizeof(drop_icmp) / sizeof(drop_icmp[0]),
                               .license = (uint64_t)(uintptr_t) "" };
    union bpf_attr link = { .link_create = { .target_ifindex = if_nametoindex(interface),
                                             .attach_type = BPF_XDP,
                                             .flags = XDP_FLAGS_DRV_MODE } };

    if (!link.link_create.target_ifindex) {
        fprintf(stderr, "xdp: no interface %s\n", interface);
        return 1;
    }
    link.link_create.prog_fd = bpf(BPF_PROG_LOAD, &program, "xdp: load");
    bpf(BPF_LINK_CREATE, &link, "xdp: attach in the driver"); /* which ends with the process */
    printf("xdp: ICMP is dropped in the driver of %s\n", interface);
    fflush(stdout);
    pause();
    return 0;
}
