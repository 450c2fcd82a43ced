# Everything a clean clone needs is Python 3.11-3.13 and make; `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The newest Python that runs; `make PYTHON=/path/to/python3.12 install` takes another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo "$$python" && break; done)

BIN := .venv/bin
INSTALLED := .venv/.installed
# DVC runs each stage with the first `python` on the PATH: it has to be the environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# glibc hands large blocks back to the system as soon as they are free, and a training step takes them
# anew: in a virtual machine the page faults cost half to two thirds of its time (docs/decisions.md).
export MALLOC_MMAP_THRESHOLD_ := 1073741824
export MALLOC_TRIM_THRESHOLD_ := 17179869184
# Threads that wait for each other spin: where another process has a core, for as long as it has it.
# Beside a busy machine a concept took 34 s to learn, and 1 s so (docs/decisions.md).
export GOMP_SPINCOUNT ?= 1000

.PHONY: help install repro serve test test-slow check format lock clean

help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv from requirements.lock

# The marker holds the tree's place: a tree that was moved or copied has its .venv mended.
ifneq ($(shell cat $(INSTALLED) 2>/dev/null),$(CURDIR))
.PHONY: $(INSTALLED)
endif

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found: install one, or name it:" \
		"make PYTHON=/path/to/python" >&2; exit 2; }
	@# "relocatable" tells uv to write scripts that find the Python beside them. Where there is no
	@# such environment, and none whose scripts were made for this place, it is made anew.
	if ! $(BIN)/python -c '' 2>/dev/null || ! { grep -qs ^relocatable .venv/pyvenv.cfg \
		|| grep -qsF "#!$(CURDIR)/$(BIN)/" $(BIN)/dvc; }; then \
		$(PYTHON) -m venv --clear .venv; echo 'relocatable = true' >> .venv/pyvenv.cfg; \
	elif grep -qs ^relocatable .venv/pyvenv.cfg; then \
		$(BIN)/python -m venv --without-pip .venv; echo 'relocatable = true' >> .venv/pyvenv.cfg; fi
	@# pip brings uv, in the version and with the digests that the lock has.
	awk '/^uv==/ { on = 1; print; next } /^[^ ]/ { on = 0 } on' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --link-mode hardlink \
		--compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@# Relative to itself, where setuptools names the tree: a copy runs its own code at once.
	echo ../../../.. > "$$(echo .venv/lib/python3*/site-packages/__editable__.kindred-*.pth)"
	pwd -P > $@

repro: install ## run the pipeline: from the catalogue to a registered model
	@python -m pipelines.run.mend
	dvc repro

serve: install ## serve the champion at http://127.0.0.1:3000 (after `kindred promote`)
	kindred serve

# In two processes of one thread each: on two cores, threads of two processes wait for each other.
# $(2): the folders of the first; the second takes the rest, and both should take as long.
define in_two_processes
@log=$$(mktemp); pytest $(1) $(2) > "$$log" 2>&1 & first=$$!; status=0; \
pytest $(1) $(addprefix --ignore=,$(2)) || status=$$?; \
wait $$first || status=$$?; cat "$$log"; rm -f "$$log"; exit $$status
endef
test test-slow: export OMP_NUM_THREADS = 1

test: install ## fast tests, with a tiny pipeline from end to end
	$(call in_two_processes,,tests/end_to_end tests/registry tests/services tests/validation)

test-slow: install ## what takes long: kill tests, whole runs, real servers
	$(call in_two_processes,-m slow,tests/end_to_end)

check: install ## lint, formatting, types
	ruff check .
	ruff format --check .
	mypy

format: install ## mend what ruff can mend
	ruff check --fix .
	ruff format .

lock: install ## write requirements.lock again from pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--group dev --python-version 3.11 pyproject.toml --output-file requirements.lock

clean: ## remove what the pipeline wrote, and the environment
	rm -rf .venv data models reports var mlruns mlflow.db* .dvc/cache .dvc/tmp
