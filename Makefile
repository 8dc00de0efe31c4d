# Mooring. `make help` lists the targets; B=DIR builds elsewhere, SAN=1 with ASan and UBSan, V=1 shows commands.
B ?= build
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

CC ?= gcc
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wvla -Wformat=2 -Werror
HARDEN := -fstack-protector-strong -fPIC -fvisibility=hidden
OPT := -O2 -g -D_FORTIFY_SOURCE=2
SANFLAGS :=
# What the broker asks with each message is compiled as one: the plugin and the policies.
LTO := -flto=auto -ffat-lto-objects
ifeq ($(SAN),1)
LTO :=
OPT := -O1 -g -fno-omit-frame-pointer
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE $(WARN) $(HARDEN) $(OPT) $(AS_ONE) $(SANFLAGS) -I. $(CFLAGS)
LDFLAGS_ALL = $(SANFLAGS) -Wl,-z,relro,-z,now $(LDFLAGS)
LIBS := -lcrypto -lssl -ljansson -levent_core -levent_pthreads -lcurl -lsqlite3 -lcyaml -lseccomp -lpthread

FOLDERS := gateway ca attestation cli device factory
# What a folder's programs take from other folders.
ALSO_factory := $(addprefix cli/,arguments.c cmd_completion.c help.c moment.c program.c text.c) \
  $(addprefix device/,confine.c psa.c psa_channel.c psa_protocol.c psa_stage.c secure_keys.c secure_rot.c secure_world.c store.c)
# What the unit tests of a folder take besides it.
ALSO_UNIT_device := factory/make.c
SRC_common := $(wildcard common/*.c common/*/*.c)
SRC_plugin := $(wildcard plugin/*.c)
$(foreach f,$(FOLDERS),$(eval SRC_$(f) := $(filter-out $(wildcard $(f)/main_*.c),$(wildcard $(f)/*.c $(f)/*/*.c))))
$(foreach f,$(FOLDERS),$(eval MAINS_$(f) := $(patsubst $(f)/main_%.c,%,$(wildcard $(f)/main_*.c))))
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

name = $(if $(filter ctl,$(1)),mooringctl,mooring-$(1))
PROGRAMS := $(foreach f,$(FOLDERS),$(foreach m,$(MAINS_$(f)),$(B)/$(call name,$(m))))
PLUGIN := $(B)/mosquitto_mooring.so

.PHONY: all help
all: $(PROGRAMS) $(PLUGIN) ## build everything (into ./build; B=DIR: elsewhere)

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/libcommon.a: $(call obj,$(SRC_common))
	@rm -f $@
	$(Q)ar rcs $@ $^

define program
$(B)/$(call name,$(2)): $(call obj,$(1)/main_$(2).c $(SRC_$(1)) $(ALSO_$(1))) $(B)/libcommon.a
	@echo "  LD $$@"
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $$@ $$^ $(LIBS_$(1)) $(LIBS)
endef
LIBS_device := -lmosquitto
$(foreach f,$(FOLDERS),$(foreach m,$(MAINS_$(f)),$(eval $(call program,$(f),$(m)))))

$(call obj,$(SRC_plugin) $(wildcard common/policy/*.c)): AS_ONE := $(LTO)
$(B)/mosquitto_mooring.so: $(call obj,$(SRC_plugin)) $(B)/libcommon.a
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) $(OPT) $(LTO) -shared -o $@ $^ $(LIBS)

# tests/unit/x_test.c links common/; tests/unit/FOLDER/x_test.c links FOLDER too.
UNIT_SRC := $(wildcard tests/unit/*_test.c tests/unit/*/*_test.c)
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
unit_folder = $(filter-out .,$(patsubst %/,%,$(dir $(1))))
define unit_program
$(B)/unit/$(1): $(call obj,tests/unit/$(1).c $(foreach f,$(call unit_folder,$(1)),$(SRC_$(f)) $(ALSO_$(f)) $(ALSO_UNIT_$(f)))) $(B)/libcommon.a
	@mkdir -p $$(@D)
	@echo "  LD $$@"
	$(Q)$(CC) $(LDFLAGS_ALL) $$(COUNTED) -pie -o $$@ $$^ -lcmocka $(LIBS_$(call unit_folder,$(1))) $(LIBS)
endef
$(foreach t,$(UNIT_SRC),$(eval $(call unit_program,$(patsubst tests/unit/%.c,%,$(t)))))

# tests/unit/counted_heap.h counts what these allocate.
$(addprefix $(B)/unit/plugin/,callbacks_test table_test): COUNTED := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free

# The intruder of the isolation tests: the gateway's own confinement, without the gateway.
INTRUDER := $(B)/mooring-intruder
$(INTRUDER): $(call obj,tests/e2e/intruder.c $(SRC_gateway)) $(B)/libcommon.a
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^ $(LIBS)

# The chain check over standard input, for the tests that compare it with a reference.
CHAIN_CHECKER := $(B)/mooring-chain-checker
$(CHAIN_CHECKER): $(call obj,tests/e2e/chain_checker.c) $(B)/libcommon.a
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^ $(LIBS)

BENCH_PROGRAMS := $(B)/bench/ceiling $(B)/bench/loadgen $(B)/bench/mqttgen $(B)/bench/check $(B)/bench/certificates \
	$(B)/bench/chains
$(B)/bench/loadgen: $(call obj,bench/exchange.c bench/prepared.c)
$(B)/bench/check: $(call obj,bench/counters.c bench/heap.c)
$(B)/bench/certificates: $(call obj,bench/heap.c $(addprefix plugin/,keeper.c retire.c ring.c table.c table_blocks.c table_journal.c table_policies.c table_texts.c))
$(B)/bench/mqttgen: $(call obj,$(addprefix bench/,counters.c mqtt.c mqttgen_hold.c mqttgen_load.c))
$(B)/bench/%: $(B)/obj/bench/%.o $(B)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

.PHONY: unit unit-programs e2e-programs fuzz-programs bench-programs
bench-programs: $(BENCH_PROGRAMS)
unit-programs: $(UNIT)
e2e-programs: $(INTRUDER) $(CHAIN_CHECKER)
unit: setup-test ## unit tests
	@$(MAKE) --no-print-directory -j$(JOBS) unit-programs
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t || exit 1; done

# tests/fuzz/x_fuzz.c: libFuzzer, built with clang over everything it may parse with.
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
FUZZ_SECONDS ?= 10
FUZZ_FLAGS := -std=c17 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -I.
# A target names what it needs besides common/ in a line with "links:".
fuzz_links = $(shell sed -n 's/^.*links: //p' tests/fuzz/$(1)_fuzz.c)
fuzz_obj = $(patsubst %.c,$(B)/fuzz-obj/%.o,$(1))

$(B)/fuzz-obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC (fuzz) $<"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(B)/fuzz-obj/libcommon.a: $(call fuzz_obj,$(SRC_common))
	@rm -f $@
	$(Q)ar rcs $@ $^

define fuzz_program
$(B)/fuzz/$(1)_fuzz: $(call fuzz_obj,tests/fuzz/$(1)_fuzz.c $(call fuzz_links,$(1))) $(B)/fuzz-obj/libcommon.a
	@mkdir -p $$(@D)
	@echo "  LD (fuzz) $$@"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $$@ $$^ $(LIBS)
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call fuzz_program,$(patsubst tests/fuzz/%_fuzz.c,%,$(t)))))

fuzz-programs: $(FUZZ)
.PHONY: fuzz
fuzz: setup-test ## a short run of each fuzz target (FUZZ_SECONDS=10)
	@$(MAKE) --no-print-directory -j$(JOBS) fuzz-programs
	@$(PYTHON) tests/run.py --build $(B) --fuzz-alone --fuzz-seconds $(FUZZ_SECONDS)

PYTHON ?= /usr/bin/python3
JOBS ?= $(shell nproc)

.PHONY: setup setup-test demo run test e2e asan-broker bench lint format test-matrix clean
setup:
	@scripts/setup

setup-test:
	@scripts/setup --test

demo: setup ## the whole story on this machine: install, build, enrol, publish, revoke
	@$(MAKE) --no-print-directory --silent -j$(JOBS) all
	@MOORING_BUILD=$(B) $(PYTHON) demo/story.py

run: setup ## everything up on fixed ports, until Ctrl-C; prints how to talk to it
	@$(MAKE) --no-print-directory --silent -j$(JOBS) all
	@MOORING_BUILD=$(B) $(PYTHON) demo/run.py

test: setup-test ## set-up, unit, e2e, fuzz, and the suites again under ASan and UBSan; ends with a total
	@$(MAKE) --no-print-directory -j$(JOBS) all unit-programs e2e-programs
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=1 B=$(B)-asan all unit-programs e2e-programs
	@$(MAKE) --no-print-directory -j$(JOBS) fuzz-programs
	@$(PYTHON) tests/run.py --build $(B) --asan $(B)-asan --fuzz-seconds $(FUZZ_SECONDS)

e2e: setup-test ## end-to-end tests alone (T='-k name' picks)
	@$(MAKE) --no-print-directory -j$(JOBS) all e2e-programs
	@MOORING_BUILD=$(B) $(PYTHON) -m pytest -q -n $$((2 * $(JOBS))) tests/e2e $(T)

asan-broker: setup-test ## the broker's tests against Debian's Mosquitto, built from its source package with ASan
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=1 B=$(B)-asan $(B)-asan/mosquitto_mooring.so
	@MOORING_BUILD=$(B)-asan ASAN_BROKER_DIR=$(B)-asan-broker PYTHON=$(PYTHON) scripts/asan-broker $(T)

bench: setup-test ## enrolments a second beside the cost of their cryptography; revocation; memory; import; provenance (PARTS='enrol revoke')
	@$(MAKE) --no-print-directory -j$(JOBS) all bench-programs
	@MOORING_BUILD=$(B) $(PYTHON) bench/bench.py $(PARTS)

test-matrix: ## demo, test and asan-broker in fresh Debian 12 and 13 roots (needs root and debootstrap)
	@scripts/test-matrix

lint: setup-test ## include directions, sizes of functions and files
	@$(PYTHON) scripts/lint

format: ## clang-format over the C sources
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean: ## remove the build folders
	rm -rf $(B) $(B)-asan $(B)-asan-broker

-include $(shell find $(B)/obj $(B)/fuzz-obj -name '*.d' 2>/dev/null)
