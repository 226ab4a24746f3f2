# `make` alone lists the targets.
PYTHON ?= python3
# Another Python gets an environment of its own: `make test PYTHON=python3.13` uses .venv-3.13.
VENV := .venv$(if $(filter-out file,$(origin PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
BIN := $(VENV)/bin
GENERATORS := $(VENV)/generators
RELEASE := $(VENV)/release
DOCSITE := $(VENV)/docsite
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --upgrade
LOCK_SERVER := $(LOCK) pyproject.toml --group build --extra nats --extra otel --extra postgres --extra s3
# One more than two cores: a test also waits. The longest tests of a worker are not left for the end.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist worksteal
FAST := tests/unit tests/api tests/engines tests/smoke clients/python/tests
# `make test K=words` runs the tests whose names have the words: `make test K="webhook and signed"`.
WORDS := $(if $(K),-k "$(K)")
# The page of the inbox, and its sources.
PAGE := web/dist/index.html
PAGE_SOURCES := hatch_build.py $(wildcard web/*.json web/*.ts web/*.html web/plugins/* web/locales/* web/public/* web/src/* web/src/*/*)

# Without bytecode, every process would compile everything that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run free-port test test-all test-rest test-system test-browser test-long test-deploy test-install crash soak bench bench-cpu simulate guard-store check format lock docs settings images migration types catalogs formats release

help: ## list all targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(VENV)/.installed $(PAGE) ## create .venv with the server and its command .venv/bin/shopbell

run: free-port install ## start the server with a demo shop at http://127.0.0.1:8080
	@$(BIN)/shopbell demo

free-port:
	@$(PYTHON) -I src/shopbell/operations/demo_port.py

test: $(VENV)/.installed-dev $(PAGE) ## tests that run in one process, and a smoke test: eight minutes (K="words" selects tests)
	$(PYTEST) $(FAST) $(WORDS)

test-all: test test-rest test-system ## all tests except those in browsers: half an hour (Debian packages: .ci/run)

test-rest: $(PAGE) $(VENV)/.installed-all ## the tests that `make test` leaves out: processes, crashes, races, and each route on PostgreSQL
	$(PYTEST) --rest tests $(WORDS)

test-system: $(PAGE) $(VENV)/.installed-all $(VENV)/.installed-node $(GENERATORS)/.installed ## tests with system programs (Debian: varnish pgbouncer prometheus nodejs npm)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/system $(WORDS)

test-deploy: $(PAGE) $(VENV)/.installed-all $(VENV)/.installed-deploy ## Shopbell behind and beside other servers, as root (Debian packages: tests/deploy/packages.txt)
	$(BIN)/python -m pytest tests/deploy $(WORDS)

test-browser: $(PAGE) $(VENV)/.installed-all $(VENV)/.installed-node ## widget and pages in Chromium, Firefox and WebKit (packages: .ci/run)
	npm ci --silent --prefix tests/browser/sites
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/browser $(WORDS)

images: $(PAGE) $(VENV)/.installed-all ## take the images of the inbox's states for docs/images: look at them before you commit
	SHOPBELL_KEEP_IMAGES=1 $(BIN)/python -m pytest tests/browser/test_inbox_looks.py tests/browser/test_inbox_list_looks.py \
		tests/browser/test_inbox_states.py $(WORDS)

test-long: $(PAGE) $(VENV)/.installed-all ## `make test-rest` without preloaded processes, and with new random examples (long)
	SHOPBELL_PLAIN_STARTS=1 $(PYTEST) $(FAST)
	SHOPBELL_PLAIN_STARTS=1 $(PYTEST) --rest tests

crash: $(PAGE) $(VENV)/.installed-dev ## 100 times kill -9 under load on each engine (long)
	SHOPBELL_CRASH_KILLS=100 $(BIN)/python -m pytest --timeout 0 tests/crash

soak: $(PAGE) $(VENV)/.installed-dev ## 10,000 events and 100 kills on each engine; measures how late events arrive (long)
	SHOPBELL_FIRE_EVENTS=10000 SHOPBELL_FIRE_KILLS=100 SHOPBELL_FIRE_P99_S=1 $(BIN)/python -m pytest --timeout 0 tests/fire

bench: $(PAGE) $(VENV)/.installed-all ## measure the server and print a table with ratios (needs wrk; long)
	$(BIN)/python -m bench

simulate: $(VENV)/.installed-dev ## simulate a hundred organizations, and measure the server (two minutes; bench/simulate.py has options)
	$(BIN)/python -m bench.simulate

bench-cpu: $(VENV)/.installed-dev ## compare the CPU time of a message with an earlier commit's (two minutes)
	$(BIN)/python -m bench.cpu

guard-store: $(VENV)/.installed-dev ## store the instruction count of a message, with which `make check` compares
	$(BIN)/python -m bench.instructions --store

check: $(VENV)/.installed-dev $(PAGE) ## formatting, lint, types, import contracts, unused dependencies, cost of a message
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/python hatch_build.py check
	$(BIN)/deptry clients/python/src --config clients/python/pyproject.toml
	$(BIN)/python -m bench.instructions

format: $(VENV)/.installed-dev $(PAGE) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python hatch_build.py format

docs: $(VENV)/.installed $(DOCSITE)/.installed ## build the documentation as a website into site/, and check its links (needs Node.js)
	$(BIN)/python -m docsite.build

settings: install ## generate docs/settings.md from the settings
	$(BIN)/python -m shopbell.settings.reference > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md

migration: $(VENV)/.installed ## write a migration for what has changed in the schema (WHAT="add job titles")
	$(BIN)/python -m shopbell.db.new_migration "$(or $(WHAT),$(error say what the migration does: make migration WHAT="add job titles"))"

types: install ## write the API's types for the inbox, web/src/api/schema.ts
	$(BIN)/python web/schema.py

catalogs: $(VENV)/.installed-dev ## update the translation catalogs from the source
	$(BIN)/python -m shopbell.i18n.extract

formats: $(VENV)/.installed-dev ## write the formats of dates and numbers, src/shopbell/i18n/cldr.json, from babel
	$(BIN)/python -m shopbell.i18n.cldr_table

release: $(VENV)/.installed-all $(PAGE) $(RELEASE)/.installed ## build all that a release consists of into dist/
	$(BIN)/python release/build.py

test-install: release ## install dist/ in each way into new Debian systems, as root (Debian packages: tests/install/packages.txt)
	$(BIN)/python -m pytest --timeout 1800 tests/install $(WORDS)

lock: $(VENV)/.installed-all ## lock the newest versions of all dependencies, with hashes
	$(LOCK_SERVER) --output-file requirements.txt
	$(LOCK_SERVER) clients/python/pyproject.toml --group dev --constraint requirements.txt --output-file requirements-dev.txt
	$(LOCK_SERVER) clients/python/pyproject.toml --group dev --group all --constraint requirements-dev.txt --output-file requirements-all.txt
	$(LOCK) tests/system/requirements.in --output-file tests/system/requirements.txt
	$(LOCK) tests/deploy/requirements.in --output-file tests/deploy/requirements.txt
	$(LOCK) release/requirements.in --output-file release/requirements.txt
	$(LOCK) docsite/requirements.in --output-file docsite/requirements.txt
	@# The time zones of phone numbers are in this package only.
	$(BIN)/python -m pip download --quiet --no-deps --dest $(VENV)/phonenumbers $$(sed -n 's/^phonenumberslite\(==[0-9.]*\).*/phonenumbers\1/p' requirements.txt)
	$(BIN)/python -m shopbell.notifications.phone_time_zones "$$(ls -t $(VENV)/phonenumbers/*.whl | head -1)"

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Shopbell needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing Shopbell into $(VENV) …' >&2
	@$(PIP) --require-hashes --requirement requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# It is built by the machine's Node.js, or by one from a wheel.
$(PAGE): $(PAGE_SOURCES) | $(VENV)/.installed
	@echo 'Building the inbox …' >&2
	@$(BIN)/python hatch_build.py && touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt clients/python/pyproject.toml
	@echo 'Installing what tests and checks need …' >&2
	@$(PIP) --require-hashes --requirement requirements-dev.txt
	@$(PIP) --no-deps --no-build-isolation --editable clients/python
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed-dev requirements-all.txt
	@echo 'Installing what all tests and the benchmark need …' >&2
	@$(PIP) --require-hashes --requirement requirements-all.txt
	@touch $@

$(VENV)/.installed-deploy: tests/deploy/requirements.txt $(VENV)/.installed-all
	@$(PIP) --require-hashes --requirement tests/deploy/requirements.txt
	@touch $@

# `npm ci` takes what the lock file names and nothing else, and runs no scripts of packages.
$(VENV)/.installed-node: tests/system/package.json tests/system/package-lock.json $(VENV)/.installed-all
	@command -v npm >/dev/null || { echo 'These tests need Node.js 18.20 or newer and npm (Debian: apt-get install nodejs npm)' >&2; exit 1; }
	@echo 'Installing what tests need of Node.js …' >&2
	@npm ci --prefix tests/system --loglevel=error >&2
	@touch $@

$(RELEASE)/.installed: release/requirements.txt
	@echo 'Installing what lists the packages of a release …' >&2
	@$(PYTHON) -m venv $(RELEASE)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(RELEASE)/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@

$(DOCSITE)/.installed: docsite/requirements.txt docsite/package.json docsite/package-lock.json
	@command -v npm >/dev/null || { echo 'The documentation site needs Node.js 20.19 or newer and npm (Debian: apt-get install nodejs npm)' >&2; exit 1; }
	@echo 'Installing what builds the documentation site …' >&2
	@$(PYTHON) -m venv $(DOCSITE)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(DOCSITE)/bin/python -m pip install --quiet --require-hashes --requirement $<
	@npm ci --prefix docsite --ignore-scripts --loglevel=error >&2
	@touch $@

$(GENERATORS)/.installed: tests/system/requirements.txt
	@echo 'Installing generators of API clients …' >&2
	@$(PYTHON) -m venv $(GENERATORS)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(GENERATORS)/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@
