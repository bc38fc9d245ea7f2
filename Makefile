# Every target sets up what it needs: a virtual environment in .venv, with caudal in it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint check test-faults bench clean

demo: .venv/ready
	$(BIN)/caudal demo

test: .venv/ready
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -n auto --maxprocesses 8 tests/unit tests/architecture -m "not slow"

test-faults: .venv/ready
	CAUDAL_FAULT_ROUNDS=200 $(BIN)/python -m pytest tests/faults -s

bench: .venv/ready
	for name in deliver functions puts commits current freshness query foreign iceberg memory quality recommend aws; do $(BIN)/python benchmarks/$$name.py || exit 1; done

.venv/ready: pyproject.toml build_caudal.py $(wildcard caudal/ingest/transform/compiled/*.[ch])
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "caudal needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[demo,dev]'
	touch $@

clean:
	rm -rf .venv demo .mypy_cache .ruff_cache .pytest_cache
