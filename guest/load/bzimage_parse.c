/* SPDX-License-Identifier: BSD-2-Clause */
/* The check and the layout of a bzImage. */
#include <string.h>

#include "guest/load/boot_params.h"
#include "guest/load/bzimage.h"
#include "host/bits.h"
#include "mm/guest_mem.h"

#define LOWEST_KERNEL MiB(1)
#define HIGHEST_KERNEL GUEST_PCI_HOLE_BASE /* there is no RAM in the PCI hole */

#define SECTOR 512
#define PARAGRAPH 16 /* unit of syssize */
#define DEFAULT_SETUP_SECTS 4
#define BOOT_FLAG_MAGIC 0xAA55
#define HEADER_MAGIC_HDRS 0x53726448 /* "HdrS" */
#define VERSION_MIN 0x020C           /* Linux 3.8: xloadflags */
#define LOADED_HIGH BIT(0)
#define XLF_KERNEL_64 BIT(0)
#define XLF_CAN_BE_LOADED_ABOVE_4G BIT(1)

static u64 get(const u8 *header, unsigned offset, unsigned bytes)
{
    u64 value = 0;

    memcpy(&value, header + offset, bytes);
    return value;
}

bool bzimage_probe(const u8 *file, u64 size)
{
    return size >= VERSION && get(file, BOOT_FLAG, 2) == BOOT_FLAG_MAGIC &&
           get(file, HEADER_MAGIC, 4) == HEADER_MAGIC_HDRS;
}

/* Is it a kernel that can be entered in 64-bit mode? */
static const char *check_header(const u8 *file, u64 size)
{
    if (!bzimage_probe(file, size))
        return "not a Linux bzImage";
    if (size < HEADER_END || SETUP_SECTS + (u64)HEADER_ROOM > size)
        return "a Linux bzImage that is cut off in its setup header";
    if (get(file, VERSION, 2) < VERSION_MIN)
        return "a Linux bzImage older than boot protocol 2.12: take Linux 3.8 or later";
    if (!(get(file, LOADFLAGS, 1) & LOADED_HIGH))
        return "a Linux zImage, which loads below 1 MiB: build a bzImage";
    if (!(get(file, XLOADFLAGS, 2) & XLF_KERNEL_64))
        return "a Linux bzImage without a 64-bit entry: take a 64-bit (amd64) kernel";
    if (HEADER_MAGIC + get(file, JUMP_LENGTH, 1) < HEADER_END)
        return "a Linux bzImage whose setup header is shorter than its version says";
    return NULL;
}

static const char *find_code(struct bzimage *kernel, const u8 *file, u64 size)
{
    u64 sectors = get(file, SETUP_SECTS, 1);

    kernel->code = ((sectors ? sectors : DEFAULT_SETUP_SECTS) + 1) * SECTOR;
    kernel->code_size = get(file, SYSSIZE, 4) * PARAGRAPH;
    if (kernel->code_size <= ENTRY_64)
        return "a Linux bzImage without a protected-mode part";
    if (kernel->code > size || kernel->code_size >= size - kernel->code + PARAGRAPH)
        return "a Linux bzImage that is cut off: the file is shorter than its header says";
    kernel->code_size = MIN(kernel->code_size, size - kernel->code); /* syssize is rounded up, the file need not be */
    kernel->header = file + SETUP_SECTS;
    kernel->header_size = MIN(HEADER_MAGIC + get(file, JUMP_LENGTH, 1) - SETUP_SECTS, (u64)HEADER_ROOM);
    return NULL;
}

/*
 * A kernel is always loaded at the address that it prefers. A relocatable kernel would start elsewhere, but 64-bit
 * kernels move up to that address before they unpack themselves: a lower address saves no memory.
 */
static const char *place_kernel(struct bzimage *kernel, const struct bzimage_request *request)
{
    u64 align = get(request->file, KERNEL_ALIGNMENT, 4);

    kernel->base = get(request->file, PREF_ADDRESS, 8);
    kernel->init_size = get(request->file, INIT_SIZE, 4);
    if (align < PAGE_SIZE || (align & (align - 1)) || !is_aligned(kernel->base, align))
        return "a Linux bzImage whose pref_address and kernel_alignment contradict each other";
    if (kernel->base < LOWEST_KERNEL || kernel->base > HIGHEST_KERNEL)
        return "a Linux bzImage whose pref_address is impossible";
    if (kernel->code_size > kernel->init_size)
        return "a Linux bzImage with an init_size smaller than itself";
    kernel->needs = kernel->base + kernel->init_size;
    return kernel->needs > request->low_ram ? "the kernel does not fit into the guest's memory" : NULL;
}

/* Place the initrd as high as the kernel accepts it, so that it is out of the way: below 4 GiB if there is room, else
 * above. */
static const char *place_initrd(struct bzimage *kernel, const struct bzimage_request *request)
{
    u64 size = request->initrd_size, end = kernel->base + kernel->init_size;
    u64 limit = MIN(request->low_ram, get(request->file, INITRD_ADDR_MAX, 4) + 1);
    bool above = get(request->file, XLOADFLAGS, 2) & XLF_CAN_BE_LOADED_ABOVE_4G;

    if (!size)
        return NULL;
    if (size <= limit && align_down(limit - size, PAGE_SIZE) >= end) {
        kernel->initrd = align_down(limit - size, PAGE_SIZE);
        return NULL;
    }
    if (above && size <= request->high_ram) {
        kernel->initrd = GUEST_PCI_HOLE_END + align_down(request->high_ram - size, PAGE_SIZE);
        return NULL;
    }
    kernel->needs = align_up(end + size, PAGE_SIZE);
    return "the initrd does not fit beside the kernel";
}

const char *bzimage_parse(struct bzimage *kernel, const struct bzimage_request *request)
{
    const char *reason = check_header(request->file, request->size);

    memset(kernel, 0, sizeof(*kernel));
    if (!reason)
        reason = find_code(kernel, request->file, request->size);
    if (!reason && request->cmdline_length > get(request->file, CMDLINE_SIZE, 4))
        reason = "the command line is longer than the kernel takes (cmdline_size of its header)";
    if (!reason)
        reason = place_kernel(kernel, request);
    if (!reason)
        reason = place_initrd(kernel, request);
    return reason;
}
