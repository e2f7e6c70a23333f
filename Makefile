# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

# Additional arguments of pytest, and the number of processes that run tests (0: only pytest itself, for --pdb).
PYTEST_ARGS ?=
WORKERS ?= 2

TOOLS := tests/tools
COLLECTION := .build/collections/ansible_collections/strata/layering

# With these variables, Python and Ansible find the collection and an environment's tools in this checkout, and write only there.
within = env PATH="$(CURDIR)/$(1)/bin:$$PATH:/usr/sbin:/sbin" PYTHONPATH="$(CURDIR)/.build/collections" \
	ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/.build/collections" ANSIBLE_HOME="$(CURDIR)/.cache/ansible"

# An environment that was moved or copied does not work; its stamp contains the path of another checkout.
moved = $(if $(filter-out $(CURDIR),$(shell cat $(1) 2>/dev/null)),moved)

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z%-]+):.*## /\1|/p' Makefile | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

.PHONY: demo demo-duration demo-stop
demo: demo-duration packages .venv/.ready $(COLLECTION) collections ## Publish a layered Windows image on a simulated vSphere, and push it to a simulated Horizon pool; DEMO_KEEP=1 keeps the simulators running
	@$(call within,.venv) python -m ansible_collections.strata.layering.tests.demo.run

demo-duration:
	@[[ -e .venv/.ready ]] && echo "The demo takes about two and a half minutes." || echo "The first run takes about four minutes, later runs about two and a half."

demo-stop: .venv/.ready $(COLLECTION) ## Stop the simulators that "make demo DEMO_KEEP=1" left running
	@$(call within,.venv) python -m ansible_collections.strata.layering.tests.demo.lookaround

.PHONY: test
test: test-workflow test-pytest ## Run all tests

# The workflow runs first, so that the last line of all tests is pytest's.
.PHONY: test-workflow
test-workflow: setup
ifneq ($(wildcard extensions/molecule/*/molecule.yml),)
	@$(call within,.venv) python -m molecule test --all
endif

.PHONY: test-pytest
test-pytest: setup ## Run the tests without the molecule workflow; PYTEST_ARGS="FILE -x" selects tests, WORKERS=0 runs one process
	@$(call within,.venv) python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: setup ## Run the unit tests that need no simulator, no wine and little time
	@$(call within,.venv) python -m pytest -n $(WORKERS) -m "unit and not (simulator or wine or slow)" tests/unit $(PYTEST_ARGS)

# T is a package of module_utils, a folder below tests/unit, or a file.
T ?=
UNIT := $(firstword $(wildcard tests/unit/plugins/module_utils/$(T) tests/unit/plugins/$(T) tests/unit/$(T) $(T)))

.PHONY: unit
unit: setup ## Run the unit tests of a package: make unit T=ntfs
	@[[ -n "$(T)" && -n "$(UNIT)" ]] || { echo "There are no unit tests of \"$(T)\". Set T to a package, for example T=ntfs." >&2; exit 1; }
	@$(call within,.venv) python -m pytest $(UNIT) $(PYTEST_ARGS)

.PHONY: test-newest
test-newest: setup .venv-newest/.ready ## Run the tests on the newest ansible-core and Python
	@$(call within,.venv-newest) python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

# COSIGN=1 also builds cosign, which takes 17 minutes, and runs the tests with it.
.PHONY: test-distribution
test-distribution: setup .venv-s3/.ready ## Test with distribution 3, on disk and on S3, oras, and with COSIGN=1 cosign; the first run builds them for ten minutes
	@$(call within,.venv) $(TOOLS)/progress.sh "Build registries and their clients" 650 python -m ansible_collections.strata.layering.tests.support.registry_tools oras registry $(if $(COSIGN),cosign)
	@$(call within,.venv) python -m pytest tests/distribution $(PYTEST_ARGS)
	@$(call within,.venv) STRATA_SEEDS=8 python -m pytest tests/unit/plugins/module_utils/distribution/record/test_interleaved.py $(PYTEST_ARGS)

.PHONY: bench
bench: setup ## Measure the engine and compare it with other tools
	@$(TOOLS)/packages.sh bench
	@$(call within,.venv) python tests/benchmark/run.py

.PHONY: lint
lint: setup-lint ## Run all checks
	@.venv-newest/bin/python $(TOOLS)/lint.py

lint-%: setup-lint ## Run one check: sanity, ansible-lint, galaxy-importer, docs, changelog, execution-environment, go, ruff, format, language, mypy, errors
	@.venv-newest/bin/python $(TOOLS)/lint.py $*

.PHONY: format
format: .venv-newest/.ready ## Format the Python files and sort their imports
	@.venv-newest/bin/ruff check --quiet --fix .
	@.venv-newest/bin/ruff format --quiet .

.PHONY: docs-errors
docs-errors: .venv/.ready ## Write docs/errors.md from the code
	@.venv/bin/python $(TOOLS)/errors.py --write

.PHONY: changelog
changelog: setup-lint ## Add new fragments and modules to the changelog of the version in galaxy.yml
	@env PATH="$(CURDIR)/.venv-newest/bin:$$PATH" ANSIBLE_HOME="$(CURDIR)/.cache/ansible" antsibull-changelog release --update-existing --reload-plugins

# The demo needs no client of a registry.
.PHONY: registry-tools
registry-tools: packages .venv/.ready $(COLLECTION)
	@$(call within,.venv) $(TOOLS)/progress.sh "Build regctl, a client of registries" 25 python -m ansible_collections.strata.layering.tests.support.registry_tools regctl

.PHONY: setup
setup: packages .venv/.ready $(COLLECTION) collections downloads registry-tools ## Install the requirements of demo and test
	@:

.PHONY: setup-lint
setup-lint: packages-lint .venv/.ready .venv-newest/.ready collections

.PHONY: packages packages-lint
packages:
	@$(TOOLS)/progress.sh "Install missing Debian packages" 60 $(TOOLS)/packages.sh test
packages-lint:
	@$(TOOLS)/progress.sh "Install missing Debian packages" 60 $(TOOLS)/packages.sh test lint

REQUIREMENTS := requirements.txt tests/requirements.txt $(TOOLS)/environment.sh

.venv/.ready: $(REQUIREMENTS) tests/requirements-oldest.txt $(call moved,.venv/.ready)
	@$(TOOLS)/progress.sh "Install the Python libraries into .venv" 25 $(TOOLS)/environment.sh oldest .venv tests/requirements-oldest.txt

.venv-newest/.ready: $(REQUIREMENTS) tests/requirements-newest.txt $(call moved,.venv-newest/.ready)
	@$(TOOLS)/progress.sh "Install the Python libraries into .venv-newest" 40 $(TOOLS)/environment.sh newest .venv-newest tests/requirements-newest.txt

.venv-s3/.ready: tests/requirements-s3.txt $(TOOLS)/environment.sh $(call moved,.venv-s3/.ready)
	@$(TOOLS)/progress.sh "Install the simulated S3 server into .venv-s3" 25 $(TOOLS)/environment.sh oldest .venv-s3 tests/requirements-s3.txt

.PHONY: moved

# Tests download nothing: sample files and the Go modules of the simulator are fetched here.
.PHONY: downloads
downloads: packages .venv/.ready $(COLLECTION)
	@$(call within,.venv) $(TOOLS)/progress.sh "Download sample files of the tests" 20 python -m ansible_collections.strata.layering.tests.support.pypi_samples
	@$(call within,.venv) $(TOOLS)/progress.sh "Build the vSphere simulator" 60 python -m ansible_collections.strata.layering.tests.support.simulator build >/dev/null

# The checkout may have any name; Ansible and Python need this path.
$(COLLECTION):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

# The dependencies of the collection; the script does nothing if they are up to date.
.PHONY: collections
collections: .venv/.ready
	@$(TOOLS)/progress.sh "Fetch the collections that this collection needs" 25 $(TOOLS)/collections.sh .venv/bin/python .build/collections

.PHONY: clean
clean: ## Remove everything that these targets create
	rm -rf .build .cache .venv .venv-newest .venv-s3 .ansible .hypothesis .mypy_cache tests/output changelogs/.plugin-cache.yaml strata-layering-*.tar.gz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
