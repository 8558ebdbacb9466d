# make demo   set up and run the demo on MNIST        make test   set up and run all tests
# make lint   only the style checks                   make clean  remove what was made, but not the environment and downloads

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	snakemake --cores all demo
	snakemake --report results/demo/report.html demo
	@cat results/demo/tables/table2.txt
	@echo "Tables: results/demo/tables/   Figure: results/demo/figures/figure1.png   Report: results/demo/report.html"

test: lint
	pytest

lint: $(VENV)/.installed-test
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

clean:
	rm -rf results/demo data/*.safetensors logs .snakemake

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@
