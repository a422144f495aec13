# Two commands on a fresh machine do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all lint install bench faults clean

demo: $(VENV)/.installed
	$(BIN)/python demos/demo3_training.py

test: $(VENV)/.tested lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-all: $(VENV)/.tested lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m ""

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/.installed

# Furrow beside its peers, each in an environment of its own under .bench: about an hour on an otherwise idle machine.
bench: $(VENV)/.installed
	$(PIP) --editable '.[quantization,benchmarks]'
	$(BIN)/python -m benchmarks.run --again

# All the harm that a run may come to, done for real; rewrites docs/reliability.md. About a quarter of an hour.
faults: $(VENV)/.tested
	$(BIN)/python -m tests.faults.campaign

# torch comes first and pinned: a looser wish would bring gigabytes of CUDA packages to a machine without a GPU.
$(VENV)/.installed: pyproject.toml constraints.txt tools/install_llama_cpp.py
	$(PYTHON) -m venv $(VENV)
	@echo "installing torch"
	$(PIP) torch
	@echo "installing Furrow and what it needs"
	$(PIP) --editable .
	$(BIN)/python tools/install_llama_cpp.py --constraint constraints.txt
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	@echo "installing what the tests need"
	$(PIP) --editable '.[dev,quantization,tensorboard,wandb,comet]'
	@touch $@

clean:
	rm -rf $(VENV) demo_output build *.egg-info
