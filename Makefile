# Every target is described by the comment behind its name; `make help` prints them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8501
ADDRESS ?= 127.0.0.1

RUNTIME := $(VENV)/.runtime
TESTING := $(VENV)/.testing

.PHONY: help dashboard test lint format benchmark screenshots clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

dashboard: $(RUNTIME) ## Install what is needed and open the dashboard on http://127.0.0.1:8501
	@echo "Dashboard: http://$(ADDRESS):$(PORT)"
	@# One arena: Streamlit runs every script in a new thread, and memory would creep up with them.
	MALLOC_ARENA_MAX=1 $(BIN)/streamlit run app/main.py --server.address $(ADDRESS) --server.port $(PORT)

test: $(TESTING) ## Install the test tools and a browser if needed, and run the whole suite
	@browser=$$(bash tests/find_browser.sh) || exit 1; \
	OLS_BROWSER="$$browser" $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(TESTING) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TESTING) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(TESTING) ## Run the benchmarks
	@browser=$$(bash tests/find_browser.sh) || exit 1; \
	for script in benchmarks/[a-z]*.py; do \
		echo "== $$script"; \
		PYTHONPATH=. OLS_BROWSER="$$browser" $(BIN)/python $$script || exit 1; \
	done

screenshots: $(TESTING) ## Take the pictures of the dashboard that the README shows
	@browser=$$(bash tests/find_browser.sh) || exit 1; \
	PYTHONPATH=. OLS_BROWSER="$$browser" $(BIN)/python docs/screenshots.py

clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@bash tests/make_venv.sh "$(PYTHON)" "$(VENV)"

$(RUNTIME): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(TESTING): requirements-test.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --requirement requirements-test.txt
	@touch $@
