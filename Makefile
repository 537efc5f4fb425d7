# make            build .venv with the locked, hashed dependencies
# make run        start the demo on http://127.0.0.1:8000 (PORT and DATA_DIR choose another place)
# make test       run all tests (ARGS="tests/test_x.py -k name" chooses some)
# make lint       style, types and import rules
# make wheel      build the wheel into dist
# make docs       build the documentation as a site into build/docs
# make lock       resolve the dependencies again
# make screenshots  retake the pictures in docs/screenshots
# make ci         what has to pass before a change lands
# make clean      remove what was built; .data, the demo's database, stays

SHELL := /bin/sh
.DEFAULT_GOAL := venv
.DELETE_ON_ERROR:
.PHONY: venv venv-dev venv-bench run test lint format wheel docs lock screenshots ci clean

PORT ?= 8000
DATA_DIR ?= .data
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# The first interpreter that is new enough and can make virtual environments.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
  echo $$p; break; fi; done)

# A stamp is named after what it was built from: the lock, the project's own metadata and this
# directory. A changed lock or a moved clone is installed anew, anything else is not touched.
stamp = $(VENV)/.$(1)-$(firstword $(shell (cat $(2) pyproject.toml; echo '$(CURDIR)') 2>/dev/null | cksum))
STAMP := $(call stamp,run,requirements.lock)
STAMP_DEV := $(call stamp,dev,requirements-dev.lock)
STAMP_BENCH := $(call stamp,bench,requirements-bench.lock)

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes

venv: $(STAMP)
venv-dev: $(STAMP_DEV)
venv-bench: $(STAMP_BENCH)

# Makes .venv unless one is there that works.
define make_venv
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python 3.11 or newer with the venv module is needed (Debian: apt install python3 python3-venv)." >&2; \
	  echo "Name another one with: make PYTHON=/path/to/python" >&2; exit 1; fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
endef

# The project itself is installed in place, without asking an index for anything.
define install_project
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation --no-index --editable .
endef

$(STAMP):
	$(make_venv)
	@echo "Installing the locked dependencies"
	@$(INSTALL) -r requirements.lock
	$(install_project)
	@rm -f $(VENV)/.run-* && touch $@

$(STAMP_DEV):
	$(make_venv)
	@echo "Installing the locked dependencies, with those of the tests"
	@$(INSTALL) -r requirements-dev.lock
	$(install_project)
	@rm -f $(VENV)/.dev-* $(VENV)/.run-* && touch $@ $(STAMP)

$(STAMP_BENCH):
	$(make_venv)
	@echo "Installing the locked dependencies, with those of the benchmarks"
	@$(INSTALL) -r requirements-bench.lock
	$(install_project)
	@rm -f $(VENV)/.bench-* $(VENV)/.dev-* $(VENV)/.run-* && touch $@ $(STAMP_DEV) $(STAMP)

run: $(STAMP)
	@PORT='$(PORT)' DATA_DIR='$(DATA_DIR)' exec $(BIN)/python manage.py run

# On your own server (DATABASE_URL) one after the other: they would hold back each other's sealing.
SIDE_BY_SIDE := $(if $(DATABASE_URL),,--numprocesses=3 --dist=loadfile --no-loadscope-reorder)

test: $(STAMP_DEV)
	@DOTENV_TEST=1 exec $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

lint: $(STAMP_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	DOTENV_TEST=1 $(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(STAMP)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-input --no-deps \
	  --no-build-isolation --no-index --wheel-dir dist .

# A warning, such as a link that leads nowhere, is an error.
docs: $(STAMP_DEV)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs build/docs

# Every lock is resolved for all platforms and Python versions, and each holds the one before it.
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-emit-find-links \
  --custom-compile-command 'make lock' $(ARGS)
LOCK_RUN = $(LOCK) --extra build --extra server --extra demo

lock: $(STAMP_DEV)
	$(LOCK) --output-file requirements-command.lock
	$(LOCK_RUN) --constraint requirements-command.lock --output-file requirements.lock
	$(LOCK_RUN) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK_RUN) --extra dev --extra bench --constraint requirements-dev.lock --output-file requirements-bench.lock

# From a separate demo, into docs/screenshots; needs a Chromium.
screenshots: $(STAMP_DEV)
	$(BIN)/python -m tests.browser.screenshots

ci:
	@bash .ci/run

clean:
	rm -rf $(VENV) *.egg-info build dist staticfiles .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -not -path './.data/*' -exec rm -rf {} +
