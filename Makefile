# Everything runs in .venv, which is installed from the hashed locks: `make run` installs the service's dependencies
# (190 MB), the other targets also those of the developers (730 MB). `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
TESTS  ?= tests
# Processes that run the tests, each with the servers that its own tests need; 0: all in one process.
WORKERS ?= 2

export UV_NO_PROGRESS = 1

.DEFAULT_GOAL := help
.PHONY: help setup run test test-unit test-long simulate mutants mutate torture servers stack check fix bench soak curves screenshots lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## create .venv with uv, postlog and the developers' tools (730 MB)

$(VENV)/.uv: requirements-build.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.uv requirements-dev.txt pyproject.toml
	@echo "Installing Postlog and its developers' tools into $(VENV) (730 MB) ..."
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements.txt pyproject.toml
	@echo "Installing what Postlog needs into $(VENV) (190 MB) ..."
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $@

# The developers' environment includes it.
run: $(if $(wildcard $(VENV)/.installed),$(VENV)/.installed,$(VENV)/.runtime) ## start the whole system in one process on SQLite (uses PORT and POSTLOG_DATA)
	@exec $(BIN)/postlog run

test: setup servers ## run all tests except the long ones, on real servers
	$(BIN)/pytest $(TESTS) -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-unit: setup ## run the tests that need no server: two minutes
	$(BIN)/pytest tests/unit -m "not long"

test-long: setup servers ## run the tests that take minutes
	$(BIN)/pytest $(TESTS) -m long --timeout 1800

SEEDS ?= 0-9999
simulate: setup ## run the seeds SEEDS (one, or first-last) of the simulation with injected faults in WORKERS processes
	PYTHONPATH=tests $(BIN)/python -m simulation $(SEEDS) --workers $(WORKERS)

mutants: setup ## take each protection of tests/simulation/mutants.toml out of a copy of the code, and check that it is missed (NAMES=…: only these)
	PYTHONPATH=tests WORKERS=$(WORKERS) $(BIN)/python -m simulation.mutants $(NAMES)

mutate: setup ## change src/domain and src/application/projections in 1,400 places, one at a time, and list the changes that no unit test notices
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) run --no-project --active --with mutmut==3.8.1 mutmut run --max-children $(WORKERS)
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) run --no-project --active --with mutmut==3.8.1 mutmut results

MINUTES ?= 30
SEED ?= 1
RATE ?= 150
FAULTS ?= 16
torture: setup servers ## run the distributed system on real servers for MINUTES, RATE commands a second, FAULTS faults a round, and compare every answer with the log
	PYTHONPATH=tests:deploy $(BIN)/python -m torture --minutes $(MINUTES) --seed $(SEED) --rate $(RATE) --faults $(FAULTS)

servers: setup ## install the servers that the tests use: MongoDB, Kafka, PostgreSQL (POSTLOG_APT=no installs no Debian packages)
	PYTHONPATH=deploy $(BIN)/python -m local.setup

stack: setup servers ## start the distributed system on this machine with real servers, and print the addresses
	PYTHONPATH=deploy $(BIN)/python -m local.stack

check: setup ## check format, lint, types, import contracts and the catalogue of events; edits nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy deploy/local benchmarks
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.catalogue

fix: setup ## format, apply ruff's fixes, and write the files that are generated from the classes of events
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m tools.catalogue --write

bench: setup servers ## measure the ratios of docs/benchmarks.md and write them to bench-results/ (ONLY="S1 S7": these rows)
	PYTHONPATH=deploy:. $(BIN)/python -m benchmarks $(ONLY)

soak: setup servers ## ten minutes of mixed load; fails on a difference, or if memory or p99 grow (MINUTES=10; EMBEDDED=yes)
	PYTHONPATH=deploy:. $(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10) $(if $(EMBEDDED),--embedded)

curves: setup servers ## measure how cost grows, and draw docs/curves (ONLY="posts workers": these; half an hour in all)
	PYTHONPATH=deploy:. $(BIN)/python -m benchmarks.curves $(ONLY)

screenshots: setup servers ## take the pictures of docs/screenshots (POSTS=file shows these posts instead of the demo posts)
	PYTHONPATH=deploy:tests $(BIN)/python -m browsing.screenshots $(if $(POSTS),--posts $(POSTS))

lock: setup ## update the locks from pyproject.toml
	printf 'uv\nhatchling>=1.27\neditables\n' | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 - --output-file requirements-build.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --output-file requirements.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra otel --output-file requirements-otel.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 pyproject.toml --extra otel --group dev --output-file requirements-dev.txt

clean: ## remove what the targets created, but not your data in var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants bench-results torture-results dist
