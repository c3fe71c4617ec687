# Nacre: GNU make, pkg-config, gcc or clang. Everything lands in $(BUILD).
#
#   make                     library, programs, documentation checks
#   make demo                a tour on the loopback, nothing outside a temporary directory
#   make check               unit, fuzz-corpus, interop and end-to-end tests
#   make check-openssh       OpenSSH's own regression tests against Nacre's server
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
COMPLETIONDIR ?= $(PREFIX)/share
LIBEXECDIR ?= $(PREFIX)/libexec/nacre
SYSCONFDIR ?= /etc/ssh
PAMDIR ?= /etc/pam.d
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d

comma := ,
PKG_CONFIG ?= pkg-config
OPTIMIZE ?= -O2 -g

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
    $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
SANITIZER := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
HARDENING_LINK := -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code

base_cflags := $(shell $(PKG_CONFIG) --cflags libsodium zlib 2>/dev/null)
base_libs := $(shell $(PKG_CONFIG) --libs libsodium zlib 2>/dev/null || echo -lsodium -lz)
# Each module is made from one folder, over one library.
modules := crypto nettle
module_folder_crypto := common/crypto/backend/openssl
module_libs_crypto := $(shell $(PKG_CONFIG) --libs libcrypto 2>/dev/null || echo -lcrypto)
module_folder_nettle := common/crypto/backend/nettle
module_libs_nettle := $(shell $(PKG_CONFIG) --libs nettle 2>/dev/null || echo -lnettle)
# Modules of programs are like those of the library, which does not contain them in any form.
program_modules := pam
module_folder_pam := sshd/pam
module_libs_pam := $(shell $(PKG_CONFIG) --libs pam 2>/dev/null || echo -lpam)
backend_cflags := $(shell $(PKG_CONFIG) --cflags libcrypto nettle 2>/dev/null)
backend_libs := $(foreach module,$(modules),$(module_libs_$(module)))

NACRE_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Icommon -I. -DNACRE_VERSION='"$(VERSION)"' \
    -DNACRE_SYSCONFDIR='"$(SYSCONFDIR)"' -DNACRE_LIBEXECDIR='"$(LIBEXECDIR)"' \
    $(if $(SANITIZE),-DNACRE_SANITIZED) $(base_cflags) $(backend_cflags)
NACRE_CFLAGS := -std=gnu11 $(OPTIMIZE) $(WARNINGS) $(HARDENING) $(SANITIZER) -fno-semantic-interposition \
    -MMD -MP
NACRE_LDFLAGS := $(HARDENING_LINK) $(SANITIZER) -Wl,--as-needed

# The library: all of common/, except the adapters over OpenSSL and nettle, which are modules that
# the shared library loads on first use and that the static library contains.
backend_sources := $(foreach module,$(modules),$(wildcard $(module_folder_$(module))/*.c))
loader_shared := $(wildcard common/crypto/backend_shared.c)
loader_static := $(wildcard common/crypto/backend_static.c)
library_sources := $(filter-out $(loader_shared) $(loader_static),$(wildcard common/*/*.c))

library_objects := $(library_sources:%.c=$(BUILD)/obj/%.o)
backend_objects := $(backend_sources:%.c=$(BUILD)/obj/%.o)
shared_objects := $(library_objects) $(loader_shared:%.c=$(BUILD)/obj/%.o)
static_objects := $(library_objects) $(backend_objects) $(loader_static:%.c=$(BUILD)/obj/%.o)

shared_library := $(BUILD)/lib/libnacre.so.$(SOVERSION)
module_files := $(patsubst %,$(BUILD)/lib/libnacre-%.so.$(SOVERSION),$(modules) $(program_modules))
static_library := $(BUILD)/lib/libnacre.a

# Programs: one list of sources each, and the libraries that only they need.
include programs.mk
programs := $(patsubst sources_%,%,$(filter sources_%,$(.VARIABLES)))
program_files := $(programs:%=$(BUILD)/bin/%)

.PHONY: all library programs unit-tests clean install uninstall check check-unit check-openssh demo bench lint
all: library programs
library: $(shared_library) $(module_files) $(static_library) $(BUILD)/lib/libnacre.so $(BUILD)/lib/nacre.pc
programs: $(program_files)

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(NACRE_CPPFLAGS) $(CPPFLAGS) $(NACRE_CFLAGS) $(CFLAGS) -fPIC -c -o $@ $<

$(shared_library): $(shared_objects) common/nacre.map
	@mkdir -p $(@D)
	$(CC) -shared -o $@ -Wl,-soname,$(@F) -Wl,--version-script=common/nacre.map \
	    -Wl,-Bsymbolic-functions $(if $(SANITIZE),,-Wl,-z,defs) -Wl,--enable-new-dtags '-Wl,-rpath,$$ORIGIN' \
	    $(NACRE_LDFLAGS) $(LDFLAGS) $(shared_objects) $(base_libs)

define module_rule
module_objects_$(1) := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(module_folder_$(1))/*.c))
$(BUILD)/lib/libnacre-$(1).so.$(SOVERSION): $$(module_objects_$(1)) $(shared_library) common/module.map
	@mkdir -p $$(@D)
	$$(CC) -shared -o $$@ -Wl,-soname,$$(@F) -Wl,--version-script=common/module.map \
	    $(if $(SANITIZE),,-Wl,-z,defs) -Wl,--enable-new-dtags '-Wl,-rpath,$$$$ORIGIN' \
	    $$(NACRE_LDFLAGS) $$(LDFLAGS) $$(module_objects_$(1)) $(shared_library) $$(module_libs_$(1)) $$(base_libs)
endef
$(foreach module,$(modules) $(program_modules),$(eval $(call module_rule,$(module))))

$(static_library): $(static_objects)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $(static_objects)

$(BUILD)/lib/libnacre.so: $(shared_library)
	ln -sf $(<F) $@

# An installation has its own: PREFIX may differ from that of the build.
pc_file = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
    -e 's|@VERSION@|$(VERSION)|' common/nacre.pc.in
$(BUILD)/lib/nacre.pc: common/nacre.pc.in Makefile
	@mkdir -p $(@D)
	$(pc_file) > $@

# Installed one folder deeper than the others.
libexec_programs := $(filter sftp-server ssh-pkcs11-helper ssh-sk-helper ssh-keysign,$(programs))
define program_rule
$(BUILD)/bin/$(1): $(sources_$(1):%.c=$(BUILD)/obj/%.o) $(shared_library) $(module_files)
	@mkdir -p $$(@D)
	$$(CC) -pie -o $$@ $$(NACRE_LDFLAGS) $$(LDFLAGS) -Wl,--enable-new-dtags \
	    '-Wl,-rpath,$$$$ORIGIN/../lib$(if $(filter $(1),$(libexec_programs)),:$$$$ORIGIN/../../lib)' $(sources_$(1):%.c=$(BUILD)/obj/%.o) $(shared_library) $(libs_$(1)) $$(base_libs)
endef
$(foreach program,$(filter-out $(contains_library),$(programs)),$(eval $(call program_rule,$(program))))
define contained_rule
$(BUILD)/bin/$(1): $(sources_$(1):%.c=$(BUILD)/obj/%.o) $(static_library)
	@mkdir -p $$(@D)
	$$(CC) -pie -o $$@ $$(NACRE_LDFLAGS) $$(LDFLAGS) $$^ $$(base_libs) $$(backend_libs) -ldl -lpthread
endef
$(foreach program,$(contains_library),$(eval $(call contained_rule,$(program))))

# Unit tests: tests/unit/test_NAME.c is one cmocka program, linked with the static library so that
# it reaches internals. What tests share is an archive, so that a test that brings its own lower
# layer takes none of it.
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
unit_support := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out $(wildcard tests/unit/test_*.c),$(wildcard tests/unit/*.c)))
unit-tests: $(unit_tests)
$(BUILD)/lib/libunit.a: $(unit_support)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $(unit_support)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/lib/libunit.a $(static_library)
	@mkdir -p $(@D)
	$(CC) -pie -o $@ $(NACRE_LDFLAGS) $(LDFLAGS) $(filter %.o,$^) $(BUILD)/lib/libunit.a \
	    $(static_library) $(base_libs) $(backend_libs) -lcmocka -ldl -lpthread
# Parts of programs that are tested by themselves.
$(BUILD)/tests/test_sources: $(BUILD)/obj/sshd/sources.o $(BUILD)/obj/sshd/crowd.o
check-unit: $(unit_tests)
	@set -e; for test in $(unit_tests); do echo "== $$test"; $$test; done

# sshd whose network process has no system-call filter: valgrind makes calls of its own.
unconfined_sshd := $(BUILD)/tests/sshd-unconfined
unit-tests: $(if $(SANITIZE),,$(unconfined_sshd))
$(BUILD)/obj/tests/unconfined_network.o: sshd/network.c Makefile
	@mkdir -p $(@D)
	$(CC) $(NACRE_CPPFLAGS) $(CPPFLAGS) -DNACRE_UNCONFINED $(NACRE_CFLAGS) $(CFLAGS) -fPIC -c -o $@ $<
$(unconfined_sshd): $(sources_sshd:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/tests/unconfined_network.o \
    $(shared_library) $(backend_module)
	@mkdir -p $(@D)
	$(CC) -pie -o $@ $(NACRE_LDFLAGS) $(LDFLAGS) '-Wl,-rpath,$$ORIGIN/../lib' \
	    $(filter-out %/sshd/network.o,$(filter %.o,$^)) $(shared_library) $(libs_sshd) $(base_libs)

# sshd whose network process tries what it must not be able to do, as an attacker would.
probing_sshd := $(BUILD)/tests/sshd-probing
unit-tests: $(if $(SANITIZE),,$(probing_sshd))
$(probing_sshd): $(sources_sshd:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/tests/interop/probe.o \
    $(shared_library) $(backend_module)
	@mkdir -p $(@D)
	$(CC) -pie -o $@ $(NACRE_LDFLAGS) $(LDFLAGS) '-Wl,-rpath,$$ORIGIN/../lib' \
	    -Wl,--wrap=frame_receive_with $(filter %.o,$^) $(shared_library) $(libs_sshd) $(base_libs)

# Fuzz targets: tests/fuzz/fuzz_NAME.c. For the checks each is a plain program that replays a corpus;
# "make fuzz" builds them with libFuzzer (clang) and runs each for FUZZ_SECONDS.
fuzz_names := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_replays := $(fuzz_names:%=$(BUILD)/fuzz/%)
FUZZ_SECONDS ?= 60
# The monitor as it is in sshd, between functions of the target that stand for what is around it.
fuzz_objects_fuzz_monitor := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out sshd/sshd.c,$(sources_sshd)))
fuzz_libs_fuzz_monitor := $(libs_sshd) $(addprefix -Wl$(comma)--wrap=,exit fork kill waitpid alarm sigaction poll \
    frame_receive nacre_process_receive nacre_process_send nacre_account_find \
    nacre_account_check_password nacre_account_state nacre_account_act_as nacre_account_act_end)
.PHONY: fuzz-replays fuzz fuzz-targets
fuzz-replays: $(fuzz_replays)
define fuzz_rule
$(BUILD)/fuzz/$(1): $(BUILD)/obj/tests/fuzz/$(1).o $(BUILD)/obj/tests/fuzz/replay.o $(fuzz_objects_$(1)) $(static_library)
	@mkdir -p $$(@D)
	$$(CC) -pie -o $$@ $$(NACRE_LDFLAGS) $$(LDFLAGS) $$^ $(fuzz_libs_$(1)) $$(base_libs) $$(backend_libs) -ldl -lpthread
$(BUILD)/libfuzzer/$(1): $(BUILD)/obj/tests/fuzz/$(1).o $(fuzz_objects_$(1)) $(static_library)
	@mkdir -p $$(@D)
	$$(CC) -pie -o $$@ -fsanitize=fuzzer $$(NACRE_LDFLAGS) $$(LDFLAGS) $$^ $(fuzz_libs_$(1)) $$(base_libs) $$(backend_libs) -ldl -lpthread
endef
$(foreach target,$(fuzz_names),$(eval $(call fuzz_rule,$(target))))
fuzz:
	$(MAKE) BUILD=$(BUILD)/libfuzzer CC=clang SANITIZE=address,undefined,fuzzer-no-link fuzz-targets
	@set -e; for target in $(fuzz_names); do \
	    mkdir -p $(BUILD)/libfuzzer/corpus/$$target; \
	    $(BUILD)/libfuzzer/libfuzzer/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	        $(BUILD)/libfuzzer/corpus/$$target tests/fuzz/corpus/$${target#fuzz_}; done
fuzz-targets: $(fuzz_names:%=$(BUILD)/libfuzzer/%)

# The examples that the README shows, and the benchmark of the session alone.
example_files := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
bench_files := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*_bench.c))
.PHONY: examples
examples: $(example_files)
$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(shared_library) $(module_files)
	@mkdir -p $(@D)
	$(CC) -pie -o $@ $(NACRE_LDFLAGS) $(LDFLAGS) '-Wl,-rpath,$$ORIGIN/../lib' $< $(shared_library) $(base_libs)
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(static_library)
	@mkdir -p $(@D)
	$(CC) -pie -o $@ $(NACRE_LDFLAGS) $(LDFLAGS) $< $(static_library) $(base_libs) $(backend_libs) -ldl -lpthread

# What packages these need is installed first, or named; the libraries' flags are known only then, so
# the work is done by a make of its own.
demo:
	@deploy/dependencies.sh
	$(MAKE) --no-print-directory all
	@tests/demo.sh $(BUILD)

JOBS ?= $(shell nproc 2>/dev/null || echo 2)
check:
	@deploy/dependencies.sh check
	$(MAKE) --no-print-directory -j$(JOBS) all unit-tests fuzz-replays examples
	@tests/check.sh $(BUILD)

# OpenSSH's own regression tests, with its clients: they take a quarter of an hour.
check-openssh:
	@deploy/dependencies.sh check openssh
	$(MAKE) --no-print-directory -j$(JOBS) all
	@NACRE_BUILD=$(BUILD) tests/interop/openssh_tests.py --jobs $(JOBS) $(TESTS)

bench:
	@deploy/dependencies.sh bench
	$(MAKE) --no-print-directory all $(bench_files)
	@for bench in $(bench_files); do echo "== $$bench"; $$bench || exit 1; done
	@/usr/bin/python3 tests/bench/bench.py --build $(BUILD) $(BENCH_OPTIONS)

c_files := $(shell git ls-files '*.c' '*.h' 2>/dev/null || find common include sshd ssh scp tests examples -name '*.[ch]')
tidied := $(addprefix $(BUILD)/tidied/,$(filter-out tests/%,$(filter %.c,$(c_files))))
.PHONY: lint-tidy
lint:
	@deploy/dependencies.sh lint
	@clang-format --dry-run -Werror $(c_files)
	@cppcheck --quiet --error-exitcode=1 --inline-suppr --suppressions-list=.cppcheck -j $(JOBS) \
	    --enable=warning,performance,portability --std=c11 -D_GNU_SOURCE -D__x86_64__ \
	    -Iinclude -Icommon -I. common sshd ssh scp examples
	@$(MAKE) --no-print-directory -k -j$(JOBS) lint-tidy
lint-tidy: $(tidied)
# A mark for each file that was found clean; what has not changed since is not read again.
$(BUILD)/tidied/%.c: %.c .clang-tidy
	@mkdir -p $(@D)
	@$(CC) $(NACRE_CPPFLAGS) -MM -MP -MT $@ -MF $@.d $<
	@echo clang-tidy $<
	@clang-tidy --quiet $< -- $(NACRE_CPPFLAGS) -std=gnu11 2>$@.log || { cat $@.log >&2; exit 1; }
	@mv $@.log $@

# Programs of a server go to sbin, the others to bin; sections of the manual follow the file's ending.
sbin_programs := $(filter sshd,$(programs))
bin_programs := $(filter-out $(sbin_programs) $(libexec_programs),$(programs))
manual_pages := $(wildcard man/*.[158])
section = $(subst .,,$(suffix $(1)))
# Units, users, PAM, a first configuration.
install_deploy = DESTDIR='$(DESTDIR)' SBINDIR='$(SBINDIR)' SYSCONFDIR='$(SYSCONFDIR)' PAMDIR='$(PAMDIR)' \
    PAM_STYLE='$(PAM_STYLE)' UNITDIR='$(UNITDIR)' SYSUSERSDIR='$(SYSUSERSDIR)' TMPFILESDIR='$(TMPFILESDIR)' \
    deploy/install.sh
# Shells look for completions by the name of the command.
completed := ssh scp sftp ssh-add ssh-agent ssh-keygen ssh-keyscan
install: all
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(SBINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR)/nacre $(LIBEXECDIR))
	install -m 755 $(shared_library) $(module_files) $(DESTDIR)$(LIBDIR)
	ln -sf $(notdir $(shared_library)) $(DESTDIR)$(LIBDIR)/libnacre.so
	install -m 644 $(static_library) $(DESTDIR)$(LIBDIR)
	$(pc_file) > $(DESTDIR)$(LIBDIR)/pkgconfig/nacre.pc
	install -m 644 $(wildcard include/nacre/*.h) $(DESTDIR)$(INCLUDEDIR)/nacre
	install -m 755 $(bin_programs:%=$(BUILD)/bin/%) $(DESTDIR)$(BINDIR)
	$(if $(sbin_programs),install -m 755 $(sbin_programs:%=$(BUILD)/bin/%) $(DESTDIR)$(SBINDIR))
	$(if $(libexec_programs),install -m 755 $(libexec_programs:%=$(BUILD)/bin/%) $(DESTDIR)$(LIBEXECDIR))
	$(foreach page,$(manual_pages),install -D -m 644 $(page) $(DESTDIR)$(MANDIR)/man$(call section,$(page))/$(notdir $(page)) &&) true
	install -D -m 644 deploy/completions/nacre.bash $(DESTDIR)$(COMPLETIONDIR)/bash-completion/completions/nacre
	$(foreach program,$(completed),ln -sf nacre $(DESTDIR)$(COMPLETIONDIR)/bash-completion/completions/$(program) &&) true
	install -D -m 644 deploy/completions/_nacre $(DESTDIR)$(COMPLETIONDIR)/zsh/site-functions/_nacre
	install -D -m 644 deploy/completions/nacre.fish $(DESTDIR)$(COMPLETIONDIR)/fish/vendor_completions.d/nacre.fish
	$(foreach program,$(completed),ln -sf nacre.fish $(DESTDIR)$(COMPLETIONDIR)/fish/vendor_completions.d/$(program).fish &&) true
	@$(install_deploy) install
uninstall:
	@$(install_deploy) remove
	rm -f $(addprefix $(DESTDIR)$(COMPLETIONDIR)/bash-completion/completions/,nacre $(completed))
	rm -f $(addprefix $(DESTDIR)$(COMPLETIONDIR)/fish/vendor_completions.d/,nacre.fish $(completed:%=%.fish))
	rm -f $(DESTDIR)$(COMPLETIONDIR)/zsh/site-functions/_nacre
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,$(bin_programs)) $(addprefix $(DESTDIR)$(SBINDIR)/,$(sbin_programs))
	rm -f $(addprefix $(DESTDIR)$(LIBEXECDIR)/,$(libexec_programs)) $(DESTDIR)$(LIBDIR)/libnacre.so
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,$(notdir $(shared_library) $(module_files) $(static_library)) pkgconfig/nacre.pc)
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/nacre/,$(notdir $(wildcard include/nacre/*.h)))
	rm -f $(foreach page,$(manual_pages),$(DESTDIR)$(MANDIR)/man$(call section,$(page))/$(notdir $(page)))
	-rmdir $(DESTDIR)$(INCLUDEDIR)/nacre $(DESTDIR)$(LIBEXECDIR) 2>/dev/null

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj $(BUILD)/tidied -name '*.d' 2>/dev/null)
