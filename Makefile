# Everything happens in .venv, which is made when it is missing. `make demo` is the place to begin.
#
# TORCH chooses the torch build that is installed first, so that a machine without a GPU need not
# fetch CUDA:
#   make demo TORCH=torch==2.13.0                                  (default)
#   make demo TORCH="torch --index-url <address of the CPU wheels, from pytorch.org>"

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
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
	$(PIP) install --quiet "$(firstword $(TORCH))" $(wordlist 2,9,$(TORCH))
	touch $@

$(VENV)/.run: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) install --quiet --constraint constraints.txt --editable ".[sevenn,chgnet,dpa4]"
	$(BIN)/phonoscout potentials fetch dpa4-neo-0704 > /dev/null
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) install --quiet --constraint constraints.txt --editable ".[sevenn,chgnet,dpa4,test]"
	touch $@

# GPAW is built from source, so its libraries come first; where they are, root is not needed.
$(VENV)/.dft: $(VENV)/.run
	if command -v apt-get >/dev/null && ! dpkg -s $(DFT_APT) >/dev/null 2>&1; then \
	    if [ "$$(id -u)" = 0 ]; then apt-get install -y $(DFT_APT); \
	    else sudo apt-get install -y $(DFT_APT); fi; fi
	$(PIP) install --quiet --constraint constraints.txt --editable ".[sevenn,chgnet,dpa4,dft]"
	touch $@

install: $(VENV)/.run  ## Install phonoscout with the potentials that ship their weights.

install-test: $(VENV)/.test  ## The same with what the tests need.

demo: install  ## A real campaign: 10 minutes on 2 cores at most.
	rm -rf "$(DEMO_HOME)"
	$(BIN)/phonoscout launch configs/quickstart.yaml --home "$(DEMO_HOME)"

test: install-test check  ## Linters, types, layers and all but the slow tests.
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile

test-slow: install-test  ## The long physics.
	$(BIN)/python -m pytest -m slow

check: install-test  ## Ruff, mypy and the layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy oracle surrogate agents orchestrator tests benchmarks
	$(BIN)/lint-imports

format: install-test  ## Let ruff rewrite what it can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: install-test  ## The measured tables of benchmarks/README.md.
	$(BIN)/python benchmarks/loop.py
	$(BIN)/python benchmarks/confirm.py

dft: $(VENV)/.dft  ## One compound by DFT from start to end, beside 7net-0.
	$(BIN)/python benchmarks/dft.py "$(DFT_HOME)" $(DFT_CORES)

clean:  ## Remove what was built and the demo's home; the virtual environment stays.
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis "$(DEMO_HOME)"
