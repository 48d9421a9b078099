# make quickstart   install into .venv and run the quickstart study
# make test         install into .venv and run lint, types and tests
# make docs         install into .venv and write the pages to site/
# make test-slow    the tests that take minutes, and the mutants: every one of them must be killed
# make test-gpu     the tests that need a GPU
# make test-minimum the fast tests with the oldest versions that pyproject.toml allows; test-newest: with the newest
# make test-package build wheel and sdist, install each elsewhere, run the quickstart's dry run by either
# make coverage     which lines the fast tests run
# make bench        the tables of speed and of exports, written to benchmarks/results/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-slow test-gpu test-minimum test-newest test-package coverage bench docs clean

quickstart: $(VENV)/installed
	$(BIN)/autorf search quickstart

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu"

test-slow: $(VENV)/installed
	$(BIN)/pytest -m "slow and not gpu"
	$(BIN)/python benchmarks/mutants.py

test-gpu: $(VENV)/installed
	$(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available() and "make test-gpu needs a GPU that torch can use (CUDA)")'
	$(BIN)/pytest -m gpu

# Each in an environment of its own, made anew: what they try is the resolution.
test-minimum: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
# Old direct dependencies beside new indirect ones, which deprecate what they use.
test-minimum: WARNINGS := -W ignore::DeprecationWarning
test-minimum test-newest: $(VENV)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$@
	$(BIN)/uv pip install --quiet --python .venv-$@ --resolution $(RESOLUTION) --editable . --group test
	.venv-$@/bin/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" $(WARNINGS)

test-package: $(VENV)/uv
	rm -rf dist .venv-$@
	$(BIN)/uv build --quiet --out-dir dist
	for file in dist/*.whl dist/*.tar.gz; do \
	  $(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$@ && \
	  $(BIN)/uv pip install --quiet --python .venv-$@ "$$file" && \
	  (cd / && $(CURDIR)/.venv-$@/bin/autorf search quickstart --dry-run --root $(CURDIR)/.venv-$@/runs) || exit 1; \
	done

coverage: $(VENV)/installed
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu" --cov autorf --cov-report term-missing:skip-covered

bench: $(VENV)/installed
	$(BIN)/python benchmarks/per_pixel_operators.py --write
	$(BIN)/python benchmarks/executor_overhead.py --output benchmarks/results/executor_overhead.md
	$(BIN)/python benchmarks/export_table.py

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/uv: $(VENV)/installed
	$(BIN)/python -m pip install --quiet uv
	touch $@

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "autorf needs Python 3.11 or newer; run: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test --group lint --group docs
	touch $@

clean:
	rm -rf $(VENV) .venv-* site dist
