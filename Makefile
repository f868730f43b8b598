# Everything runs in .venv, which `make setup` fills from the hashed locks. `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
TESTS  ?= tests
# Processes that share the tests, each with the servers that its own ones need; 0: all in one process.
WORKERS ?= 2

export UV_NO_PROGRESS = 1

.DEFAULT_GOAL := help
.PHONY: help setup run test test-unit test-long servers stack check fix bench screenshots lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## make .venv with uv, postlog and everything it needs

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(UV) || $(BIN)/pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

run: setup ## start the whole system in one process on SQLite (PORT and POSTLOG_DATA are honoured)
	@exec $(BIN)/postlog run

test: setup servers ## run every test but the long ones, on real servers
	$(BIN)/pytest $(TESTS) -m "not long" -n $(WORKERS) --dist loadfile

test-unit: setup ## run the tests that need no server: two minutes
	$(BIN)/pytest tests/unit -m "not long"

test-long: setup servers ## run the tests that take minutes
	$(BIN)/pytest $(TESTS) -m long --timeout 1800

servers: setup ## make the servers of the tests available: MongoDB, Kafka, PostgreSQL
	PYTHONPATH=deploy $(BIN)/python -m local.setup

stack: setup servers ## start the distributed system on this machine with real servers, and print the addresses
	PYTHONPATH=deploy $(BIN)/python -m local.stack

check: setup ## check format, lint, types, import contracts and the catalogue of events; edits nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy deploy/local
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m adapters.wire.catalogue

fix: setup ## format, mend what ruff can mend, and write what follows from the classes of events
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m adapters.wire.catalogue --write

bench: setup servers ## measure the ratios of docs/benchmarks.md and write them to bench-results/
	PYTHONPATH=deploy:. $(BIN)/python -m benchmarks

screenshots: setup servers ## make the pictures of docs/screenshots (POSTS=file shows these posts instead of the story)
	PYTHONPATH=deploy:tests $(BIN)/python -m browsing.screenshots $(if $(POSTS),--posts $(POSTS))

lock: setup ## bring both locks up to date with pyproject.toml
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --output-file requirements.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --group dev --output-file requirements-dev.txt

clean: ## remove what the targets made, but not your data under var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-results dist
