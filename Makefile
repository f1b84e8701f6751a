# Front door for developers. `make` builds everything into build/.
BUILD ?= build
GENERATOR ?= Ninja
CMAKE ?= cmake
PYTHON ?= .venv/bin/python
JOBS ?= $(shell nproc)
# Kernels with many random bits in addresses break the sanitizers of gcc 12.
NORANDOM = setarch $(shell uname -m) -R

# What a build prints: problems only.
QUIET = $(if $(filter Ninja,$(GENERATOR)),-- --quiet)

.PHONY: all products deps demo check check-long asan tsan fuzz bench coverage fmt lint install clean

all: $(BUILD)/build.ninja
	@$(CMAKE) --build $(BUILD) $(QUIET)

products: $(BUILD)/build.ninja ## the command, its helper programs and the libraries, without tests
	@$(CMAKE) --build $(BUILD) --target kpredict kp-worker kp-device kpredict-engine $(QUIET)

$(BUILD)/build.ninja:
	@$(CMAKE) -S . -B $(BUILD) -G $(GENERATOR) -DCMAKE_BUILD_TYPE=Release >$(BUILD).log 2>&1 || \
	  { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

deps: ## install the Debian packages and the Python environment of the tests
	@tools/install_deps build check
	@tools/make_venv

demo: products
	@tools/demo.sh $(BUILD)

check: lint ## needs cmocka; says what it left out when there is no Python environment
	@$(CMAKE) -S . -B $(BUILD) -G $(GENERATOR) -DKP_TESTS=ON >/dev/null
	@$(CMAKE) --build $(BUILD) $(QUIET)
	@tools/run_checks.sh $(BUILD)

check-long: check asan tsan
	@$(ASAN_SETTINGS) tools/run_checks_long.sh $(BUILD)

# Programs only: a library that Python opens would need the sanitizer in Python. Whole networks on
# the plain reference take too long here.
ASAN_PYTESTS = tests/cli tests/io tests/e2e tests/keras tests/hostile tests/parity/test_parity_layers.py \
  tests/parity/test_parity_cases.py

# For programs with AddressSanitizer, the fuzz targets too. With gcc 12's runtime on a glibc of today, a
# thread's own variables that lie 16 bytes behind a page's begin are taken for an old glibc's block with
# a header, and the leak check reads an address that is none. Its book of such blocks is therefore off.
ASAN_SETTINGS = ASAN_OPTIONS=intercept_tls_get_addr=0

asan: ## every test with AddressSanitizer and UndefinedBehaviorSanitizer
	@$(CMAKE) -S . -B $(BUILD)-asan -G $(GENERATOR) -DCMAKE_BUILD_TYPE=Debug \
	  -DCMAKE_C_FLAGS=-O1 -DKP_SANITIZE=address,undefined -DKP_TESTS=ON >/dev/null
	@$(CMAKE) --build $(BUILD)-asan $(QUIET)
	@$(ASAN_SETTINGS) KP_CASE_SEEDS=1 $(NORANDOM) tools/run_checks.sh $(BUILD)-asan $(ASAN_PYTESTS)

tsan: ## hub, ipc, runtime and the API stress with ThreadSanitizer
	@$(CMAKE) -S . -B $(BUILD)-tsan -G $(GENERATOR) -DCMAKE_BUILD_TYPE=Debug \
	  -DCMAKE_C_FLAGS=-O1 -DKP_SANITIZE=thread -DKP_TESTS=ON >/dev/null
	@$(CMAKE) --build $(BUILD)-tsan $(QUIET)
	@cd $(BUILD)-tsan && $(NORANDOM) ctest --output-on-failure -j $(JOBS) -L "tsan|pipeline"

fuzz: ## build the fuzz targets with clang; run one: build-fuzz/fuzz/fuzz_jpeg tests/fuzz/corpus/fuzz_jpeg
	@CC=clang $(CMAKE) -S . -B $(BUILD)-fuzz -G $(GENERATOR) -DCMAKE_BUILD_TYPE=Release \
	  -DKP_FUZZ=ON -DKP_SANITIZE=address,undefined -DKP_TESTS=ON >/dev/null
	@$(CMAKE) --build $(BUILD)-fuzz --target fuzz_targets
	@ls $(BUILD)-fuzz/fuzz

bench: all ## tables under bench/results/
	@tools/make_venv
	@.venv/bin/pip install -q --disable-pip-version-check -r tools/requirements-bench.txt
	@$(PYTHON) bench/run_all.py --build $(BUILD)

coverage: all ## docs/coverage.md: classes, random cases, worst errors; KP_LONG=1: large applications too
	@cmake -S . -B $(BUILD) -G $(GENERATOR) -DKP_TESTS=ON >/dev/null && cmake --build $(BUILD) $(QUIET)
	@rm -f $(BUILD)/cases.jsonl
	-@KP_CASE_RESULTS=$(abspath $(BUILD))/cases.jsonl KP_BUILD_DIR=$(BUILD) TF_CPP_MIN_LOG_LEVEL=3 \
	  $(PYTHON) -m pytest -q --disable-warnings -p no:cacheprovider -n $(JOBS) \
	  tests/parity/test_parity_cases.py tests/parity/test_parity_networks.py
	@$(PYTHON) tools/coverage $(BUILD)/cases.jsonl

fmt:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

lint:
	@tools/check_layers
	@tools/check_words

install: all
	@$(CMAKE) --install $(BUILD)

clean:
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
