# Every target is one command that you could type yourself; `make help` lists them.
# Needs Python 3.11 or newer (PYTHON=python3.12 chooses another) and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SET ?=
# arguments of the test runner, such as ARGS="-k alignment"
ARGS ?=

# without stored byte code every start would compile lightning and transformers again: 8 s
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup test lint types experiment config prepare check sweep agent dashboard docs report compare bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## install everything into .venv, once

# uv itself comes from the same hashed lock; nothing is fetched for the editable install
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON): expected Python 3.11 or newer, got $$($(PYTHON) --version); set PYTHON=" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	awk '/^uv==/ {on = 1; print; next} /^[^ ]/ {on = 0} on' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --offline --no-deps --no-build-isolation --editable .
	touch $(INSTALLED)

test: setup ## the test suite (ARGS="-k name" for a part of it)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile $(ARGS)

lint: setup ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## static types
	$(BIN)/mypy

experiment: setup ## run a whole experiment: NAME=fusion_demo SET="key=value ..."
	@$(BIN)/sermm experiment $(NAME) $(SET)

config: setup ## print the resolved configuration: NAME= SET=
	@$(BIN)/sermm config $(NAME) $(SET)

prepare: setup ## read a corpus and check it: CORPUS=iemocap ROOT=folder
	@$(BIN)/sermm prepare $(CORPUS) --root $(ROOT)

check: setup ## the checks of a prepared corpus: CORPUS=
	@$(BIN)/sermm check $(CORPUS)

sweep: setup ## register a W&B sweep and print what starts its agents: NAME= SET=
	@$(BIN)/sermm sweep $(NAME) --wandb $(SET)

agent: setup ## work on a W&B sweep, one agent a GPU: SWEEP=ENTITY/PROJECT/ID ARGS="--devices 2"
	@$(BIN)/sermm agent $(SWEEP) $(ARGS)

dashboard: setup ## save a W&B workspace and report, needs an account: NAME= SET=
	@$(BIN)/sermm dashboard $(NAME) $(SET)

docs: setup ## the documentation site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

report: setup ## write the report again: NAME=
	@$(BIN)/sermm report $(NAME)

compare: setup ## paired difference of two experiments: A= B=
	@$(BIN)/sermm compare $(A) $(B)

bench: setup ## a benchmark, into benchmarks/results: NAME=alignment ARGS="..."
	@$(BIN)/python -m benchmarks.$(NAME) $(ARGS)

lock: setup ## resolve the dependencies anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --upgrade -o requirements.lock

clean: ## remove caches of tools (not runs, corpora or features)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
