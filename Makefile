# Two commands do all the set-up: `make study` and `make test`. Nothing is reinstalled while nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STUDY ?= decoder_size
WORKERS ?= 2
# `make study SCALE=gpu OUT=results PIECE=530` trains for so many seconds and checkpoints; the same command goes on.
SCALE ?=
OUT ?=
PIECE ?=
# For `make bench-gpu`: a folder of `scripts/gpu_wheels`, a checkout of MAE's code, further options.
WHEELS ?=
OFFICIAL ?=
BENCH ?=
SITE := build/gpu-site

.PHONY: install format check test test-all study reproduce bench bench-gpu fuzz docs

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,cluster]'
	@touch $@

study: $(STAMP)
	$(if $(PIECE),timeout --signal=TERM --kill-after=120 $(PIECE)) $(BIN)/cmae-ablate run studies/$(STUDY).yaml $(if $(SCALE),--scale $(SCALE)) $(if $(OUT),--out $(OUT))

reproduce: $(STAMP)
	$(BIN)/python -m analysis.reproduce $(STUDY) $(SCALE)

bench: $(STAMP)
	MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=1073741824 OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(BENCH)

# No virtual environment: on a bare machine torch is the system's, and there is no network to make one from.
bench-gpu:
	$(if $(WHEELS),rm -rf $(SITE) && $(PYTHON) -m pip install --quiet --no-index --no-deps --target $(SITE) $(WHEELS)/*.whl)
	PYTHONPATH=$(SITE):$(CURDIR) $(PYTHON) -m benchmarks.gpu $(if $(OFFICIAL),--official $(OFFICIAL)) $(BENCH)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

$(VENV)/.docs: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not gpu"

test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzzing --inputs 100000 --seconds 600 $(FUZZ)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
