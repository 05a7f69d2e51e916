# `make` lists the targets.
PYTHON ?= python3
PROFILE ?= demo
# Taken as they are, never as something to expand; recipes read them from the environment, quoted.
override PYTHON := $(value PYTHON)
override PROFILE := $(value PROFILE)
override CORES := $(value CORES)
override GPUS := $(value GPUS)
override CLUSTER := $(value CLUSTER)
export PYTHON PROFILE CORES GPUS CLUSTER
BIN := .venv/bin
INSTALLED := .venv/installed
# Older pips read the first variable where they build a package from source, newer ones the second.
PIP := PIP_CONSTRAINT=requirements.txt PIP_BUILD_CONSTRAINT=requirements.txt \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11
UVX := $(BIN)/uvx --quiet --python $(BIN)/python
SDISTS := connection-pool pycortex
NEWEST := data/test_cortex.py encoding/test_ridge.py explorer/test_widget.py models/test_speech.py \
	publishing/test_captions.py tuning/test_brain_tuning.py workflow/test_book.py workflow/test_run.py

.DEFAULT_GOAL := help
.PHONY: help setup book lab pdf results plan test fuzz faults bench lint hooks miniature record verify clean named known \
	pins newest resolve lock sbom audit

help:  ## list the targets
	@awk -F ':.*## ' '/^##@ /{print "\n" substr($$0, 5)} /^[a-z]+:.*## /{printf "  %-11s%s\n", $$1, $$2}' Makefile
	@printf '\nPROFILE=NAME chooses params/NAME.yaml (now: %s); CORES=N and GPUS=N limit what runs at a time.\nCLUSTER=slurm sends runs to a cluster, as profiles/slurm/config.yaml says.\n' "$$PROFILE"

named:
	@case "$$PROFILE" in ''|[!A-Za-z0-9]*|*[!A-Za-z0-9_.+-]*|*..*|*.) \
		printf 'PROFILE=%s is no name of a profile: letters, digits and _ + -, and single dots between them, beginning with a letter or digit\n' "$$PROFILE" >&2; exit 1;; esac

known: named
	@test -f "params/$$PROFILE.yaml" || { echo "params/$$PROFILE.yaml is not there; profiles are:" \
		$(sort $(basename $(notdir $(wildcard params/*.yaml)))) >&2; exit 1; }

##@ Reading
setup: $(INSTALLED)  ## create .venv and install everything

$(INSTALLED): requirements.txt pyproject.toml
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make setup PYTHON=python3.11" >&2; exit 1; }
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "A C compiler is needed to build pycortex: install one (Debian, Ubuntu: apt install gcc python3-dev; macOS: xcode-select --install)" >&2; exit 1; }
	"$$PYTHON" -m venv .venv
	$(PIP) $(if $(value LOCKED),--require-hashes -r requirements.lock,-r requirements.txt)
	$(PIP) --no-deps --editable .
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # side by side; templates do not compile
	touch $@

book: known $(INSTALLED)  ## make the results of PROFILE and build the book to book/_build/html
	$(BIN)/jupyter-book build book
	@echo "Open book/_build/html/index.html in a browser."

lab: results  ## make the results of PROFILE and open the chapters as notebooks in JupyterLab
	BRAIN_TUNING_RESULTS="$$PWD/results/$$PROFILE" JUPYTER_CONFIG_PATH="$$PWD/.jupyter" \
		$(BIN)/jupyter-lab --ServerApp.root_dir=. book/01_introduction.md

pdf: known $(INSTALLED)  ## make the results of PROFILE and print the book to book/_build/book.pdf
	@$(BIN)/python -m bthelpers.publishing.pdf
	$(BIN)/jupyter-book build book --builder singlehtml
	$(BIN)/python -m bthelpers.publishing.pdf book/_build/singlehtml/01_introduction.html book/_build/book.pdf
	@echo "Open book/_build/book.pdf."

##@ Running
plan: known $(INSTALLED)  ## say what PROFILE would compute, what that takes and what is missing
	@exec $(BIN)/bthelpers plan "$$PROFILE"

results: known $(INSTALLED)  ## make the results of PROFILE, without the book
	exec $(BIN)/bthelpers run "$$PROFILE" $${CORES:+--cores "$$CORES"} $${GPUS:+--gpus "$$GPUS"} $${CLUSTER:+--cluster "$$CLUSTER"}

record: known $(INSTALLED)  ## keep a compact copy of the results of PROFILE in book/recorded
	exec $(BIN)/bthelpers record "$$PROFILE"

verify: $(INSTALLED)  ## make one recorded run again, chosen at random, and compare
	exec $(BIN)/bthelpers verify

miniature: $(INSTALLED)  ## pretrain the HuBERT miniature again (about half an hour)
	exec $(BIN)/bthelpers miniature speech --lexicon params/lexicons/square.yaml --words-per-category 14 \
		--output bthelpers/checkpoints/hubert-mini-square

clean: named  ## remove the built book, the results of PROFILE and its data, if simulated
	rm -rf "results/$$PROFILE" book/_build book/executed book/api .snakemake
	@for data in "data/$$PROFILE" "data/$${PROFILE}_corpora"/*; do \
		grep -qs '"Simulated": true' "$$data/dataset_description.json" && rm -rf "$$data" || true; \
	done

##@ Developing
test: $(INSTALLED)  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

fuzz: $(INSTALLED)  ## damage files of every kind in many ways, read them, and record what comes of it
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --record

faults: $(INSTALLED)  ## kill, fill and damage a small profile's run in many ways, and go on (hours)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m faults --record

bench: $(INSTALLED)  ## measure speed beside other libraries, for a page of the book (forty minutes)
	PYTHONPATH=tests:benchmarks $(BIN)/python -m side_by_side

lint: $(INSTALLED)  ## check format, style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

hooks: $(INSTALLED)  ## have every commit checked as `make lint` does
	$(BIN)/pre-commit install

##@ Keeping packages
newest: $(INSTALLED)  ## test the core of the library with the newest versions of all packages, in build/newest
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/newest
	$(BIN)/uv pip install --quiet --python build/newest --group dev --editable .
	OMP_NUM_THREADS=1 build/newest/bin/python -m pytest $(addprefix tests/,$(NEWEST))

pins: $(INSTALLED)  ## write requirements.txt anew: the newest versions of all packages
	$(COMPILE) --upgrade --fork-strategy fewest --no-annotate --custom-compile-command 'make pins' \
		--group dev pyproject.toml --output-file build/pins.txt
	grep -vE '^(cuda|nvidia|triton)' build/pins.txt > requirements.txt  # what PyTorch needs differs by its build

resolve: $(INSTALLED)  ## look whether the pins have wheels for each Python and each kind of machine
	@for python in 3.11 3.12 3.13; do \
		for machine in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do \
			printf 'Python %s, %s: ' $$python $$machine; \
			MACOSX_DEPLOYMENT_TARGET=14.0 $(BIN)/uv pip compile --quiet --only-binary :all: $(addprefix --no-binary ,$(SDISTS)) \
				--python-version $$python --python-platform $$machine requirements.txt >/dev/null && echo all || missing=1; \
		done; \
	done; test -z "$$missing"

lock: $(INSTALLED)  ## write requirements.lock: the pins with hashes, for `make setup LOCKED=1`
	$(COMPILE) --generate-hashes --custom-compile-command 'make lock' requirements.txt --output-file requirements.lock

sbom: $(INSTALLED)  ## write sbom.json: what is installed, with licences, as CycloneDX
	$(UVX) --from cyclonedx-bom==7.5.0 cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file sbom.json .venv

audit: $(INSTALLED)  ## look up known vulnerabilities of what is pinned
	$(UVX) pip-audit@2.10.1 --strict --requirement requirements.txt --no-deps --disable-pip --progress-spinner off
