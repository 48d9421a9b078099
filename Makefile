# make quickstart   install into .venv and run the quickstart study
# make test         install into .venv and run lint, types and tests
# make docs         install into .venv and write the pages to site/
# make test-slow    the tests that take minutes, and the mutants: every one of them must be killed

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-slow docs clean

quickstart: $(VENV)/installed
	$(BIN)/autorf search quickstart

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/installed
	$(BIN)/pytest -m slow
	$(BIN)/python benchmarks/mutants.py

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "autorf needs Python 3.11 or newer; run: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint --group docs
	touch $@

clean:
	rm -rf $(VENV) site
