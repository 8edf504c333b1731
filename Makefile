# Everything a person needs: make study, make test, make lab, make bench.
# The first use of any of them makes .venv and installs what is needed; later ones begin at once.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test check claims lab bench clean

study: .venv/installed
	$(BIN)/horticulture run quick

test: .venv/tested check
	$(BIN)/python -m pytest

check: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

claims: .venv/tested
	$(BIN)/python -m tests.claims

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

bench: .venv/tested
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@echo "installing into .venv: a few minutes, mostly for torch"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@
