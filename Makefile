# Each target sets up what it needs: a fresh clone needs only Python 3.11+, pip and make.
PYTHON ?= python3
BIN := .venv/bin
# A worker that is done takes over half of what the other one has left.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: check test test-all test-cpus test-pythons style lint coverage bench clean

# One line of README: a proved verdict for GELU experts under sigmoid gating.
check: .venv/core
	@$(BIN)/identkit check --expert gelu --gate sigmoid

test: .venv/test
	$(PYTEST) -m "not slow"

# Also the long searches, and all generated cases: several minutes more.
test-all: .venv/test
	IDENTKIT_TEST_ALL=1 $(PYTEST)

# The fitter on the other instruction sets of this processor; `make test` takes the widest.
FITTER := tests/test_kernels.py tests/test_fit_faults.py tests/test_fit_agreement.py

test-cpus: .venv/test
	@set -e; for settings in $$($(BIN)/python .ci/cpus.py); do \
		settings=$$(echo $$settings | tr , " "); echo "$$settings:"; \
		env $$settings $(BIN)/python -m pytest -n 2 -m "not slow" $(FITTER); \
	done

# Where other Pythons are installed: what needs no torch, in environments .venv-3.x.
test-pythons: .venv/test
	.ci/pythons

style: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint: style
	$(BIN)/pyright

# Branch coverage of what proves and what verifies, with a floor (pyproject.toml): some minutes.
PROVER := $(patsubst %,tests/test_%.py,relations coincidence jets cone independence normal_form domain \
	structure_of_parameters known_answers certificates)

coverage: .venv/test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 -m "not slow" -k "not seed" $(PROVER)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: .venv/core
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv .venv-3.*

# A stamp file per set of extras; remade when the project's requirements change.
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/core: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

.venv/test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install --quiet -c constraints.txt -e ".[test]"
	@touch $@ .venv/core

.venv/lint: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install --quiet -c constraints.txt -e ".[test,lint]"
	@touch $@ .venv/core .venv/test
