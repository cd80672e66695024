# SPDX-License-Identifier: BSD-2-Clause
# BOOTX64.EFI, by Debian's gnu-efi: position-independent objects, linked as an ELF shared object with gnu-efi's start-up
# code, whose sections objcopy then puts into a PE file. Included by the top-level Makefile.

BUILD ?= build
LD ?= ld
OBJCOPY ?= objcopy

EFI_INC ?= /usr/include/efi
EFI_LIB ?= /usr/lib

EFI_SRC := $(sort $(wildcard boot/*.c config/*.c))
EFI_OBJ := $(EFI_SRC:%.c=$(BUILD)/boot/efi/%.o)

# Copies are REP: gnu-efi's functions go byte by byte, which takes an emulator longer than to read the guests' files.
# GNU_EFI_USE_MS_ABI lets the compiler call firmware functions through their prototypes; gnu-efi's ASCII strings are
# unsigned, ours are not.
EFI_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fpic -fshort-wchar -mno-red-zone -mgeneral-regs-only \
              -maccumulate-outgoing-args -fno-stack-protector -fcf-protection=none -fno-strict-aliasing \
              -minline-all-stringops -mmemcpy-strategy=rep_8byte:-1:noalign -mmemset-strategy=rep_8byte:-1:noalign \
              -Wall -Wextra -Wshadow -Wundef -Wmissing-prototypes -Wstrict-prototypes -Wno-pointer-sign -Werror \
              -DGNU_EFI_USE_MS_ABI -I. -isystem $(EFI_INC) -isystem $(EFI_INC)/x86_64

EFI_LDFLAGS := -nostdlib -znocombreloc -znoexecstack -shared -Bsymbolic --no-undefined --warn-common \
               -T $(EFI_LIB)/elf_x86_64_efi.lds

EFI_SECTIONS := .text .sdata .data .dynamic .dynsym .rel .rela .rel.* .rela.* .reloc

$(BUILD)/boot/efi/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(EFI_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/boot/BOOTX64.so: $(EFI_OBJ)
	$(LD) $(EFI_LDFLAGS) $(EFI_LIB)/crt0-efi-x86_64.o $^ -o $@ $(EFI_LIB)/libefi.a $(EFI_LIB)/libgnuefi.a

$(BUILD)/boot/BOOTX64.EFI: $(BUILD)/boot/BOOTX64.so
	$(OBJCOPY) $(addprefix -j ,$(EFI_SECTIONS)) --target=efi-app-x86_64 $< $@

-include $(EFI_OBJ:.o=.d)
