/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the hypervisor's segments begin and end; the linker script (linker/godwit.lds) defines these, all page aligned.
 */
#pragma once

extern char __image_start[]; /* text: read, execute */
extern char __text_end[];
extern char __rodata_start[]; /* read */
extern char __rodata_end[];
extern char __data_start[]; /* data and bss: read, write */
extern char __image_end[];
