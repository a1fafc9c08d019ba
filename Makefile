# make setup     the environment in .venv: torch, d2align, Detectron2 v0.5
# make test      lint, types and tests
# make ablation  the ablation in small; FULL=1 for the whole of it
# make docs      the documentation, into build/site
# PYTHON is the interpreter that makes the environment, VENV its folder.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.12.1 torchvision==0.27.1

# pip 26.3 refuses Detectron2's sdist: an optional extra of it names a URL.
BUILD_TOOLS := 'pip<26.3' 'setuptools<81' wheel

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.d2align-installed

.PHONY: setup ablation test lint docs clean

setup: $(STAMP)

# The stamp comes last, so that a setup which stopped half-way is done again.
$(STAMP): setup.py pyproject.toml tools/install_detectron2.py tools/detectron2_stub/_C.py
	@echo "environment in $(VENV)"
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "installing $(TORCH)"
	@$(PIP) install -q $(BUILD_TOOLS)
	@$(PIP) install -q $(TORCH)
	@echo "installing d2align"
	@$(PIP) install -q -e '.[dev]'
	@$(BIN)/python tools/install_detectron2.py
	@touch $@

ablation: setup
	OMP_NUM_THREADS=1 $(BIN)/python tools/run_ablation.py $(if $(FULL),--full)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# The variable silences the theme's notice of what will succeed it.
docs: setup
	@$(PIP) install -q -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find d2align tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
