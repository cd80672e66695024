# SPDX-License-Identifier: BSD-2-Clause
#
# What we use and do not write: Debian packages, newlib, lwIP, mbedTLS, libsodium, jsmn, a Linux kernel for guests.
#
# Part of the Makefile. All of it lands in build/deps and stays there across `make clean`. Nothing is vendored: newlib's
# source is a binary package, those of lwIP, mbedTLS and libsodium are source packages whose signature apt checks. They
# are compiled with the hypervisor's own code generation flags.

PACKAGES := $(DEPS)/packages.stamp

# Debian packages of the build machine.
$(PACKAGES): tools/setup
	$(call say,SETUP,Debian packages)
	@mkdir -p $(@D)
	$(Q)tools/setup $(DEPS)/versions.txt
	@touch $@

# --- newlib ------------------------------------------------------------------------------------------------
#
# The parts of libc that need no operating system. The hypervisor supplies three functions (host/newlib.c):
#   void *_sbrk_r(struct _reent *, ptrdiff_t)     more heap
#   void __malloc_lock / __malloc_unlock(struct _reent *)

NEWLIB := $(DEPS)/newlib
NEWLIB_SRC := $(NEWLIB)/src/newlib/libc
LIBC := $(NEWLIB)/libc.a

NEWLIB_STRING := memchr memcmp memmove memrchr strcasecmp strcat strchr strcmp strcpy strcspn strlcat strlcpy strlen \
	strncasecmp strncat strncmp strncpy strnlen strpbrk strrchr strsep strspn strstr strtok strtok_r
NEWLIB_CTYPE := ctype_ isalnum isalpha isdigit islower isprint ispunct isspace isupper isxdigit tolower toupper
NEWLIB_C := $(NEWLIB_STRING:%=string/%) $(NEWLIB_CTYPE:%=ctype/%) \
	stdlib/atoi stdlib/strtol stdlib/strtoul stdlib/strtoll stdlib/strtoull stdlib/calloc stdlib/malloc stdlib/realloc \
	stdlib/mbtowc_r stdlib/wctomb_r search/qsort search/bsearch reent/impure errno/errno locale/locale locale/localeconv \
	stdio/sniprintf stdio/vsniprintf
NEWLIB_ASM := memcpy memset
# One source file, several objects: -D selects the function.
NEWLIB_MALLOC := malloc free realloc calloc memalign malloc_usable_size

NEWLIB_OBJ := $(NEWLIB_C:%=$(NEWLIB)/obj/%.o) $(NEWLIB_ASM:%=$(NEWLIB)/obj/asm/%.o) \
	$(NEWLIB_MALLOC:%=$(NEWLIB)/obj/malloc/%.o) $(NEWLIB)/obj/stdio/svfiprintf.o

# -fno-builtin and -fno-tree-loop-distribute-patterns: else gcc compiles memmove to a call of memmove.
NEWLIB_CC = $(CC) -std=gnu11 -O2 -g $(CODEGEN) -fno-builtin -fno-tree-loop-distribute-patterns -w -nostdinc \
	-isystem $(NEWLIB)/include -isystem $(GCC_INCLUDE) -I$(NEWLIB_SRC)/stdio -I$(NEWLIB_SRC)/stdlib \
	-I$(NEWLIB_SRC)/locale -D_LIBC -DINTERNAL_NEWLIB
newlib-cc = $(call say,CC,newlib $(@:$(NEWLIB)/obj/%.o=%))

$(NEWLIB)/unpacked.stamp: tools/unpack-newlib $(PACKAGES)
	$(call say,UNPACK,newlib)
	@rm -rf $(NEWLIB)
	$(Q)tools/unpack-newlib $(NEWLIB)
	@mkdir -p $(sort $(dir $(NEWLIB_OBJ)))
	@touch $@

$(NEWLIB_OBJ): $(NEWLIB)/unpacked.stamp tools/deps.mk

$(NEWLIB_C:%=$(NEWLIB)/obj/%.o): $(NEWLIB)/obj/%.o:
	$(newlib-cc)
	$(Q)$(NEWLIB_CC) $(NEWLIB_DEFINE) -c $(NEWLIB_SRC)/$*.c -o $@

$(NEWLIB_ASM:%=$(NEWLIB)/obj/asm/%.o): $(NEWLIB)/obj/asm/%.o:
	$(newlib-cc)
	$(Q)$(NEWLIB_CC) -c $(NEWLIB_SRC)/machine/x86_64/$*.S -o $@

$(NEWLIB_MALLOC:%=$(NEWLIB)/obj/malloc/%.o): $(NEWLIB)/obj/malloc/%.o:
	$(newlib-cc)
	$(Q)$(NEWLIB_CC) -DDEFINE_$(shell echo $* | tr a-z A-Z) -c $(NEWLIB_SRC)/stdlib/mallocr.c -o $@

$(NEWLIB)/obj/stdio/svfiprintf.o:
	$(newlib-cc)
	$(Q)$(NEWLIB_CC) -DINTEGER_ONLY -DSTRING_ONLY -c $(NEWLIB_SRC)/stdio/vfprintf.c -o $@

# The integer-only printf family, under the standard names.
$(NEWLIB)/obj/stdio/sniprintf.o: NEWLIB_DEFINE := -Dsniprintf=snprintf -D_sniprintf_r=_snprintf_r
$(NEWLIB)/obj/stdio/vsniprintf.o: NEWLIB_DEFINE := -Dvsniprintf=vsnprintf -D_vsniprintf_r=_vsnprintf_r

$(LIBC): $(NEWLIB_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# --- lwIP --------------------------------------------------------------------------------------------------

LWIP_VERSION := 2.1.3+dfsg1-2
LWIP := $(DEPS)/lwip
LIBLWIP := $(OBJ)/lwip/liblwip.a
LWIP_READY := $(LWIP)/$(LWIP_VERSION).stamp
LWIP_INCLUDE := -Inet -isystem $(LWIP)/src/include

LWIP_CORE := altcp altcp_alloc altcp_tcp def dns inet_chksum init ip mem memp netif pbuf raw stats sys tcp tcp_in \
	tcp_out timeouts udp
LWIP_IPV4 := autoip dhcp etharp icmp igmp ip4 ip4_addr ip4_frag
LWIP_IPV6 := dhcp6 ethip6 icmp6 inet6 ip6 ip6_addr ip6_frag mld6 nd6
LWIP_C := $(LWIP_CORE:%=core/%) $(LWIP_IPV4:%=core/ipv4/%) $(LWIP_IPV6:%=core/ipv6/%) \
	netif/ethernet
LWIP_OBJ := $(LWIP_C:%=$(OBJ)/lwip/%.o)

$(LWIP_READY): | tools/fetch $(PACKAGES)
	$(call say,FETCH,lwip $(LWIP_VERSION))
	@rm -rf $(LWIP)
	$(Q)tools/fetch source lwip $(LWIP_VERSION) $(LWIP)
	@touch $@

$(LWIP_OBJ): $(OBJ)/lwip/%.o: $(LWIP_READY) $(OBJ)/flags net/lwipopts.h net/tcp_hooks.h net/arch/cc.h | $(LIBC)
	@mkdir -p $(@D)
	$(call say,CC,lwip $*)
	$(Q)$(CC) $(filter-out $(WARNINGS),$(CFLAGS_HV)) -Wall -Wno-address -Werror $(LWIP_INCLUDE) -c $(LWIP)/src/$*.c -o $@

$(LIBLWIP): $(LWIP_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# The same for a unit test.
LWIP_UNIT := $(BUILD)/unit/liblwip.a
LWIP_UNIT_OBJ := $(LWIP_C:%=$(BUILD)/unit/lwip/%.o)

$(LWIP_UNIT_OBJ): $(BUILD)/unit/lwip/%.o: $(LWIP_READY) net/lwipopts.h net/tcp_hooks.h net/arch/cc.h
	@mkdir -p $(@D)
	$(call say,UNITCC,lwip $*)
	$(Q)$(CC) $(filter-out $(WARNINGS),$(CFLAGS_UNIT)) $(LWIP_INCLUDE) -c $(LWIP)/src/$*.c -o $@

$(LWIP_UNIT): $(LWIP_UNIT_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# --- mbedTLS -----------------------------------------------------------------------------------------------

MBEDTLS_VERSION := 2.28.3-1
MBEDTLS := $(DEPS)/mbedtls
LIBMBEDTLS := $(OBJ)/mbedtls/libmbedtls.a
MBEDTLS_READY := $(MBEDTLS)/$(MBEDTLS_VERSION).stamp
MBEDTLS_CONFIG := tls/mbedtls_config.h
# Project Everest's multiplication on Curve25519, which is proved, and takes a fourteenth of mbedTLS's own.
EVEREST := $(MBEDTLS)/3rdparty/everest
MBEDTLS_INCLUDE := -DMBEDTLS_CONFIG_FILE='"$(MBEDTLS_CONFIG)"' -iquote tls -isystem $(MBEDTLS)/include \
	-isystem $(EVEREST)/include
# What it asks of us (MBEDTLS_..._ALT).
MBEDTLS_ALT := tls/poly1305_alt

# What is not needed is empty by the configuration, or is left out by the linker.
MBEDTLS_LIBRARY := asn1parse asn1write base64 bignum chacha20 chachapoly cipher cipher_wrap constant_time ecdh ecdsa \
	ecp ecp_curves entropy hmac_drbg md oid pem pk pk_wrap pkparse platform_util sha256 ssl_ciphersuites \
	ssl_cli ssl_msg ssl_srv ssl_tls x509 x509_crt
MBEDTLS_EVEREST := everest x25519 Hacl_Curve25519_joined
MBEDTLS_C := $(MBEDTLS_LIBRARY:%=library/%) $(MBEDTLS_EVEREST:%=3rdparty/everest/library/%)
MBEDTLS_OBJ := $(MBEDTLS_C:%=$(OBJ)/mbedtls/%.o)

# Its loops have five turns at most: without them it needs half of the instructions. It would ask for Linux's headers.
$(OBJ)/mbedtls/3rdparty/%.o $(BUILD)/unit/mbedtls/3rdparty/%.o: EVEREST_HOW := -fpeel-loops -U__linux__ \
	-isystem $(MBEDTLS)/library $(patsubst %,-isystem $(EVEREST)/include/%,everest everest/kremlib)

$(MBEDTLS_READY): | tools/fetch $(PACKAGES)
	$(call say,FETCH,mbedtls $(MBEDTLS_VERSION))
	@rm -rf $(MBEDTLS)
	$(Q)tools/fetch source mbedtls $(MBEDTLS_VERSION) $(MBEDTLS)
	@touch $@

$(MBEDTLS_OBJ): $(OBJ)/mbedtls/%.o: $(MBEDTLS_READY) $(OBJ)/flags $(MBEDTLS_CONFIG) | $(LIBC)
	@mkdir -p $(@D)
	$(call say,CC,mbedtls $*)
	$(Q)$(CC) $(filter-out $(WARNINGS),$(CFLAGS_HV)) -Wall -Werror $(MBEDTLS_INCLUDE) $(EVEREST_HOW) \
		-c $(MBEDTLS)/$*.c -o $@

$(LIBMBEDTLS): $(MBEDTLS_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# The same for a unit test, with what it asks of us.
MBEDTLS_UNIT := $(BUILD)/unit/libmbedtls.a
MBEDTLS_UNIT_OBJ := $(MBEDTLS_C:%=$(BUILD)/unit/mbedtls/%.o)

$(MBEDTLS_UNIT_OBJ): $(BUILD)/unit/mbedtls/%.o: $(MBEDTLS_READY) $(MBEDTLS_CONFIG)
	@mkdir -p $(@D)
	$(call say,UNITCC,mbedtls $*)
	$(Q)$(CC) $(filter-out $(WARNINGS),$(CFLAGS_UNIT)) $(MBEDTLS_INCLUDE) $(EVEREST_HOW) -c $(MBEDTLS)/$*.c -o $@

$(MBEDTLS_UNIT): $(MBEDTLS_UNIT_OBJ) $(MBEDTLS_ALT:%=$(BUILD)/unit/obj/%.o)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# --- libsodium ---------------------------------------------------------------------------------------------
#
# Of it we take Poly1305, which is all in two headers. What its configure script would find out is said here.

LIBSODIUM_VERSION := 1.0.18-1+deb12u1
LIBSODIUM := $(DEPS)/libsodium
LIBSODIUM_READY := $(LIBSODIUM)/$(LIBSODIUM_VERSION).stamp
LIBSODIUM_INCLUDE := -DCONFIGURED=1 -DHAVE_TI_MODE -DNATIVE_LITTLE_ENDIAN -Dsodium_memzero=wipe \
	-isystem $(LIBSODIUM)/src/libsodium -isystem $(LIBSODIUM)/src/libsodium/include/sodium

$(LIBSODIUM_READY): | tools/fetch $(PACKAGES)
	$(call say,FETCH,libsodium $(LIBSODIUM_VERSION))
	@rm -rf $(LIBSODIUM)
	$(Q)tools/fetch source libsodium $(LIBSODIUM_VERSION) $(LIBSODIUM)
	@touch $@

# --- jsmn --------------------------------------------------------------------------------------------------
#
# A parser of JSON, all of it in one header of a binary package. A copy, because the hypervisor's compiler sees no other
# header of the build machine.

JSMN := $(DEPS)/jsmn/jsmn.h
JSMN_INCLUDE := -isystem $(DEPS)/jsmn

$(JSMN): | $(PACKAGES)
	@mkdir -p $(@D)
	$(Q)cp /usr/include/jsmn.h $@

# --- etcd, for system tests --------------------------------------------------------------------------------

# Unpacked and never installed: an installed one would start.
ETCD := $(DEPS)/etcd/usr/bin/etcd

$(ETCD): | tools/fetch $(PACKAGES)
	$(call say,FETCH,etcd-server)
	$(Q)tools/fetch package etcd-server $(DEPS)/etcd
	@touch $@

# --- Linux, for guests -------------------------------------------------------------------------------------

# The kernel image and its modules, unpacked and never installed.
$(DEPS)/linux/vmlinuz: | tools/fetch $(PACKAGES)
	$(call say,FETCH,linux-image-cloud-amd64)
	@rm -rf $(@D)
	$(Q)tools/fetch kernel linux-image-cloud-amd64 $(@D)
	@touch $@
