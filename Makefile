# rec: a recommender in SQL, as a loadable SQLite extension. `make help` lists the targets.
CONFIG  ?= release
CC      ?= cc
BUILD   := build/$(CONFIG)
UNAME   := $(shell uname -s)
SRC     := $(wildcard ext/*.c ext/*/*.c)
PURE    := $(filter-out ext/rec.c $(wildcard ext/sqlite/*.c),$(SRC))
OBJ     := $(SRC:%.c=$(BUILD)/%.o)
UNIT    := $(patsubst tests/unit/%.c,build/asan/unit/%,$(wildcard tests/unit/test_*.c))
HOST    := $(patsubst tests/host/%.c,$(BUILD)/host/%,$(wildcard tests/host/test_*.c))
ML      ?= ../shared/data/ml-latest-small
PREFIX  ?= /usr/local

# _GNU_SOURCE: pthreads, clock_gettime and getenv under -std=c11.
CPPFLAGS += -D_GNU_SOURCE
# No -march=native and no -Ofast: kernels choose their instruction set at run time, and -Ofast would
# switch the host program to flush-to-zero at load.
CFLAGS  += -std=c11 -O3 -g -fPIC -fvisibility=hidden -fno-math-errno -pthread
CFLAGS  += -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wpointer-arith
CFLAGS  += -fstack-protector-strong
LDLIBS  += -lopenblas -lcurl -lcjson -lm -pthread
ifeq ($(UNAME),Darwin)
LIB     := $(BUILD)/rec.dylib
SHARED  := -dynamiclib -undefined dynamic_lookup
CPPFLAGS += $(addprefix -I,$(wildcard /opt/homebrew/opt/openblas/include /opt/homebrew/include))
LDFLAGS += $(addprefix -L,$(wildcard /opt/homebrew/opt/openblas/lib /opt/homebrew/lib))
else
LIB     := $(BUILD)/rec.so
# nodelete: neither libcurl nor OpenBLAS may be unloaded.
SHARED  := -shared -Wl,-z,relro,-z,now,-z,nodelete -Wl,--no-undefined
endif
ifeq ($(CONFIG),asan)
CFLAGS  += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
SHARED  := $(filter-out -Wl$(comma)--no-undefined,$(SHARED))
endif
ifeq ($(CONFIG),tsan)
CFLAGS  += -O1 -fsanitize=thread
SHARED  := $(filter-out -Wl$(comma)--no-undefined,$(SHARED))
endif
ifdef REC_NO_BLAS
CPPFLAGS += -DREC_NO_BLAS
LDLIBS  := $(filter-out -lopenblas,$(LDLIBS))
endif
ifdef REC_OMIT_NETWORK
CPPFLAGS += -DREC_OMIT_NETWORK
LDLIBS  := $(filter-out -lcurl,$(LDLIBS))
endif
ifdef WERROR
CFLAGS  += -Werror
endif
comma   := ,

.PHONY: all demo test movielens bench bench-index bench-cf bench-gate bench-generative report asan tsan golden unit host check test-versions format lint \
        install setup help clean test-one stats
all: $(LIB) ## build the extension
	@mkdir -p build && ln -sf $(CONFIG)/$(notdir $(LIB)) build/$(notdir $(LIB))

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: ## install what is missing (apt; elsewhere prints the line)
	@tests/setup.sh

demo: setup ## build, then the tour of examples/library
	@$(MAKE) --no-print-directory -j2 all
	@examples/library/demo.sh

test: setup ## every test, under 6 minutes on 2 cores
	@$(MAKE) --no-print-directory -j2 all
	@tests/run.sh

movielens: setup ## the whole pipeline on MovieLens (ML=path)
	@$(MAKE) --no-print-directory -j2 all
	@examples/movielens/movielens.sh "$(ML)"

bench: setup ## figures, one CSV line a case
	@$(MAKE) --no-print-directory -j2 all
	@tests/bench/bench.sh
	@tests/bench/index.sh

bench-index: setup ## the vector index beside its peers, with the table of goals (CASES="build queries")
	@tests/bench/index.sh $(CASES)

bench-gate: setup ## hybrids with found weights on MovieLens, by what is known of the user
	@$(MAKE) --no-print-directory -j2 all
	@tests/bench/gate.sh

report: setup ## how good the answers are: labelled sentences through the builtin, diversity of lists, cold items (films need ../shared/data)
	@$(MAKE) --no-print-directory -j2 all
	@tests/report/rewrite.sh
	@tests/report/diversity.sh
	@tests/report/cold.sh
	@tests/report/enrich.sh
	@tests/report/converse.sh
	@tests/report/production.sh

bench-cf: setup ## collaborative filtering beside what was published (CASES="itemknn ease")
	@tests/bench/cf.sh $(CASES)

bench-generative: setup ## the next item on Amazon Beauty beside what was published (CASES="protocol default")
	@tests/bench/generative.sh $(CASES)

test-one: all ## one part of the tests: make test-one NAME=golden/0100
	@tests/run.sh "$(NAME)"

test-versions: setup all ## the goldens on SQLite 3.38.2 and 3.54.1 (needs npm)
	@tests/check/versions.sh

asan: ## the goldens and damaged indexes under ASan and UBSan
	@$(MAKE) --no-print-directory -j2 CONFIG=asan build/asan/rec.so $(patsubst %,build/asan/host/test_index_%,bytes damage random)
	@tests/check/asan.sh

tsan: ## threaded tests under TSan
	@$(MAKE) --no-print-directory -j2 CONFIG=tsan build/tsan/rec.so build/tsan/host/test_multi
	@tests/check/tsan.sh

format: ## rewrite the sources with clang-format
	@clang-format -i $(filter-out ext/vendor/%,$(wildcard ext/*.[ch] ext/*/*.[ch] tests/*/*.[ch]))

lint: ## layers, symbols, format, warnings with gcc and clang
	@tests/check/lint.sh

install: all ## copy the extension to PREFIX/lib/sqlite3
	@install -d $(DESTDIR)$(PREFIX)/lib/sqlite3 && install -m 755 $(LIB) $(DESTDIR)$(PREFIX)/lib/sqlite3/

clean: ## remove build/
	@rm -rf build

stats: ## function lengths and comment share
	@tests/check/stats.sh

unit: $(UNIT) ## build the unit tests (ASan + UBSan)
host: $(LIB) $(HOST) ## build the host tests

$(LIB): $(OBJ)
	@echo "  LD   $@"
	@$(CC) $(CFLAGS) $(SHARED) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# For programs that link the extension in: CPPFLAGS='-D_GNU_SOURCE -DSQLITE_CORE', then sqlite3_auto_extension.
$(BUILD)/librec.a: $(OBJ)
	@rm -f $@ && ar rcs $@ $^

# The bench of the recommenders: pure layers, no SQLite.
$(BUILD)/libpure.a: $(PURE:%.c=$(BUILD)/%.o)
	@rm -f $@ && ar rcs $@ $^
$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/libpure.a
	@mkdir -p $(@D) && echo "  BENCH $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(BUILD)/libpure.a $(LDLIBS)

# Kernels may reassociate sums (not the reference); nothing may flush denormals.
$(BUILD)/ext/core/vec_avx2.o $(BUILD)/ext/core/vec_avx512.o $(BUILD)/ext/core/vec_neon.o: \
  CFLAGS += -fassociative-math -fno-signed-zeros -fno-trapping-math -ffp-contract=fast
$(BUILD)/ext/model/topdot.o $(BUILD)/ext/model/spd.o: CFLAGS += -ffp-contract=fast
$(BUILD)/%.o: %.c
	@mkdir -p $(@D) && echo "  CC   $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Unit tests link the pure layers alone, always under sanitizers.
ifeq ($(CONFIG),asan)
build/asan/unit/%: tests/unit/%.c tests/unit/unit.h build/asan/libpure.a
	@mkdir -p $(@D) && echo "  UNIT $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< build/asan/libpure.a $(LDLIBS)
else
build/asan/unit/%: FORCE
	@$(MAKE) --no-print-directory CONFIG=asan $@
FORCE:
endif
$(BUILD)/host/%: tests/host/%.c $(wildcard tests/host/*.h)
	@mkdir -p $(@D) && echo "  HOST $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< -lsqlite3 -ldl -lm -pthread

-include $(OBJ:.o=.d)
