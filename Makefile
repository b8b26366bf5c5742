# Needs make and Python >= 3.11; everything else is installed into .venv from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NGSIM_DATA ?= $(CURDIR)/data
DAGSTER_HOME ?= $(NGSIM_DATA)/dagster
export NGSIM_DATA DAGSTER_HOME
# Bytecode is written by whoever imports a module first: thousands of installed ones never are.
export PYTHONDONTWRITEBYTECODE :=
TOGETHER := $(MAKE) --no-print-directory --keep-going --jobs=3

.PHONY: demo test test-daemon test-others dev lint types check docs pictures bench soak accuracy \
	lock setup clean

setup: $(VENV)/.installed

# a new pip first: it takes a third of the time to find the files among all releases of a package
$(VENV)/.installed: installer.lock requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ngsim_assets needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-compile -r installer.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-compile -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --no-build-isolation -e .
	@touch $@

demo: setup ## simulate a US-101 recording, run the whole graph on it, print where the report is
	$(BIN)/ngsim demo

test: $(VENV)/.compiled ## every test
	@$(TOGETHER) test-daemon test-others

# it waits for a daemon most of the time, with two cores busy beside it
test-daemon: setup
	$(BIN)/python -m pytest -m daemon ngsim_assets_tests/test_daemon.py

# neighbours stay in one process, which makes what they share once
test-others: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not daemon"

# what processes that begin together would compile once each; without it tests are only slower
$(VENV)/.compiled: $(VENV)/.installed $(shell grep -rl --include='*.py' njit ngsim_assets)
	-$(BIN)/python -m ngsim_assets_tests.compiled
	@touch $@

dev: setup ## Dagster's UI on http://127.0.0.1:3000
	$(BIN)/ngsim init
	$(BIN)/dagster dev -m ngsim_assets.definitions -h 127.0.0.1 -p 3000

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/pyright

# types beside the tests, which leave a fifth of two cores idle while they wait
check: lint ## what CI runs
	@$(TOGETHER) types test

docs: setup ## regenerate the tables of docs/ from the code
	$(BIN)/ngsim schemas --write docs
	$(BIN)/python -m ngsim_assets.f1.pages docs

PICTURES := time-space heat-maps fundamental-diagram one-vehicle spectra

pictures: setup ## draw docs/pictures anew, from a simulated recording
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT \
		&& export NGSIM_DATA="$$folder/data" DAGSTER_HOME="$$folder/data/dagster" \
		&& $(BIN)/ngsim simulate "$$folder/us101.txt" --congestion congested --faults 0.01 \
		&& $(BIN)/ngsim ingest "$$folder/us101.txt" \
		&& for name in $(PICTURES); do \
			$(BIN)/ngsim plot 'us-101|2005-06-15T0750' "$$name" --output "docs/pictures/$$name.png" || exit 1; \
		done

bench: setup ## what it costs, against pandas and against the limit
	$(BIN)/python -m benchmarks.end_to_end

soak: setup ## 50 SIGKILLs while files come, change and go (some minutes)
	$(BIN)/python -m benchmarks.soak

accuracy: setup ## every method and rule against simulated truth, as docs/ACCURACY.md (some minutes)
	$(BIN)/python -m benchmarks.accuracy

lock: ## resolve pyproject.toml anew (needs uv)
	echo pip | uv pip compile - --universal --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --quiet --upgrade -o installer.lock
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --quiet --upgrade -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
