# The main targets: make study, make test, make lab, make site, make bench.
# The first one creates .venv and installs everything; later ones start at once.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test test-long check coverage claims lab site bench clean

study: .venv/installed
	$(BIN)/horticulture run quick

test: .venv/tested check
	$(BIN)/python -m pytest

test-long: .venv/tested
	$(BIN)/python -m tests.torture 5
	$(BIN)/python -m tests.faults

check: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.strip --check

coverage: .venv/tested
	$(BIN)/python -m pytest --cov=horticulture

claims: .venv/tested
	$(BIN)/python -m tests.claims

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

site: .venv/published
	$(BIN)/horticulture publish

bench: .venv/tested
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf .venv

# $(call install,WHAT): with uv, from pip's configured index; with pip if uv is unavailable or fails.
PIP = $(BIN)/python -m pip --disable-pip-version-check
define install
@index=$$($(PIP) config list | sed -n "s/^[^=]*[.]index-url='\(.*\)'/\1/p" | head -n 1); \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	$(PIP) install --quiet --constraint constraints.txt uv && \
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '$(1)' || \
	{ echo "uv failed: installing with pip, which takes a few minutes"; \
	$(PIP) install --quiet --constraint constraints.txt --editable '$(1)'; }
@touch $@
endef

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 14) or print("This Python is newer than 3.13, the newest one tested; going on")'
	$(PYTHON) -m venv .venv
	@echo "installing into .venv: a minute or more, mostly for torch"
	$(call install,.)

.venv/tested: .venv/installed
	$(call install,.[test])

.venv/published: .venv/installed
	$(call install,.[site])
