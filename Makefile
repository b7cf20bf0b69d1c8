# Everything a person does here. `make study` and `make test` need Python 3.11 or newer and nothing else.

PYTHON ?= python3
JULIA_TIME_LIMIT ?= 900# seconds
TIMES ?= 50
NAME ?= quickstart-$(shell date +%Y%m%d-%H%M%S)
BIN := .venv/bin
INSTALLED := .venv/.installed
SYNE := .venv-syne/.installed
REPETITIONS ?= 50
JOBS ?= 1

.PHONY: study test lint bench bench-search syne-tune calibrate gpu-check chaos signals clusters wheel clean

# Where Julia cannot be had, the study says why and goes on with what there is.
study: $(INSTALLED)
	$(BIN)/tuneoff setup-julia --time-limit $(JULIA_TIME_LIMIT) || true
	$(BIN)/tuneoff launch quickstart --name $(NAME) --frameworks available

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python -m tests.bench

# What finding a configuration costs, by tuneoff's rules and by other tuners, on recorded curves: hours at 50 repetitions.
# It goes on where it was stopped. Without Syne Tune its rows are left out.
bench-search: $(INSTALLED)
	-$(MAKE) syne-tune
	$(BIN)/python -m tests.search_bench --repetitions $(REPETITIONS) --jobs $(JOBS)

# In an environment of its own, since it wants older libraries; 0.13 is the last version that has MOBSTER.
syne-tune: $(SYNE)

# How often a report's claims are right, in twenty thousand made-up studies whose truth is known: some ten minutes.
calibrate: $(INSTALLED)
	$(BIN)/python -m tests.calibration

# Where there is a GPU: a minute or two, no network. Where there is none: one line, exit code 2.
gpu-check: $(INSTALLED)
	$(BIN)/python -m tests.gpu_check

# Long tests, then real studies with fifty faults: half an hour.
chaos: $(INSTALLED)
	$(BIN)/python -m pytest -m long --long
	$(BIN)/python -m tests.chaos

# Ctrl-C and SIGTERM at every stage of a Flux training, TIMES each: a table. At 50 it takes three hours on two CPUs.
signals: $(INSTALLED)
	$(BIN)/python -m tests.julia.signals --times $(TIMES)

# Real clusters of two and three nodes on this machine, with and without tokens, inside a Ray job: several minutes.
clusters: $(INSTALLED)
	$(BIN)/python -m pytest tests/clusters

# Builds the wheel, installs it in an environment of its own and runs the quickstart in an empty folder.
wheel: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --wheel
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(PYTHON) -m venv "$$folder/venv" && \
	"$$folder/venv/bin/pip" install --quiet --constraint constraints.txt dist/tuneoff-*.whl && \
	mkdir "$$folder/empty" && cd "$$folder/empty" && \
	"$$folder/venv/bin/tuneoff" launch quickstart && \
	test -s results/quickstart/report/index.html

clean:
	rm -rf .venv .venv-syne dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(SYNE):
	$(PYTHON) -m venv .venv-syne
	.venv-syne/bin/python -m pip install --quiet 'syne-tune[gpsearchers]==0.13.0'
	touch $@
