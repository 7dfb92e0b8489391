# Each target builds what it needs: a Python (3.11 or newer) and make are all it takes.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/python -m uv

.PHONY: help demo test test-slow check docs bench bench-peers clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "zenlib needs Python 3.11 or newer on the PATH"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	@touch $@

$(VENV)/demo: $(VENV)/created pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python -e '.[sklearn]'
	@touch $@

$(VENV)/dev: $(VENV)/created pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python -e '.[all]' --group dev
	@touch $@ $(VENV)/demo

demo: $(VENV)/demo ## Run a real training pipeline three times, and compare.
	$(BIN)/python examples/demo.py

test: $(VENV)/dev ## Run the tests.
	sh scripts/servers.sh
	$(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

test-slow: $(VENV)/dev ## Run the soak and fault campaigns too.
	sh scripts/servers.sh
	$(BIN)/python -m pytest -n auto $(ARGS)

check: $(VENV)/dev ## Formatter, linter, types, import contract, generated docs.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/docs.py --check

docs: $(VENV)/dev ## Write the generated parts of the docs anew.
	$(BIN)/python scripts/docs.py

bench: $(VENV)/dev ## Measure zenlib against raw baselines.
	$(BIN)/python benchmarks/bench.py $(ARGS)

bench-peers: $(VENV)/dev ## Measure the peers, each in an environment of its own.
	$(BIN)/python benchmarks/peers.py $(ARGS)

clean: ## Remove what these targets made.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache benchmarks/.envs
