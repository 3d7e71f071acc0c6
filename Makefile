# make demo | test | check | bench | wheel; make help lists them. Another Python: make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(CURDIR)/$(VENV)/bin
BUILD := build/$(notdir $(VENV))
UV := $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)
NATIVE = $(shell find csrc cmake CMakeLists.txt tests/native -type f -not -name '*.py' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo test quick check format bench sanitize wheel build clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: build ## run the whole job on real flights, in ./flights
	$(BIN)/mlcore demo

test: build ## every test
	MLCORE_EMULATED=$(BUILD)/tests/native $(BIN)/python -m pytest

quick: build ## the tests that take no longer than a few seconds
	$(BIN)/python -m pytest -m 'not slow'

check: $(VENV)/.installed ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')
	$(BIN)/mypy

format: $(VENV)/.installed ## write what check asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh')

sanitize: $(VENV)/.installed ## the native tests under AddressSanitizer, UBSan and ThreadSanitizer
	$(BIN)/cmake -S . -B $(BUILD)-sanitize -G Ninja -DMLCORE_SANITIZE=address,undefined -DMLCORE_CUDA=OFF -DMLCORE_TESTS=ON \
	  -DCMAKE_MAKE_PROGRAM=$(BIN)/ninja -DPython_EXECUTABLE=$(BIN)/python \
	  -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(BIN)/cmake --build $(BUILD)-sanitize --target _native concurrent
	$(BUILD)-sanitize/tests/native/concurrent
	MLCORE_NATIVE_MODULE=$$(ls $(CURDIR)/$(BUILD)-sanitize/_native*.so) ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  $(BIN)/python -m pytest -q tests/parity tests/scoring/test_engines.py tests/models -k 'not numba and not emulated'

bench: build ## every benchmark, side by side with its peers
	$(BIN)/python benchmarks/run.py

build: $(BUILD)/.built ## the environment and the native core

$(VENV)/.installed: pyproject.toml cmake/dependencies.py
	$(if $(UV),$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))
	MLCORE_NATIVE=OFF $(INSTALL) --editable '.[dev]'
	touch $@

$(BUILD)/.built: $(VENV)/.installed $(NATIVE)
	$(BIN)/cmake -S . -B $(BUILD) -G Ninja -DMLCORE_DEV=ON -DMLCORE_TESTS=ON \
	  -DCMAKE_MAKE_PROGRAM=$(BIN)/ninja -DPython_EXECUTABLE=$(BIN)/python \
	  -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) $(CMAKE_FLAGS)
	$(BIN)/cmake --build $(BUILD)
	touch $@

wheel: $(VENV)/.installed ## dist/: a manylinux wheel and an sdist
	PYTHON=$(BIN)/python sh cmake/wheel.sh

clean: ## remove what was built; the environments stay
	rm -rf build dist wheelhouse python/mlcore/*.so
