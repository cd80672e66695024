# SPDX-License-Identifier: BSD-2-Clause
# BOOTX64.EFI, by Debian's gnu-efi: position-independent objects, linked as an ELF shared object with gnu-efi's start-up
# code, whose sections objcopy then puts into a PE file. Included by the top-level Makefile.

BUILD ?= build
LD ?= ld
OBJCOPY ?= objcopy

EFI_INC ?= /usr/include/efi
EFI_LIB ?= /usr/lib

# The loader takes only files signed by this key (docs/secure-boot.md), a private or a public one. Empty: any files.
SIGN_KEY ?=
export SIGN_KEY
# Tests link loaders with keys of theirs elsewhere.
LOADER ?= $(BUILD)/boot

EFI_SRC := $(sort $(wildcard boot/*.c config/*.c))
EFI_OBJ := $(EFI_SRC:%.c=$(BUILD)/boot/efi/%.o)

# mbedTLS judges signatures without random numbers against those who would measure a secret: the loader knows none.
EFI_MBEDTLS_HOW := -DMBEDTLS_ECP_NO_INTERNAL_RNG

# Copies are REP: gnu-efi's functions go byte by byte, which takes an emulator longer than to read the guests' files.
# GNU_EFI_USE_MS_ABI lets the compiler call firmware functions through their prototypes; gnu-efi's ASCII strings are
# unsigned, ours are not.
EFI_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fpic -fshort-wchar -mno-red-zone -mgeneral-regs-only \
              -maccumulate-outgoing-args -fno-stack-protector -fcf-protection=none -fno-strict-aliasing \
              -minline-all-stringops -mmemcpy-strategy=rep_8byte:-1:noalign -mmemset-strategy=rep_8byte:-1:noalign \
              -Wall -Wextra -Wshadow -Wundef -Wmissing-prototypes -Wstrict-prototypes -Wno-pointer-sign -Werror \
              -DGNU_EFI_USE_MS_ABI -I. -isystem $(EFI_INC) -isystem $(EFI_INC)/x86_64 $(MBEDTLS_INCLUDE) \
              $(EFI_MBEDTLS_HOW)

EFI_LDFLAGS := -nostdlib -znocombreloc -znoexecstack -shared -Bsymbolic --no-undefined --warn-common \
               -T $(EFI_LIB)/elf_x86_64_efi.lds

EFI_SECTIONS := .text .sdata .data .dynamic .dynsym .rel .rela .rel.* .rela.* .reloc

$(BUILD)/boot/efi/%.o: %.c | $(MBEDTLS_READY)
	@mkdir -p $(@D)
	$(CC) $(EFI_CFLAGS) -MMD -MP -c $< -o $@

# What it takes of mbedTLS to judge a signature, compiled for the firmware.
EFI_MBEDTLS := asn1parse bignum constant_time ecdsa ecp ecp_curves platform_util sha256
EFI_MBEDTLS_OBJ := $(EFI_MBEDTLS:%=$(BUILD)/boot/mbedtls/%.o)

$(EFI_MBEDTLS_OBJ): $(BUILD)/boot/mbedtls/%.o: $(MBEDTLS_READY) $(MBEDTLS_CONFIG) boot/rules.mk
	@mkdir -p $(@D)
	$(CC) $(filter-out -W%,$(EFI_CFLAGS)) -ffunction-sections -fdata-sections \
		-fno-asynchronous-unwind-tables -c $(MBEDTLS)/library/$*.c -o $@

# boot/signature.c with what it calls, and without functions that would want more of a libc.
EFI_SIGNATURE := $(BUILD)/boot/efi/boot/signature.o
$(BUILD)/boot/signature.o: $(EFI_SIGNATURE) $(EFI_MBEDTLS_OBJ)
	$(LD) -r --gc-sections -u signature_check $^ -o $@

# Another key, or none any more, makes another loader: that is said, because nothing else shows it.
TAKES = $(if $(SIGN_KEY),files that $(SIGN_KEY) has signed,all files, signed or not: there is no SIGN_KEY)

$(LOADER)/key.c: tools/loader-key FORCE | $(PACKAGES)
	@mkdir -p $(@D)
	@tools/loader-key $(SIGN_KEY) >$@.new
	@cmp -s $@.new $@ && rm $@.new || { mv $@.new $@; printf '  %-8s%s\n' KEY '$(LOADER)/BOOTX64.EFI takes $(TAKES)'; }

$(LOADER)/key.o: $(LOADER)/key.c boot/signature.h
	$(CC) $(EFI_CFLAGS) -c $< -o $@

$(LOADER)/BOOTX64.so: $(filter-out $(EFI_SIGNATURE),$(EFI_OBJ)) $(BUILD)/boot/signature.o $(LOADER)/key.o
	$(LD) $(EFI_LDFLAGS) $(EFI_LIB)/crt0-efi-x86_64.o $^ -o $@ $(EFI_LIB)/libefi.a $(EFI_LIB)/libgnuefi.a

$(LOADER)/BOOTX64.EFI: $(LOADER)/BOOTX64.so
	$(OBJCOPY) $(addprefix -j ,$(EFI_SECTIONS)) --target=efi-app-x86_64 $< $@

-include $(EFI_OBJ:.o=.d)
