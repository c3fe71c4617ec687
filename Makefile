# Nacre: GNU make, pkg-config, gcc or clang. Everything lands in $(BUILD).
#
#   make                     library, programs, documentation checks
#   make demo                a tour on the loopback, nothing outside a temporary directory
#   make check               unit, fuzz-corpus, interop and end-to-end tests
#   make bench               figures beside the installed OpenSSH
#   make lint                clang-format, clang-tidy, cppcheck
#   make install PREFIX=/usr/local DESTDIR=
#
# SANITIZE=address,undefined builds everything under those sanitizers (in a build folder of its own).

VERSION := 0.1.0
SOVERSION := 0

SANITIZE ?=
BUILD ?= build$(if $(SANITIZE),/sanitize)
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
LIBEXECDIR ?= $(PREFIX)/libexec/nacre
SYSCONFDIR ?= /etc/ssh

PKG_CONFIG ?= pkg-config
OPTIMIZE ?= -O2 -g

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
    $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
SANITIZER := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
HARDENING_LINK := -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code

base_cflags := $(shell $(PKG_CONFIG) --cflags libsodium zlib 2>/dev/null)
base_libs := $(shell $(PKG_CONFIG) --libs libsodium zlib 2>/dev/null || echo -lsodium -lz)
backend_cflags := $(shell $(PKG_CONFIG) --cflags libcrypto nettle 2>/dev/null)
backend_libs := $(shell $(PKG_CONFIG) --libs libcrypto nettle 2>/dev/null || echo -lcrypto -lnettle)

NACRE_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Icommon -I. -DNACRE_VERSION='"$(VERSION)"' \
    -DNACRE_SYSCONFDIR='"$(SYSCONFDIR)"' -DNACRE_LIBEXECDIR='"$(LIBEXECDIR)"' \
    $(base_cflags) $(backend_cflags)
NACRE_CFLAGS := -std=gnu11 $(OPTIMIZE) $(WARNINGS) $(HARDENING) $(SANITIZER) -fno-semantic-interposition \
    -MMD -MP
NACRE_LDFLAGS := $(HARDENING_LINK) $(SANITIZER) -Wl,--as-needed

# The library: all of common/, except the adapters over OpenSSL and nettle, which are a module that
# the shared library loads on first use and that the static library contains.
backend_sources := $(wildcard common/crypto/backend/*.c)
loader_shared := $(wildcard common/crypto/backend_shared.c)
loader_static := $(wildcard common/crypto/backend_static.c)
library_sources := $(filter-out $(loader_shared) $(loader_static),$(wildcard common/*/*.c))

library_objects := $(library_sources:%.c=$(BUILD)/obj/%.o)
backend_objects := $(backend_sources:%.c=$(BUILD)/obj/%.o)
shared_objects := $(library_objects) $(loader_shared:%.c=$(BUILD)/obj/%.o)
static_objects := $(library_objects) $(backend_objects) $(loader_static:%.c=$(BUILD)/obj/%.o)

shared_library := $(BUILD)/lib/libnacre.so.$(SOVERSION)
backend_module := $(BUILD)/lib/libnacre-crypto.so.$(SOVERSION)
static_library := $(BUILD)/lib/libnacre.a

# Programs: one list of sources each, and the libraries that only they need.
include programs.mk
programs := $(patsubst sources_%,%,$(filter sources_%,$(.VARIABLES)))
program_files := $(programs:%=$(BUILD)/bin/%)

.PHONY: all library programs unit-tests clean install uninstall check check-unit demo bench lint
all: library programs
library: $(shared_library) $(backend_module) $(static_library) $(BUILD)/lib/libnacre.so $(BUILD)/lib/nacre.pc
programs: $(program_files)

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(NACRE_CPPFLAGS) $(CPPFLAGS) $(NACRE_CFLAGS) $(CFLAGS) -fPIC -c -o $@ $<

$(shared_library): $(shared_objects) common/nacre.map
	@mkdir -p $(@D)
	$(CC) -shared -o $@ -Wl,-soname,$(@F) -Wl,--version-script=common/nacre.map \
	    -Wl,-Bsymbolic-functions $(if $(SANITIZE),,-Wl,-z,defs) -Wl,--enable-new-dtags '-Wl,-rpath,$$ORIGIN' \
	    $(NACRE_LDFLAGS) $(LDFLAGS) $(shared_objects) $(base_libs)

$(backend_module): $(backend_objects) $(shared_library)
	@mkdir -p $(@D)
	$(CC) -shared -o $@ -Wl,-soname,$(@F) -Wl,--version-script=common/nacre-crypto.map \
	    $(if $(SANITIZE),,-Wl,-z,defs) -Wl,--enable-new-dtags '-Wl,-rpath,$$ORIGIN' \
	    $(NACRE_LDFLAGS) $(LDFLAGS) $(backend_objects) $(shared_library) $(backend_libs) $(base_libs)

$(static_library): $(static_objects)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $(static_objects)

$(BUILD)/lib/libnacre.so: $(shared_library)
	ln -sf $(<F) $@

$(BUILD)/lib/nacre.pc: common/nacre.pc.in Makefile
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e 's|@VERSION@|$(VERSION)|' $< > $@

define program_rule
$(BUILD)/bin/$(1): $(sources_$(1):%.c=$(BUILD)/obj/%.o) $(shared_library) $(backend_module)
	@mkdir -p $$(@D)
	$$(CC) -pie -o $$@ $$(NACRE_LDFLAGS) $$(LDFLAGS) -Wl,--enable-new-dtags \
	    '-Wl,-rpath,$$$$ORIGIN/../lib' $(sources_$(1):%.c=$(BUILD)/obj/%.o) $(shared_library) $(libs_$(1)) $$(base_libs)
endef
$(foreach program,$(programs),$(eval $(call program_rule,$(program))))

# Unit tests: tests/unit/test_NAME.c is one cmocka program, linked with the static library so that
# it reaches internals.
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
unit_support := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(wildcard tests/unit/test_*.c),$(wildcard tests/unit/*.c)))
unit-tests: $(unit_tests)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(unit_support) $(static_library)
	@mkdir -p $(@D)
	$(CC) -pie -o $@ $(NACRE_LDFLAGS) $(LDFLAGS) $< $(unit_support) $(static_library) \
	    $(base_libs) $(backend_libs) -lcmocka -ldl -lpthread
check-unit: $(unit_tests)
	@set -e; for test in $(unit_tests); do echo "== $$test"; $$test; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
