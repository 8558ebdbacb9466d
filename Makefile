# make demo    set up and run the demo on MNIST        make test   set up, check style, run the fast tests: 4 minutes on 2 cores
# make test-full   all tests: 11 minutes on 2 cores
# make tables  set up without PyTorch and make all tables, figures and results/report.html from the records in results/
# make soundness    tries a million attacked points, and others, against every bound; OPTIONS="--points 10000 --seed 1"
# make test-slurm   as root: installs a Slurm (Debian's), starts it on this machine, runs the tests that need it, stops it
# make docs    builds the documentation: docs/_build/index.html
# make lint    style, types, import order                  make clean  remove what was made, but not the environment and downloads

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

.PHONY: demo tables test test-full test-slurm soundness docs lint clean

demo: $(VENV)/.installed
	snakemake --cores all demo
	snakemake --report results/demo/report.html demo
	@cat results/demo/tables/table2.txt
	@echo "Tables: results/demo/tables/   Figure: results/demo/figures/figure1.png   Report: results/demo/report.html"

tables: $(VENV)-tables/.installed
	PATH="$(abspath $(VENV))-tables/bin:$$PATH" snakemake --cores 1 tables
	@ls -d results/*/tables results/report.html

# One thread a process, as many processes as there are cores; a file's tests stay in one, and share what it has made.
PYTEST := OMP_NUM_THREADS=1 pytest -n auto --dist loadfile

test: lint
	$(PYTEST) -m "not slow and not pipeline"

test-full: $(VENV)/.installed-test
	$(PYTEST) --durations=40

test-slurm: $(VENV)/.installed-test
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[slurm]'
	DM_TEST_SLURM=1 pytest tests/pipeline/slurm

soundness: $(VENV)/.installed-test
	PYTHONPATH=tests:tests/core python -m soundness.run $(OPTIONS)

docs: $(VENV)/.installed
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	sphinx-build -W --keep-going -q docs docs/_build

lint: $(VENV)/.installed-test
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	lint-imports --no-logo
	mypy

clean:
	rm -rf results/demo logs .snakemake
	for file in data/*.safetensors; do if grep -qsa '"kind":"dmcore.images"' "$$file"; then rm "$$file"; fi; done

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pipeline]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

# Snakemake and what envs/tables.yaml names.
LIGHT := $(shell sed -n 's/^ *- \(.*==.*\)/\1/p' envs/tables.yaml)

$(VENV)-tables/.installed: envs/tables.yaml constraints.txt
	$(PYTHON) -m venv $(VENV)-tables
	$(VENV)-tables/bin/pip install --quiet --disable-pip-version-check -c constraints.txt 'snakemake[reports]' $(LIGHT)
	@touch $@
