# `make` lists the targets.
PYTHON ?= python3
PROFILE ?= demo
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help setup book results plan test lint miniature record verify clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12
	@echo "PROFILE=NAME chooses params/NAME.yaml (now: $(PROFILE))."

setup: $(INSTALLED)  ## create .venv and install everything

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make setup PYTHON=python3.11" >&2; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "A C compiler is needed to build pycortex: install one (Debian, Ubuntu: apt install gcc python3-dev; macOS: xcode-select --install)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

book: $(INSTALLED)  ## make the results of PROFILE and build the book to book/_build/html
	PROFILE=$(PROFILE) $(BIN)/jupyter-book build book
	@echo "Open book/_build/html/index.html in a browser."

results: $(INSTALLED)  ## make the results of PROFILE, without the book
	$(BIN)/python -m bthelpers.workflow.run $(PROFILE) $(if $(CORES),--cores $(CORES)) $(if $(GPUS),--gpus $(GPUS))

plan: $(INSTALLED)  ## say what PROFILE would compute, what that takes and what is missing
	@$(BIN)/bthelpers plan $(PROFILE)

test: $(INSTALLED)  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(INSTALLED)  ## check format and style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

miniature: $(INSTALLED)  ## pretrain the HuBERT miniature again (about half an hour)
	$(BIN)/python -m bthelpers.simulation.speech_miniature --output bthelpers/checkpoints/hubert-mini

record: $(INSTALLED)  ## keep a compact copy of the results of PROFILE in book/recorded
	$(BIN)/python -m bthelpers.workflow.recorded record $(PROFILE)

verify: $(INSTALLED)  ## make one recorded run again, chosen at random, and compare
	$(BIN)/python -m bthelpers.workflow.recorded verify

clean:  ## remove the built book, the results of PROFILE and its data, if simulated
	rm -rf results/$(PROFILE) book/_build book/executed .snakemake
	@for data in data/$(PROFILE) data/$(PROFILE)_corpora/*; do \
		grep -qs '"Simulated": true' $$data/dataset_description.json && rm -rf $$data || true; \
	done
