# Everything runs in a virtual environment, .venv, made on first use with whatever Python >= 3.11
# is found. Each set of extras leaves a stamp there, so set-up is repeated only when
# pyproject.toml changed.
#
#   make test ARGS="-k tape"       pass arguments on
#   make demo PYTHON=python3.12    choose the interpreter that makes .venv

VENV  := .venv
BIN   := $(VENV)/bin
ARGS  ?=

# Workers share the cores, so each one's array maths keeps to a single thread.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# What `make quick` runs: the core, TensorFlow's semantics, the order of imports, and every op on
# NumPy in float64.
QUICK := tests/core tests/tf_semantics tests/project/test_layers.py tests/ops/test_table.py \
    -m 'not peers and not other_dtype'

CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)

.DELETE_ON_ERROR:
.PHONY: help demo quick test test-peers test-strangers test-gpu reliability mutation lint lines inside format bench results clean

help:
	@echo 'make demo        train the three programs of the article; results in ./headgate-demo'
	@echo 'make quick       run the tests of the core and of the ops, in a minute'
	@echo 'make test        run the tests (JAX is installed; neither PyTorch nor TensorFlow is)'
	@echo 'make test-peers  run the tests with PyTorch and TensorFlow as well'
	@echo 'make test-strangers  run programs of other libraries (transformers, timm, ...) under the watch'
	@echo 'make test-gpu    run the tests of compiled functions on the GPU that JAX has'
	@echo 'make reliability interrupt training and the rest at 12,000 places; compiled beside eager'
	@echo 'make mutation    put 200 small faults in, one at a time: do the tests notice them?'
	@echo 'make lint        ruff and mypy'
	@echo 'make lines       count the lines of every file'
	@echo 'make inside      render docs/inside.py as docs/inside.md'
	@echo 'make format      let ruff rewrite what it can'
	@echo 'make bench       compare speed with autograd, JAX, PyTorch and TensorFlow'
	@echo 'make results     train the nine programs in full, three seeds each; writes docs/results.md'
	@echo 'make clean       remove .venv, build output and caches'

demo: $(VENV)/.examples
	$(BIN)/headgate demo $(ARGS)

quick: $(VENV)/.dev
	$(PYTEST) $(QUICK) $(ARGS)

test: $(VENV)/.dev,examples,xla
	$(PYTEST) -m 'not corpus' $(ARGS)

test-peers: $(VENV)/.bench,dev,examples,xla
	$(PYTEST) $(ARGS)

test-strangers: $(VENV)/.strangers,dev
	$(PYTEST) tests/strangers $(ARGS)

test-gpu: $(VENV)/.dev,examples,xla
	$(BIN)/python tests/accelerator.py $(ARGS)

reliability: $(VENV)/.dev,examples,xla
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/reliability/faults.py $(ARGS)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/reliability/test_states.py

mutation: $(VENV)/.dev,examples,xla
	$(BIN)/python tests/reliability/mutation.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lines: $(VENV)/.dev
	$(BIN)/python -m benchmarks.lines

inside: $(VENV)/.dev
	$(BIN)/python docs/inside_page.py

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

results: $(VENV)/.examples,xla
	$(BIN)/python -m benchmarks results $(ARGS)

clean:
	rm -rf $(VENV) .nox build dist headgate-demo headgate-train .mypy_cache .pytest_cache .ruff_cache .mutation

# The stamp's name is the list of extras.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo 'Installing headgate[$*] into $(VENV) (the first time takes some minutes)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch '$@'

$(BIN)/python:
	@for python in $(CANDIDATES) ''; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	done; \
	if [ -z "$$python" ]; then \
	    echo 'Headgate needs Python 3.11 or newer. Tried, without success: $(CANDIDATES)' >&2; \
	    command -v python3 >/dev/null && echo "python3 here is $$(python3 --version 2>&1)." >&2; \
	    echo 'Install one, or name it: make PYTHON=/path/to/python3.12 demo' >&2; \
	    exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	if ! "$$python" -m venv --clear $(VENV); then \
	    rm -rf $(VENV); \
	    echo "$$python cannot make virtual environments." >&2; \
	    echo 'On Debian and Ubuntu the package python3-venv adds that.' >&2; \
	    exit 1; \
	fi
