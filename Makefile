PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
# More than there may be cores, since tests wait for processes. A file's share theirs, so they stay
# together.
PYTEST = $(BIN)/python -m pytest --numprocesses 3 --dist loadfile
# What meets the database inside the test's own process; the servers of the rest choose theirs.
ON_BOTH := $(addprefix tests/,admin agents bindings database feed files operations push runners store test_authentication.py)

.DEFAULT_GOAL := help
.PHONY: help run cluster worker test lint format docs bench clean

help: ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/run.stamp ## Serve the reference project on 127.0.0.1:$(PORT)
	@$(BIN)/python manage.py migrate --verbosity 0
	@PORT=$(PORT) $(BIN)/python manage.py welcome
	@PORT=$(PORT) exec $(BIN)/daphne -b 127.0.0.1 -p $(PORT) project.asgi:application

cluster: $(VENV)/cluster.stamp ## Run two servers and two workers on PostgreSQL and Redis of their own
	@exec $(BIN)/python manage.py cluster

worker: $(VENV)/run.stamp ## Run one more worker, with the DATABASE_URL and REDIS_URL of the servers
	@case "$$DATABASE_URL" in postgres*) ;; *) \
	  echo "A worker takes its turns from PostgreSQL: set DATABASE_URL=postgresql://… and REDIS_URL" \
	    "as the servers have them, or try \`make cluster\`." >&2; exit 1;; esac
	@A2A_RUNNER=procrastinate exec $(BIN)/python manage.py a2a_worker

test: $(VENV)/dev.stamp ## Run every test: on SQLite, then what meets the database on PostgreSQL
	$(PYTEST)
	A2A_TEST_DATABASE=postgresql $(PYTEST) $(ON_BOTH)

lint: $(VENV)/dev.stamp ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs.stamp ## Build the documentation site in build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/dev.stamp ## Measure for an hour, and write the pages on performance
	$(BIN)/python -m benchmarks --write
	$(BIN)/python -m benchmarks.chunk_cost 9
	$(BIN)/python -m benchmarks.layers 3

clean: ## Remove what the commands have made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info db.sqlite3*

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[project]'
	@touch $@

$(VENV)/cluster.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[cluster]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/cluster.stamp $(VENV)/docs.stamp $(VENV)/run.stamp
