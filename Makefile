# SPDX-License-Identifier: BSD-2-Clause
#
# Builds, runs and tests Godwit. `make help` lists the targets; docs/building.md explains them.
#
# One make, no recursion: boot/rules.mk, guest/rules.mk, tests/guests/rules.mk, tools/deps.mk and tools/dev.mk are parts
# of this file. Sources are found by directory. All output is in build/.

BUILD := build
OBJ := $(BUILD)/obj
DEPS := $(BUILD)/deps

V ?= 0
# 1: what is booted, by run and by the system tests, is the debug image.
DEBUG ?= 0
export DEBUG
Q := $(if $(filter-out 0,$(V)),,@)
say = @printf '  %-8s%s\n' '$(1)' '$(2)'

CC := gcc
AR := ar
OBJCOPY := objcopy

$(if $(Q),$(eval .SILENT:))

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help debug run demo demo-failover lab unit fuzz model check test \
	bench bench-seal lab-downtime lab-dirty lab-precopy lab-modes traces soak proof proof-failover clean deps size format
.PHONY: programs unit-programs soak-moves soak-postcopy soak-images selftests FORCE

all: $(BUILD)/godwit.elf $(if $(filter-out 0,$(DEBUG)),debug)

help: ## list the targets
	@sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 30
	@echo '  V=1 shows commands; DEBUG=1 boots the debug image; make run takes EMU= CPUS= MEM= NET= CONFIG= TIMEOUT='

# --- Flags -------------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wundef -Wmissing-prototypes -Wstrict-prototypes -Werror

# General registers only: the vector registers hold a guest's state while the hypervisor runs. The functions of
# tls/chacha20_vector.c have attributes that say otherwise.
# Copies of small constant size are moves in line, others newlib's: never REP, which has a start-up of tens of cycles.
INLINE_COPY := unrolled_loop:64:noalign,libcall:-1:noalign
CODEGEN := -ffreestanding -fbuiltin -mmemcpy-strategy=$(INLINE_COPY) -mmemset-strategy=$(INLINE_COPY) -fno-pic \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-omit-frame-pointer \
	-fno-stack-protector -fcf-protection=none -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables

# No header of the build machine is visible: newlib's and the compiler's own, nothing else.
GCC_INCLUDE = $(eval GCC_INCLUDE := $(shell $(CC) -print-file-name=include))$(GCC_INCLUDE)
HV_INCLUDE = -I. -nostdinc -isystem $(NEWLIB)/include -isystem $(GCC_INCLUDE)

CFLAGS_HV = -std=gnu11 -O2 -g -DGODWIT_DEBUG=0 $(CODEGEN) $(WARNINGS) $(HV_INCLUDE)

# What finds our own mistakes is for tests, not for users: docs/debug.md. -O2 would take half as long again to compile.
NETS := -fstack-protector-strong -mstack-protector-guard=global -fsanitize=undefined -fno-sanitize=return
HEAP_NET := -Wl,--wrap=_malloc_r -Wl,--wrap=_free_r
CFLAGS_DEBUG = $(patsubst -DGODWIT_DEBUG=0,-DGODWIT_DEBUG=1,$(CFLAGS_HV:-O2=-O1)) -DGODWIT_NETS \
	-Wno-maybe-uninitialized $(NETS)
LDFLAGS_HV := -nostdlib -static -no-pie -Wl,-T,linker/godwit.lds -Wl,--gc-sections -Wl,--build-id=none \
	-Wl,--orphan-handling=error -Wl,--fatal-warnings -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack

CFLAGS_HOST := -std=gnu11 -O1 -g -D_GNU_SOURCE $(WARNINGS) -I.
CFLAGS_UNIT := $(CFLAGS_HOST) -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
	$(COVERAGE)

include tools/deps.mk
-include boot/rules.mk
-include guest/rules.mk
-include tests/guests/rules.mk
include tools/dev.mk

all: $(BUILD)/godwit.elf $(LOADER)/BOOTX64.EFI $(GUEST_ELFS) ## build hypervisor, loader, test guests and tools

# --- The hypervisor ----------------------------------------------------------------------------------------

# The rooms, lowest first, with the two parts of hv: `tools/check rooms` compares the list with its own.
HV_DIRS := config host mm tls net hv hv/vmx hv/svm dev guest/load stream policy dirty owners migrate protect save \
	control start
CONFIG_SRC := $(wildcard config/*.c)
HV_SRC := $(wildcard $(HV_DIRS:%=%/*.c) $(HV_DIRS:%=%/*.S))
HV_SRC_STEMS := $(basename $(HV_SRC))
HV_OBJ := $(HV_SRC_STEMS:%=$(OBJ)/%.o)

# An image and its objects: directory, name of the variable with its flags, further flags of the linker. Each has a
# directory of its own, so that no debug image is ever taken for a release one. The libraries are the same in both.
define image-rules
# What the objects were compiled with: a change of flags rebuilds them.
$(1)/obj/flags: FORCE | $$(PACKAGES)
	@mkdir -p $$(@D)
	@echo '$$(CC) $$($(2))' | cmp -s - $$@ || echo '$$(CC) $$($(2))' >$$@

$(1)/obj/%.o: %.c $(1)/obj/flags | $$(LIBC) $$(LWIP_READY) $$(MBEDTLS_READY)
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)
	$$(Q)$$(CC) $$($(2)) $$(CFLAGS_DIR) -MMD -MP -c $$< -o $$@

$(1)/obj/%.o: %.S $(1)/obj/flags | $$(LIBC)
	@mkdir -p $$(@D)
	$$(call say,AS,$$<)
	$$(Q)$$(CC) $$(filter-out $$(NETS),$$($(2))) -D__ASSEMBLY__ -MMD -MP -c $$< -o $$@

# Only net/ sees lwIP.
$(1)/obj/net/%.o: CFLAGS_DIR = $$(LWIP_INCLUDE)

# Only tls/ sees mbedTLS.
$(1)/obj/tls/%.o: CFLAGS_DIR = $$(MBEDTLS_INCLUDE)

# Only tls/poly1305_alt.c sees libsodium.
$(1)/obj/tls/poly1305_alt.o: CFLAGS_DIR = $$(MBEDTLS_INCLUDE) $$(LIBSODIUM_INCLUDE)
$(1)/obj/tls/poly1305_alt.o: $$(LIBSODIUM_READY)

# Only owners/etcd.c sees jsmn.
$(1)/obj/owners/etcd.o: CFLAGS_DIR = $$(JSMN_INCLUDE)
$(1)/obj/owners/etcd.o: | $$(JSMN)

$(1)/godwit.debug: $$(HV_SRC_STEMS:%=$(1)/obj/%.o) $$(LIBLWIP) $$(LIBMBEDTLS) $$(LIBC) linker/godwit.lds
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS_HV) $(3) -Wl,-Map,$(1)/godwit.map $$(filter %.o %.a,$$^) -o $$@

# The image that is booted: with symbols for backtraces, without DWARF.
$(1)/godwit.elf: $(1)/godwit.debug
	$$(call say,OBJCOPY,$$@)
	$$(Q)$$(OBJCOPY) --strip-debug $$< $$@
endef
$(eval $(call image-rules,$(BUILD),CFLAGS_HV,))
$(eval $(call image-rules,$(BUILD)/debug,CFLAGS_DEBUG,$(HEAP_NET)))

debug: $(BUILD)/debug/godwit.elf ## build the image that catches our own mistakes; DEBUG=1 makes run and test use it

SIZE_LIMIT := 1048576

size: $(BUILD)/godwit.elf ## print the lines of each room, and the size of the image without symbols; fail above 1 MiB
	@tools/check --sizes
	@$(OBJCOPY) --strip-all $< $(BUILD)/godwit.stripped
	@size $(BUILD)/godwit.stripped
	@bytes=$$(stat -c %s $(BUILD)/godwit.stripped); echo "stripped image: $$bytes bytes of $(SIZE_LIMIT)"; \
		test $$bytes -le $(SIZE_LIMIT)

# --- Tools that run on the build machine -------------------------------------------------------------------

TOOLS := $(patsubst tools/%.c,$(BUILD)/tools/%,$(wildcard tools/*.c))
all: $(TOOLS)

$(BUILD)/tools/cfgcheck: $(CONFIG_SRC)
$(BUILD)/tools/replay: policy/policy.c policy/predict.c policy/policy.h policy/predict.h stream/wire.h

$(BUILD)/tools/%: tools/%.c | $(PACKAGES)
	@mkdir -p $(@D)
	$(call say,HOSTCC,$@)
	$(Q)$(CC) $(CFLAGS_HOST) $(filter %.c,$^) -o $@

$(TOOLS): config/config.h

# The firmware of the emulators.
OVMF := /usr/share/ovmf/OVMF.fd
all: $(BUILD)/OVMF.fd

$(BUILD)/OVMF.fd: tools/firmware $(OBJ)/tools/firmware.bin $(wildcard $(OVMF)) | $(PACKAGES)
	@mkdir -p $(@D)
	$(call say,OVMF,$@)
	$(Q)tools/firmware $(OVMF) $(OBJ)/tools/firmware.bin $@

$(OBJ)/tools/firmware.bin: tools/firmware.S | $(PACKAGES)
	@mkdir -p $(@D)
	$(Q)$(CC) -c $< -o $(@:.bin=.o)
	$(Q)$(OBJCOPY) -O binary -j .text $(@:.bin=.o) $@

# The administrator's command-line tool. It shows answers as the serial monitor does, with the same code.
all: $(BUILD)/tools/godwit

# It judges images with the hypervisor's own code.
GODWIT_SRC := control/text.c stream/record.c stream/crc32c.c stream/ram.c stream/ram_digest.c dev/codec.c

$(BUILD)/tools/godwit: $(wildcard tools/godwit/*.c tools/godwit/*.h) $(GODWIT_SRC) $(GODWIT_SRC:.c=.h) | $(PACKAGES)
	@mkdir -p $(@D)
	$(call say,HOSTCC,$@)
	$(Q)$(CC) $(CFLAGS_HOST) $(filter %.c,$^) -lcurl -lcrypto -ljansson -o $@

# --- Unit tests: one program per tests/unit/ROOM/test_*.c; its "sources:" and "libs:" lines name what it links ----

UNIT_SRC := $(wildcard tests/unit/*/test_*.c)
UNIT := $(patsubst %.c,$(BUILD)/unit/%,$(notdir $(UNIT_SRC)))
TEST_PROGRAMS := $(UNIT_SRC) $(wildcard tests/host/*.c tests/fuzz/*.c)
unit-sources = $(sources-of-$(1))
unit-libs = $(libs-of-$(1))

# What those lines say, as variables: sources-of-tests/unit/test_x.c := ...
$(BUILD)/tests.mk: $(TEST_PROGRAMS)
	@mkdir -p $(@D)
	@awk '/^\/\* (sources|libs): .* \*\/$$/ { \
		kind = substr($$2, 1, length($$2) - 1); gsub(/^\/\* [a-z]*: | \*\/$$/, ""); \
		print kind "-of-" FILENAME " += " $$0 }' $^ >$@
-include $(BUILD)/tests.mk
unit-objects = $(patsubst %.c,$(BUILD)/unit/obj/%.o,$(1) $(call unit-sources,$(1)))

$(BUILD)/unit/obj/%.o: %.c | $(PACKAGES)
	@mkdir -p $(@D)
	$(call say,UNITCC,$<)
	$(Q)$(CC) $(CFLAGS_UNIT) -DGODWIT_DEBUG=1 -DGODWIT_UNIT -MMD -MP -c $< -o $@

define unit-rule
$(BUILD)/unit/$(basename $(notdir $(1))): $(call unit-objects,$(1))
	$$(call say,UNITLD,$$@)
	$$(Q)$$(CC) $$(CFLAGS_UNIT) $$^ $(call unit-libs,$(1)) -lcmocka -o $$@
endef
$(foreach t,$(UNIT_SRC),$(eval $(call unit-rule,$(t))))

# What only tls/ sees.
TLS_UNIT := $(patsubst %,$(BUILD)/unit/test_%,authority certificate chacha20 chacha20_choice curve25519 handshake \
	keyring poly1305 seal tokens)
$(TLS_UNIT): $(MBEDTLS_UNIT)
$(TLS_UNIT) $(BUILD)/unit/obj/tls/%.o: CFLAGS_UNIT += $(MBEDTLS_INCLUDE)

$(BUILD)/unit/obj/tls/poly1305_alt.o: CFLAGS_UNIT += $(LIBSODIUM_INCLUDE)
$(BUILD)/unit/obj/tls/poly1305_alt.o: $(MBEDTLS_READY) $(LIBSODIUM_READY)

# It compares names of no length, which are nowhere.
$(MBEDTLS_UNIT_OBJ): CFLAGS_UNIT += -fno-sanitize=nonnull-attribute

# What only net/ sees.
TCP_UNIT := $(BUILD)/unit/test_tcp $(BUILD)/unit/test_tcp_stream $(BUILD)/unit/test_tls_pcb
$(TCP_UNIT): $(LWIP_UNIT) $(MBEDTLS_UNIT)
$(TCP_UNIT) $(BUILD)/unit/obj/net/tcp_%.o $(BUILD)/unit/obj/net/tls_%.o $(BUILD)/unit/obj/tests/unit/tcp_rig.o: \
	CFLAGS_UNIT += $(LWIP_INCLUDE)

unit-programs: $(UNIT)

unit: $(UNIT) ## run the unit tests on this machine, with address and undefined-behaviour checks
	@tools/test unit

# Parts of the hypervisor as programs of this machine, for system tests: one per tests/host/*.c.
HOST := $(patsubst tests/host/%.c,$(BUILD)/host/%,$(wildcard tests/host/*.c))

define host-rule
$(BUILD)/host/$(1): $(call unit-objects,tests/host/$(1).c)
	@mkdir -p $$(@D)
	$$(call say,UNITLD,$$@)
	$$(Q)$$(CC) $$(CFLAGS_UNIT) $$^ -lcmocka -o $$@
endef
$(foreach t,$(notdir $(HOST)),$(eval $(call host-rule,$(t))))

# Fuzzers: one libFuzzer program per tests/fuzz/*.c, with the same "sources:" line.
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*.c))
FUZZ_RUNS ?= 200000

CFLAGS_FUZZ := -std=gnu11 -O1 -g -DGODWIT_DEBUG=1 -D_GNU_SOURCE -I. \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
fuzz-objects = $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(1) $(call unit-sources,$(1)))

$(BUILD)/fuzz/obj/%.o: %.c | $(PACKAGES)
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)
	$(Q)clang $(CFLAGS_FUZZ) -MMD -MP -c $< -o $@

define fuzz-rule
$(BUILD)/fuzz/$(1): $(call fuzz-objects,tests/fuzz/$(1).c)
	$$(call say,FUZZLD,$$@)
	$$(Q)clang $$(CFLAGS_FUZZ) $$^ $(call unit-libs,tests/fuzz/$(1).c) -o $$@
endef
$(foreach f,$(notdir $(FUZZ)),$(eval $(call fuzz-rule,$(f))))

# What only tls/ and net/ see; the libraries are those of the unit tests.
$(addprefix $(BUILD)/fuzz/fuzz_,keyring tokens tls_in tls_pcb): $(MBEDTLS_UNIT)
$(addprefix $(BUILD)/fuzz/fuzz_,tls_in tls_pcb): $(LWIP_UNIT)
$(BUILD)/fuzz/obj/tls/%.o: CFLAGS_FUZZ += $(MBEDTLS_INCLUDE)
$(BUILD)/fuzz/obj/net/tcp_%.o $(BUILD)/fuzz/obj/net/tls_%.o $(BUILD)/fuzz/obj/tests/fuzz/fuzz_tls_%.o \
	$(BUILD)/fuzz/obj/tests/unit/tcp_rig.o: \
	CFLAGS_FUZZ += $(LWIP_INCLUDE)

fuzz: $(FUZZ) ## run every fuzzer for FUZZ_RUNS inputs
	@for f in $(FUZZ); do echo "  FUZZ    $$f"; $$f -runs=$(FUZZ_RUNS) -seed=1 -verbosity=0 || exit 1; done

model: | $(PACKAGES) ## check the protocol's models with spin, and that they find what once was wrong
	@tools/model

# --- Running and testing -----------------------------------------------------------------------------------

EMU ?= auto
CPUS ?= 1
# Empty: what CONFIG needs.
MEM ?=
# Empty: no network card.
NET ?=
CONFIG ?= guest/demo.cfg
TIMEOUT ?= 0
RUN = tools/run --emu $(EMU) --cpus $(CPUS) $(if $(MEM),--mem $(MEM)) $(if $(NET),--net $(NET)) --timeout $(TIMEOUT)

run: all ## boot CONFIG=file in EMU=qemu|bochs|kvm|auto with CPUS=n processors, MEM=m MiB, NET=user or a tap
	@$(RUN) $(CONFIG)

demo: all linux-guest $(PLOTS) ## move a Linux guest live to another hypervisor and back, while a client talks to it
	@tools/demo

demo-failover: all linux-guest $(PLOTS) $(ETCD) ## kill the machine of a protected Linux guest, twice
	@tools/demo-failover

lab: all linux-guest ## two hypervisors, guests, and a shell on their network, until it ends; EMU=bochs: with VT-x
	@tools/lab $(if $(filter bochs,$(EMU)),--emu bochs)

programs: $(UNIT) $(HOST) $(FUZZ) $(ETCD) debug # the tests' programs, built and not run

format: ## format all C code as make check wants it
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

check: all ## check format, lint, headers, dependency rules, registers used, sizes
	@tools/check

# A part of the names of the tests that run; empty: all.
T ?=

test: $(PLOTS) $(ETCD) ## build all, then unit tests, fuzzers, checks and system tests on both; T=NAME: tests so named
	+@MAKE='$(MAKE)' T='$(T)' tools/test

bench: all linux-guest ## measure the machine, Linux in it and in plain QEMU, moves beside those of KVM; half an hour
	@tests/bench/boot
	@tests/bench/linux
	@tests/bench/peer --load idle --load network --load writer-2000 --pairs 2 --minutes 15

# The hypervisor's own objects in a program of this machine, where all addresses have 31 bits, as they want it.
SEAL_OBJ := $(patsubst %,$(OBJ)/tls/%.o,seal chacha20 chacha20_vector poly1305_alt)

$(BUILD)/bench/seal: tests/bench/seal.c $(SEAL_OBJ) $(LIBMBEDTLS)
	@mkdir -p $(@D)
	$(call say,HOSTCC,$@)
	$(Q)$(CC) $(CFLAGS_HOST) -O2 -no-pie -Wl,--gc-sections $^ -o $@

bench-seal: $(BUILD)/bench/seal ## MB/s of encrypted records on this machine's processor, by each code for the cipher
	@$<

lab-dirty: all $(PLOTS) ## what seeing writes costs, by each means, exactly; QUICK=1: minutes
	@tests/bench/lab-dirty $(if $(filter-out 0,$(QUICK)),--quick)

lab-precopy: all $(PLOTS) ## moves at D/R 0 to 2, predicted and measured; QUICK=1: minutes
	@tests/bench/lab-precopy $(if $(filter-out 0,$(QUICK)),--quick)

lab-modes: all linux-guest $(PLOTS) ## a guest moved by each mode, at D/R 0 to 2: MOVES=5 by each; QUICK=1: minutes
	@tests/bench/lab-modes $(if $(filter-out 0,$(QUICK)),--quick) $(if $(filter-out 0,$(MOVES)),--moves $(MOVES))

lab-downtime: all linux-guest $(PLOTS) ## the course's experiment: MOVES=10 there and back, live and by stop-and-copy
	@tests/bench/lab-downtime $(if $(filter-out 0,$(MOVES)),--moves $(MOVES))

traces: all linux-guest $(BUILD)/guest/traces.cpio ## trace what five workloads write, into build/lab/traces
	@tests/bench/traces

SOAK ?= 100

soak: all ## boot the hello guest SOAK=100 times on both emulators with 1, 2 and 4 processors
	@tools/soak $(SOAK)

SECONDS ?= 3600
MOVES ?= 0
SEED ?=

soak-moves: all linux-guest $(BUILD)/guest/stress.cpio ## move busy guests, with faults, for SECONDS= or MOVES=n
	@tools/soak-moves --seconds $(SECONDS) --moves $(MOVES) $(if $(SEED),--seed $(SEED))

CUTS ?= 50
ON ?= qemu
GUESTS ?= mover,writer,linux

soak-postcopy: all linux-guest ## cut the link of moves by post-copy CUTS=50 times; ON=bochs, GUESTS=
	@tools/soak-postcopy --cuts $(CUTS) --emu $(ON) --guests $(GUESTS) $(if $(SEED),--seed $(SEED))

ROUNDS ?= 100

soak-images: all ## save guests and restore them ROUNDS=100 times, some with a fault; SEED=n repeats a run
	@tools/soak-images --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

selftests: all linux-selftests ## Linux's own tests of x86 in guests, before, in and after moves, on both emulators
	@tools/selftests

PROOF ?= --jobs 2

proof: all ## at each record of a move, on both sides: machines die, the link is cut, bytes change; half an hour
	@tools/proof $(PROOF)

POINTS ?=

proof-failover: all linux-guest $(ETCD) ## make machines, witness and links fail in each phase of a protection
	@tools/proof-failover $(POINTS)

deps: $(PACKAGES) $(LIBC) $(LIBLWIP) $(LIBMBEDTLS) $(LIBSODIUM_READY) ## install missing packages, make the libraries

clean: ## remove what was built; fetched packages and libraries stay (rm -r build removes all)
	$(Q)find $(BUILD) -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} + 2>/dev/null || true

-include $(HV_OBJ:.o=.d) $(HV_SRC_STEMS:%=$(BUILD)/debug/obj/%.d)
-include $(wildcard $(addprefix $(BUILD)/*/obj/,*/*.d */*/*.d */*/*/*.d))
