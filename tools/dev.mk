# SPDX-License-Identifier: BSD-2-Clause
#
# A bench for developers: what editors, debuggers and readers of the code ask for. Part of the Makefile. The targets are
# explained in docs/debugging.md and docs/testing.md.

.PHONY: gdb tags coverage quick

# A Debian package that only some of these targets need.
$(DEPS)/%.package: tools/setup
	@mkdir -p $(@D)
	$(Q)tools/setup $@ $*

# What draws pictures.
PLOTS := $(DEPS)/python3-matplotlib.package

gdb: all debug $(DEPS)/gdb.package ## run CONFIG=file in QEMU under gdb, stopped before its first instruction
	@tools/gdb --cpus $(CPUS) $(if $(MEM),--mem $(MEM)) $(if $(NET),--net $(NET)) $(CONFIG)

compile_commands.json: FORCE | $(PACKAGES) ## write down for clangd how each file is compiled
	@tools/compile-commands $(MAKE) >$@

tags: $(DEPS)/universal-ctags.package ## index all names for editors
	@git ls-files '*.[chS]' | ctags -L -

COVERED := $(BUILD)/coverage

coverage: $(DEPS)/gcovr.package ## print how many lines of each room the unit tests run
	+@$(MAKE) --no-print-directory BUILD=$(COVERED) DEPS=$(DEPS) COVERAGE=--coverage unit-programs
	@tools/coverage $(COVERED)

quick: programs $(BUILD)/tools/godwit ## unit tests, all checks but the linter, a few tests in QEMU
	+@MAKE='$(MAKE)' tools/test build unit rules smoke
