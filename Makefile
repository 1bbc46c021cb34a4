SHELL := /bin/bash
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
UV_VERSION := 0.13.9
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

SOURCE ?=
DATASET ?=
PORT ?= 3000

help: ## list every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The lock file decides: it is newer than the stamp, or nothing is to be done.
$(READY): uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "Churnflow needs Python 3.11 or 3.12; say which with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(PY) -m uv sync --frozen --inexact --compile-bytecode --quiet
	@touch $@

install: $(READY) ## create .venv and install the locked packages (the other targets do it by themselves)
