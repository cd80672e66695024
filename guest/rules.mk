# SPDX-License-Identifier: BSD-2-Clause
# What the loader of guests needs, and the Linux guest, for the top-level Makefile to include.

# --- The ACPI code of a guest's machine, as a C array ------------------------------------------------------

$(BUILD)/dsdt.h: guest/load/dsdt.asl dev/platform_map.h | $(PACKAGES)
	$(call say,IASL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -E -P -x c -undef -I. $< -o $(BUILD)/dsdt.asl
	$(Q)iasl -we -p $(BUILD)/dsdt -tc $(BUILD)/dsdt.asl >$(BUILD)/dsdt.log || { cat $(BUILD)/dsdt.log; exit 1; }
	$(Q){ echo '#pragma once'; sed -n '/^unsigned char/,/^}/p' $(BUILD)/dsdt.hex | \
		sed 's/unsigned char dsdt_aml_code/static const unsigned char dsdt_aml/'; } >$@

$(addsuffix /guest/load/acpi.o,$(addprefix $(BUILD)/,obj unit/obj fuzz/obj)): $(BUILD)/dsdt.h

# --- The Linux guest (docs/linux.md) -----------------------------------------------------------------------

LINUX_PROGRAMS := $(patsubst %,$(BUILD)/guest/linux/%,netd downtime writer xdp)

.PHONY: linux-guest
linux-guest: $(BUILD)/guest/vmlinuz $(BUILD)/guest/initramfs.cpio ## the kernel and initramfs of the Linux guest

test: linux-guest # the system tests boot it

$(BUILD)/guest/linux/%: guest/linux/%.c guest/linux/serve.c guest/linux/serve.h | $(PACKAGES)
	@mkdir -p $(@D)
	$(call say,GUESTCC,$@)
	$(Q)$(CC) -std=gnu11 -O2 -D_GNU_SOURCE $(WARNINGS) -I. -static -s $(filter %.c,$^) -o $@

$(BUILD)/guest/vmlinuz: $(DEPS)/linux/vmlinuz
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(BUILD)/guest/initramfs.cpio: guest/linux/mkinitramfs $(LINUX_PROGRAMS) $(shell find guest/linux/rootfs -type f) \
		$(DEPS)/linux/vmlinuz
	$(call say,CPIO,$@)
	$(Q)guest/linux/mkinitramfs $@ $(DEPS)/linux/modules $(LINUX_PROGRAMS)

# The same with the kernel of another suite of Debian: vmlinuz-SUITE and initramfs-SUITE.cpio.
other-kernel = { [ -e $(DEPS)/linux-$(1)/vmlinuz ] || \
		tools/fetch kernel linux-image-cloud-amd64 $(DEPS)/linux-$(1) $(1); } && \
	cp $(DEPS)/linux-$(1)/vmlinuz $(BUILD)/guest/vmlinuz-$(1) && \
	guest/linux/mkinitramfs $(BUILD)/guest/initramfs-$(1).cpio $(DEPS)/linux-$(1)/modules $(LINUX_PROGRAMS)

linux-guest-%: $(BUILD)/guest/initramfs.cpio
	$(call say,FETCH,linux-image-cloud-amd64 of $*)
	$(Q)$(call other-kernel,$*)

# The one that a test boots. It is of a release that ended: bullseye.missing says why there is none.
test: $(BUILD)/guest/initramfs-bullseye.cpio

$(BUILD)/guest/initramfs-bullseye.cpio: $(BUILD)/guest/initramfs.cpio
	$(call say,CPIO,$@)
	$(Q)rm -f $(@D)/bullseye.missing
	$(Q){ $(call other-kernel,bullseye); } 2>$(@D)/bullseye.log || \
		tail -n 1 $(@D)/bullseye.log | tee $(@D)/bullseye.missing

# The same with programs that take a processor to task. selftests.missing says why there is no selftests.cpio.
LINUX_SOURCE_VERSION := 6.1.176-1

.PHONY: linux-selftests
linux-selftests: $(BUILD)/guest/vmlinuz $(BUILD)/guest/selftests.cpio

test: linux-selftests

$(BUILD)/guest/selftests.cpio: tests/linux/mkselftests tests/linux/selftests $(BUILD)/guest/initramfs.cpio
	$(call say,CPIO,$@)
	$(Q)rm -f $(@:cpio=missing)
	$(Q)if tests/linux/mkselftests $(DEPS)/selftests $(LINUX_SOURCE_VERSION) 2>$(@:cpio=log); then \
		guest/linux/mkinitramfs $@ $(DEPS)/linux/modules $(LINUX_PROGRAMS) tests/linux/selftests \
			$(DEPS)/selftests/bin/*_32 $(DEPS)/selftests/bin/*_64; \
	else tail -n 1 $(@:cpio=log) | tee $(@:cpio=missing); fi

$(BUILD)/guest/stress.cpio: tests/linux/stress $(BUILD)/guest/initramfs.cpio
	$(call say,CPIO,$@)
	$(Q)tools/setup $(BUILD)/guest/stress.versions stress-ng
	$(Q)guest/linux/mkinitramfs $@ $(DEPS)/linux/modules $(LINUX_PROGRAMS) tests/linux/stress \
		$$(command -v stress-ng)

# redis-tools has the server's program under another name, and starts none.
$(BUILD)/guest/traces.cpio: tests/linux/workload $(BUILD)/guest/initramfs.cpio
	$(call say,CPIO,$@)
	$(Q)tools/setup $(BUILD)/guest/traces.versions redis-tools
	$(Q)mkdir -p $(BUILD)/guest/traces
	$(Q)cp -L /usr/bin/redis-check-rdb $(BUILD)/guest/traces/redis-server
	$(Q)guest/linux/mkinitramfs $@ $(DEPS)/linux/modules $(LINUX_PROGRAMS) tests/linux/workload \
		$(BUILD)/guest/traces/redis-server /usr/bin/redis-benchmark /usr/bin/redis-cli
