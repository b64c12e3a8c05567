# Two commands do everything on a fresh machine with Python 3.11+: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Each of some thousand Pythons of a test run would compile what it imports, and each of pytest's workers all tests.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.locked
SERVICES := .venv/services
SERVICES_STAMP := $(SERVICES)/.locked
LOCKS := requirements-bootstrap.txt requirements.lock
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --no-annotate -q
CODE := src tests benchmarks

.PHONY: help setup services demo test check lint types contracts unit bench chaos lock docs format clean

help: ## what there is to type
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## a virtual environment in .venv from the pinned lock (done by the others when needed)

$(STAMP): $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mediaworker needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.txt
	UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@# The project itself, without another resolution: a path file and the command.
	@$(BIN)/python -c 'import pathlib, site; pathlib.Path(site.getsitepackages()[0], "mediaworker.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@printf '#!/bin/sh\nexec "%s/.venv/bin/python" -m src.interfaces.cli.app "$$@"\n' "$$PWD" > $(BIN)/mediaworker && chmod +x $(BIN)/mediaworker
	@touch $(STAMP)

services: $(SERVICES_STAMP) ## the servers that the tests start: PostgreSQL, Redis, S3, SQS (done by the others when needed)

$(SERVICES_STAMP): requirements-services.txt $(STAMP)
	$(PYTHON) -m venv --clear --without-pip $(SERVICES)
	UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip sync --quiet --compile-bytecode --python $(SERVICES)/bin/python --require-hashes requirements-services.txt
	@touch $(SERVICES_STAMP)

demo: $(STAMP) ## a real video becomes a playable HLS stream; FILE=path takes yours
	@# FILE reaches the shell as a variable, so that any name is one word and never a command.
	@$(BIN)/mediaworker demo $${FILE:+"$$FILE"}

test: check unit ## lint, types, import contracts, every test

check: lint types contracts ## what needs no running code

lint: $(STAMP)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

unit: $(SERVICES_STAMP)
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not chaos"

chaos: $(SERVICES_STAMP) ## long crash storms with real processes
	$(BIN)/python -m pytest -m chaos -s

bench: $(SERVICES_STAMP) ## measurements, as ratios of runs side by side
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## regenerate the reference pages
	$(BIN)/python -m src.interfaces.cli.app config schema --markdown > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

format: $(STAMP)
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lock: $(STAMP) ## resolve anew; the locks name no registry
	$(COMPILE) --extra ffmpeg --extra worker --group dev -o requirements.lock
	$(COMPILE) --extra worker -o requirements-worker.txt
	$(subst pyproject.toml,--group services,$(COMPILE)) -o requirements-services.txt
	@# The image's ffmpeg stage: that wheel alone, in the version of the lock.
	echo imageio-ffmpeg | $(subst pyproject.toml,-,$(COMPILE)) --constraint requirements.lock -o requirements-ffmpeg.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
