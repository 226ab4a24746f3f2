# `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
GENERATORS := $(VENV)/generators
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --group build
# More than two cores have: half of the suite's time is waiting, for disks, locks and deadlines. In the order of their
# names no long file is left for the end, when all workers but one would have nothing to do.
PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install run test test-system test-browser test-long crash soak bench check format lock docs catalogs

help: ## list all targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## create .venv with the server and its command .venv/bin/shopbell

run: install ## start the server with a demo shop at http://127.0.0.1:8080
	@$(BIN)/shopbell demo

test: $(VENV)/.installed-dev ## the whole test suite, with a real PostgreSQL
	$(BIN)/python -m pytest $(PARALLEL)

test-system: $(VENV)/.installed-dev $(VENV)/.installed-node $(GENERATORS)/.installed ## tests against programs of the system (Debian: apt-get install varnish pgbouncer nodejs npm)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/system

test-browser: $(VENV)/.installed-dev ## widget and pages in Chromium, Firefox and WebKit (packages: .ci/run)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/browser

test-long: $(VENV)/.installed-dev ## the whole suite with every process started from nothing (long)
	SHOPBELL_PLAIN_STARTS=1 $(BIN)/python -m pytest $(PARALLEL)

crash: $(VENV)/.installed-dev ## 100 times kill -9 under load on each engine (long)
	SHOPBELL_CRASH_KILLS=100 $(BIN)/python -m pytest tests/crash

soak: $(VENV)/.installed-dev ## 10,000 events under fire on each engine, 100 kills, and how late they arrive (long)
	SHOPBELL_FIRE_EVENTS=10000 SHOPBELL_FIRE_KILLS=100 SHOPBELL_FIRE_P99_S=1 $(BIN)/python -m pytest tests/fire

bench: $(VENV)/.installed-dev ## measure the server and print a table with ratios (needs wrk; long)
	$(BIN)/python -m bench

check: $(VENV)/.installed-dev ## formatting, lint, types, import contracts, unused dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

format: $(VENV)/.installed-dev ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## make docs/settings.md anew from the settings
	$(BIN)/python -m shopbell.settings_reference > docs/settings.md

catalogs: install ## bring the translations up to the texts in the source
	$(BIN)/python -m shopbell.catalogs

lock: $(VENV)/.installed-dev ## lock all dependencies anew, with hashes
	$(COMPILE) --upgrade --output-file requirements.txt
	$(COMPILE) --upgrade --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(subst pyproject.toml --quiet,tests/system/requirements.in --quiet,$(subst --group build,,$(COMPILE))) --upgrade --output-file tests/system/requirements.txt

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Shopbell needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing Shopbell into $(VENV) …' >&2
	@$(PIP) --require-hashes --requirement requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo 'Installing what tests and checks need …' >&2
	@$(PIP) --require-hashes --requirement requirements-dev.txt
	@touch $@

# `npm ci` takes what the lock file names and nothing else, and runs no scripts of packages.
$(VENV)/.installed-node: tests/system/package.json tests/system/package-lock.json $(VENV)/.installed-dev
	@command -v npm >/dev/null || { echo 'These tests need Node.js 18.20 or newer and npm (Debian: apt-get install nodejs npm)' >&2; exit 1; }
	@echo 'Installing what tests need of Node.js …' >&2
	@npm ci --prefix tests/system --loglevel=error >&2
	@touch $@

$(GENERATORS)/.installed: tests/system/requirements.txt
	@echo 'Installing generators of API clients …' >&2
	@$(PYTHON) -m venv $(GENERATORS)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(GENERATORS)/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@
