# Everything is installed in .venv, which is created if missing. Begin with `make demo`.
#
# TORCH selects the build of torch that is installed first, so that a machine without a GPU need not
# download CUDA:
#   make demo TORCH=torch==2.13.0                                  (default)
#   make demo TORCH="torch --index-url <address of the CPU wheels, from pytorch.org>"

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Pip compiles what it installs one module after another; this takes all cores. Modules that another
# version of Python is for cannot be compiled, and are not imported either.
COMPILE := $(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib > /dev/null || true
DEMO_HOME ?= demo-home
DFT_HOME ?= dft-home
DFT_CORES ?=
DFT_APT := libxc-dev libopenblas-dev libopenmpi-dev openmpi-bin g++
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install install-test demo test test-slow check format benchmarks dft clean

help:  ## Show the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { echo "python3 lacks venv: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.torch: | $(BIN)/python
	$(PIP) install --no-compile --quiet "$(firstword $(TORCH))" $(wordlist 2,9,$(TORCH))
	touch $@

$(VENV)/.run: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) install --no-compile --quiet --constraint constraints.txt --editable ".[sevenn,chgnet,dpa4,crystals]"
	$(COMPILE)
	-$(BIN)/phonoscout potentials fetch dpa4-neo-0704 > /dev/null # the default potential
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) install --no-compile --quiet --constraint constraints.txt --editable ".[sevenn,chgnet,dpa4,crystals,test]"
	$(COMPILE)
	touch $@

# GPAW is built from source and needs system libraries; root is needed only if they are missing.
$(VENV)/.dft: $(VENV)/.run
	if command -v apt-get >/dev/null && ! dpkg -s $(DFT_APT) >/dev/null 2>&1; then \
	    if [ "$$(id -u)" = 0 ]; then apt-get install -y $(DFT_APT); \
	    else sudo apt-get install -y $(DFT_APT); fi; fi
	$(PIP) install --no-compile --quiet --constraint constraints.txt --editable ".[sevenn,chgnet,dpa4,crystals,dft]"
	$(COMPILE)
	touch $@

install: $(VENV)/.run  ## Install phonoscout, with the potentials whose packages contain weights.

install-test: $(VENV)/.test  ## The same, with the packages that the tests need.

demo: install  ## Run a real campaign: at most 10 minutes on 2 cores.
	rm -rf "$(DEMO_HOME)"
	$(BIN)/phonoscout launch configs/quickstart.yaml --home "$(DEMO_HOME)"

# Workers of one thread each: two of two threads on two cores wait for each other most of the time,
# so that some tests take five times as long.
test: install-test check  ## Run linters, types, import rules and all tests but the slow ones.
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 RAYON_NUM_THREADS=1 \
	    $(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: install-test  ## Run the slow tests: long physics.
	$(BIN)/python -m pytest -m slow

check: install-test  ## Run ruff, mypy and the import rules.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy oracle surrogate agents orchestrator tests benchmarks
	$(BIN)/lint-imports

format: install-test  ## Let ruff fix and format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: install-test  ## Measure the quick tables of benchmarks/README.md.
	$(BIN)/python benchmarks/loop.py
	$(BIN)/python benchmarks/confirm.py

dft: $(VENV)/.dft  ## Run one compound by DFT from start to end, compared with 7net-0.
	$(BIN)/python benchmarks/dft.py "$(DFT_HOME)" $(DFT_CORES)

clean:  ## Remove build files, caches and the demo's home, but not .venv.
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis "$(DEMO_HOME)"
