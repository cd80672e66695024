# SPDX-License-Identifier: BSD-2-Clause
# The test guests, for the top-level Makefile to include. Gives GUEST_ELFS and the target `guests`.
# A guest is the files of tests/guests/NAME/; tests/guests/kit is linked to each. docs/guests.md tells how to write one.

GUESTS := hello modes irq fpu memory hostile chips virtio echo smp writer mover moments fuzz lab

GUEST_CFLAGS = -std=gnu11 -O2 -g -ffreestanding -fno-builtin -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
	-fno-delete-null-pointer-checks $(WARNINGS) -I.
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,-T,linker/guest.lds -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
	-Wl,--fatal-warnings -Wl,-z,max-page-size=4096

GUEST_OBJ := $(BUILD)/obj/tests/guests
GUEST_ELFS := $(GUESTS:%=$(BUILD)/guest/%.elf)

# The objects of a directory under tests/guests/.
guest_sources = $(sort $(wildcard tests/guests/$(1)/*.c tests/guests/$(1)/*.S))
guest_objects = $(patsubst tests/guests/%,$(GUEST_OBJ)/%.o,$(call guest_sources,$(1)))

.PHONY: guests
guests: $(GUEST_ELFS)

$(GUEST_OBJ)/%.c.o: tests/guests/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

$(GUEST_OBJ)/%.S.o: tests/guests/%.S
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

define guest_link
$(BUILD)/guest/$(1).elf: $(call guest_objects,kit) $(call guest_objects,$(1)) linker/guest.lds
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(GUEST_LDFLAGS) -o $$@ $$(filter %.o,$$^)
endef
$(foreach guest,$(GUESTS),$(eval $(call guest_link,$(guest))))

-include $(foreach dir,kit $(GUESTS),$(patsubst %.o,%.d,$(call guest_objects,$(dir))))
