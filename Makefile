# make study · make lab · make test: each sets up .venv first, once. You need Python 3.11 to 3.13, pip, make.
#
#   PYTHON=python3.12   the interpreter to build .venv from
#   TORCH=cpu|cuda      which build of torch (default: cuda where nvidia-smi answers, else cpu)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for each in python3.11 python3.12 python3.13 python3 python; do \
	$$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$each && break; done)
endif
ifeq ($(origin TORCH), undefined)
TORCH := $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
endif

PIN := $(shell sed -n 's/^torch==//p' constraints.txt)
READY := .venv/.ready

.PHONY: links study demo reference reference-report lab test lint setup classroom constraints schema site slurm crash

# Run the demo, then print the answer of the committed reference study.
REFERENCE := outputs/reference

study: demo
	@printf '\nthe reference study (a real encoder, real languages), as committed:\n'
	@cat $(REFERENCE)/answer.txt
	@echo "report: $(REFERENCE)/report.html"

demo: $(READY)
	.venv/bin/xtsupport run params/demo.yaml

# Real data (../shared/hub) and a real encoder: days on two cores, twenty minutes on one GPU. Run it again
# after an interruption to continue. In a pack (benchmarks/packed_study.py) it needs no .venv and stops
# after MINUTES.
ifneq ($(wildcard ../weights.xz),)
reference:
	python3 benchmarks/packed_study.py run params/reference.yaml .. --minutes $(or $(MINUTES),9) --out $(or $(OUT),../packed)
else
reference: $(READY)
	.venv/bin/xtsupport run params/reference.yaml
endif

# Compute the committed reference study's table and report again from its cube, and the texts that quote it.
reference-report: $(READY)
	.venv/bin/xtsupport significance $(REFERENCE)/cube --out $(REFERENCE)
	.venv/bin/python docs/reference.py

lab: $(READY)
	.venv/bin/xtsupport lab

# One worker per processor.
test: $(READY)
	.venv/bin/python -m pytest -n auto --dist worksteal $(COVERAGE)

# The Slurm suite, on a cluster of this one machine: needs root on Debian or Ubuntu.
slurm: $(READY)
	.venv/bin/python -m pip install -q -c constraints.txt snakemake-executor-plugin-slurm
	tests/slurm/cluster.sh start
	.venv/bin/python -m pytest -m slurm || code=$$?; tests/slurm/cluster.sh stop; exit $${code:-0}

# A small study with kills (-9) and other faults as tests; then forty-two more kills, as a table.
crash: $(READY)
	.venv/bin/python -m pytest -m crash
	.venv/bin/python benchmarks/crash.py --out benchmarks/crash.md

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports --no-cache
	.venv/bin/mypy

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 to 3.13 is needed; name it with PYTHON=..." >&2; exit 1; }
	@echo "setting up .venv with $(PYTHON), torch $(PIN) for $(TORCH)"
	@.ci/setup $(PYTHON) $(TORCH)
	@touch $@

# outputs/classroom-PLATFORM.zip, which a class installs without network: linux, macos or windows.
PLATFORM := linux
classroom: $(READY)
	.ci/classroom $(PLATFORM)

# Recompile constraints.txt from pyproject.toml, without local versions such as +cpu, which others cannot
# install, and without CUDA's packages, which torch itself pins.
constraints: $(READY)
	echo torch==$(PIN) > .venv/pin.txt
	.venv/bin/python -m pip install -q uv
	.venv/bin/uv pip compile pyproject.toml --all-extras --python-version 3.11 --no-annotate --no-header -q \
		--upgrade -c .venv/pin.txt -o .venv/compiled.txt
	{ echo "# Compiled from pyproject.toml by \`make constraints\`; do not edit."; \
	  sed -E 's/\+[A-Za-z0-9.]+$$//' .venv/compiled.txt | grep -vE '^(nvidia-|cuda-|triton)'; } > constraints.txt

# Add badges, and the address from which notebooks install on Colab, from [project.urls] in pyproject.toml.
links: $(READY)
	.venv/bin/python docs/links.py

# The JSON Schema with which editors complete and check params files.
schema: $(READY)
	.venv/bin/python -m xtsupport.study.params.settings > params/schema.json

# The site: the demo, executed notebooks, reports, every docstring; outputs/site/html/index.html. A notebook is
# executed again if it or the package has changed, which takes some minutes each on one core.
SITE := outputs/site
BOOKS := $(wildcard notebooks/*.ipynb notebooks/exercises/*.ipynb notebooks/solutions/*.ipynb)
CODE := $(wildcard xtsupport/*.csv xtsupport/*/*/*.csv xtsupport/*.py xtsupport/*/*.py xtsupport/*/*/*.py)

.venv/.site: $(READY)
	.venv/bin/python -m pip install -q -c constraints.txt -e '.[site]'
	@touch $@

$(SITE)/source/notebooks/%.ipynb: notebooks/%.ipynb $(CODE) | .venv/.site
	@mkdir -p $(@D)
	.venv/bin/papermill $< $@.part.ipynb -k python3 --cwd $(<D) --no-progress-bar --log-level ERROR
	@mv $@.part.ipynb $@

site: .venv/.site demo $(BOOKS:%=$(SITE)/source/%)
	.venv/bin/python docs/site.py gather $(SITE)/source
	.venv/bin/python docs/site.py slides $(SITE)/source
	rm -rf $(SITE)/html # pages of modules and notebooks that are gone
	.venv/bin/sphinx-build -W --keep-going -q -b html $(SITE)/source $(SITE)/html
	.venv/bin/python docs/site.py links $(SITE)/html
