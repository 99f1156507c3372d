# Two commands: `make demo` and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench format lock soak clean help

help:            ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed (set PYTHON=…)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)   ## a real model to production with evidence that verifies; leaves the workspace demo/
	$(BIN)/affidavit demo --dir demo

test: $(STAMP)   ## every test with the real components
	$(BIN)/python scripts/run_tests.py

check: $(STAMP)  ## format, types, contracts, fast tests: under a minute
	$(BIN)/ruff format --check --quiet src tests scripts bench
	$(BIN)/ruff check --quiet src tests scripts bench
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n 2 -m "not slow and not net" --ignore tests/crash --ignore tests/journeys --ignore tests/sandbox --ignore tests/evidence/test_flips.py --ignore tests/evidence/test_fixture.py

format: $(STAMP) ## format the code
	$(BIN)/ruff format --quiet src tests scripts bench
	$(BIN)/ruff check --quiet --fix src tests scripts bench

bench: $(STAMP)  ## peer, ours and the physical limit side by side; writes bench/results.json and docs/reference/benchmarks.md
	$(BIN)/python bench/run.py

soak: $(STAMP)   ## kill loops: writers and recorders killed at random, nothing acknowledged lost (10 minutes)
	$(BIN)/python tests/crash/soak.py --seconds 300
	$(BIN)/python tests/crash/soak_recorder.py --seconds 300

lock: $(STAMP)   ## resolve requirements.lock anew
	$(BIN)/python scripts/lock.py

clean:           ## remove what was made
	rm -rf $(VENV) demo .cache
