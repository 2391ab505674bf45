# make demo · make test · make bench · make claims · make docs
# Everything runs in .venv, made from requirements.lock; needs Python 3.11, pip and make.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test bench claims docs clean

demo: .venv/ready
	$(BIN)/operant run examples/pendulum.toml

test: .venv/ready
	scripts/check

bench: .venv/ready
	$(BIN)/python benchmarks/run.py

claims: .venv/ready
	$(BIN)/python scripts/claims --tier full

docs: .venv/ready
	$(BIN)/python -m mkdocs build --strict

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv site dist .pytest_cache .ruff_cache
