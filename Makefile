PYTHON ?= python3
PORT ?= 8000
# A port for gRPC; empty: it is not served.
GRPC ?=
# A release of Django to test with, such as 6.1; empty: the newest that this Python has.
DJANGO ?=
# Each release has an environment of its own, and so have the lowest versions of everything.
VENV := .venv$(if $(DJANGO),-django$(DJANGO))
LOWEST := .venv-lowest
RAISED := asgiref|channels|httpx
BIN := $(VENV)/bin
# Empty, or each server that a test starts would compile the app anew.
export PYTHONDONTWRITEBYTECODE =
# More than there may be cores, since tests wait for processes. A file's share theirs, so they stay
# together, in the order of tests/conftest.py.
PYTEST = $(BIN)/python -m pytest $(PARALLEL)
PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# Tests that start no server, and that do not try many inputs or fill tables. What needs servers,
# frameworks, the site of the documentation, a wheel or whole projects is not even loaded.
FAST := --numprocesses 3 --dist loadfile \
  $(addprefix --ignore tests/,acceptance browser contrib test_packaging.py test_projects.py test_site.py) --ignore-glob '*/test_mangled*.py' -m 'not servers and not hypothesis and not slow'
# What meets the database inside the test's own process; the servers of the rest choose theirs. Of the
# bindings that is what stores what nobody has chosen: the database does not show in the others.
ON_POSTGRESQL := $(addprefix tests/,admin agents database feed files operations pages push runners store \
  $(addprefix bindings/test_,callers.py golden.py ids.py mangled.py mangled_rest.py) \
  test_authentication.py test_import_sdk_command.py)
# What is tried there only, though it passes on both: PostgreSQL is stricter about values, and has plans.
ONCE := $(addprefix tests/,bindings/test_mangled.py bindings/test_mangled_rest.py operations/test_plans.py)
# What meets PostgreSQL, Redis and the queues.
MEET_DEPENDENCIES := tests/layers tests/runners tests/acceptance/test_workers.py tests/acceptance/test_two_processes.py

.DEFAULT_GOAL := help
.PHONY: help messages screenshots run cluster worker test test-sqlite test-postgresql test-fast test-lowest coverage \
  lint audit format docs bench tck dist publish clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

run: $(VENV)/$(if $(GRPC),grpc,run).stamp ## Serve the reference project on 127.0.0.1:$(PORT); GRPC=50051 serves gRPC there
	@$(BIN)/python manage.py migrate --verbosity 0
	@PORT=$(PORT) $(BIN)/python manage.py welcome
ifeq ($(GRPC),)
	@PORT=$(PORT) exec $(BIN)/daphne -b 127.0.0.1 -p $(PORT) project.asgi:application
else
	@export PORT=$(PORT) A2A_GRPC_URL=127.0.0.1:$(GRPC) A2A_PUBLIC_URL=http://127.0.0.1:$(PORT); \
	  trap 'kill $$grpc $$http 2>/dev/null; wait' EXIT; trap exit INT TERM; \
	  $(BIN)/python manage.py a2a_grpc --port $(GRPC) & grpc=$$!; \
	  $(BIN)/daphne -b 127.0.0.1 -p $(PORT) project.asgi:application & http=$$!; wait $$http
endif

cluster: $(VENV)/cluster.stamp ## Run servers of HTTP and gRPC, and two workers, on PostgreSQL and Redis of their own
	@exec $(BIN)/python manage.py cluster

worker: $(VENV)/run.stamp ## Run one more worker, with the DATABASE_URL and REDIS_URL of the servers
	@case "$$DATABASE_URL" in postgres*) ;; *) \
	  echo "A worker takes its turns from PostgreSQL: set DATABASE_URL=postgresql://… and REDIS_URL" \
	    "as the servers have them, or try \`make cluster\`." >&2; exit 1;; esac
	@A2A_RUNNER=procrastinate exec $(BIN)/python manage.py a2a_worker

test: test-sqlite test-postgresql ## Run every test; DJANGO=6.1 takes that release of Django

test-sqlite: $(VENV)/dev.stamp $(VENV)/chromium.stamp ## Run the tests with SQLite inside their own process
	$(PYTEST) $(addprefix --ignore ,$(ONCE))

test-postgresql: $(VENV)/dev.stamp ## Run what meets the database, with PostgreSQL
	A2A_TEST_DATABASE=postgresql $(PYTEST) $(ON_POSTGRESQL)

test-fast: $(VENV)/dev.stamp ## Run what takes less than a minute and needs no server
	$(BIN)/python -m pytest $(FAST)

test-lowest: $(LOWEST)/stamp ## Run what meets dependencies, with the lowest versions of them
	$(LOWEST)/bin/python -m pytest $(PARALLEL) -m 'not servers' --ignore tests/contrib
	A2A_TEST_DATABASE=postgresql $(LOWEST)/bin/python -m pytest $(PARALLEL) $(MEET_DEPENDENCIES)

coverage: $(VENV)/dev.stamp ## Measure what the fast tests cover, and write htmlcov/
	$(BIN)/python -m pytest $(FAST) --cov --cov-report term --cov-report html

lint: $(VENV)/dev.stamp ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tck: $(VENV)/dev.stamp ## Run the official conformance suite, of which TCK=<path> is a clone
	@$(BIN)/python -m tests.conformance.tck $(TCK)

audit: $(VENV)/dev.stamp ## Ask whether a dependency has a security hole that is known
	$(BIN)/python -m pip_audit --local --skip-editable --progress-spinner off

format: $(VENV)/dev.stamp ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs.stamp ## Build the documentation site in build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

messages: $(VENV)/dev.stamp ## Collect the texts of the pages, and compile them (needs gettext)
	for app in a2a_app project; do (cd $$app && ../$(BIN)/django-admin makemessages --all --no-location --no-wrap && \
	  ../$(BIN)/django-admin compilemessages) || exit 1; done

screenshots: $(VENV)/dev.stamp $(VENV)/chromium.stamp ## Take the pictures of the documentation anew
	DJANGO_SETTINGS_MODULE=tests.browser.settings $(BIN)/python -m tests.browser.screenshots

bench: $(VENV)/dev.stamp ## Measure for an hour, and write the pages on performance
	$(BIN)/python -m benchmarks --write
	$(BIN)/python -m benchmarks.chunk_cost 9
	$(BIN)/python -m benchmarks.layers 3

dist: $(VENV)/release.stamp ## Build the package into dist/, and check it
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

publish: $(VENV)/release.stamp ## Publish dist/ as release.yml does: it needs the token of that workflow
	$(BIN)/uv publish --trusted-publishing always dist/*

clean: ## Remove what the commands have made
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info db.sqlite3* \
	  .coverage htmlcov

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[project]'
	@touch $@

$(VENV)/grpc.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[grpc,project]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/cluster.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[cluster]'
	@touch $@ $(VENV)/grpc.stamp $(VENV)/run.stamp

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

$(VENV)/release.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]' $(if $(DJANGO),'django~=$(DJANGO).0')
	@touch $@ $(VENV)/cluster.stamp $(VENV)/grpc.stamp $(VENV)/docs.stamp $(VENV)/release.stamp $(VENV)/run.stamp

# The browser of tests/browser, which fail without one.
$(VENV)/chromium.stamp: tests/browser/chromium.py $(VENV)/dev.stamp
	$(BIN)/python -m tests.browser.chromium
	@touch $@

# The frameworks of tests/contrib need newer versions than the app does.
# First all that the tests need, then the app's own dependencies as low as they may be, and theirs.
# Last come those for which an extra asks for more than the app itself does.
$(LOWEST)/stamp: pyproject.toml $(VENV)/dev.stamp
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip compile --quiet --python $(LOWEST) --resolution lowest-direct \
	  --extra project --extra celery --extra grpc --extra oidc --extra prometheus --extra signing --output-file $(LOWEST)/lowest.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(LOWEST) --editable '.[dev]'
	$(BIN)/uv pip install --quiet --python $(LOWEST) --requirements $(LOWEST)/lowest.txt
	$(BIN)/uv pip compile --quiet --python $(LOWEST) --resolution lowest-direct pyproject.toml \
	  | grep -E '^($(RAISED))==' > $(LOWEST)/raised.txt
	$(BIN)/uv pip install --quiet --python $(LOWEST) --no-deps --requirements $(LOWEST)/raised.txt
	@touch $@
