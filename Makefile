# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

# What pytest gets in addition.
PYTEST_ARGS ?=

TOOLS := tests/tools
COLLECTION := .build/collections/ansible_collections/strata/layering

# With these, Python and Ansible find the collection and an environment's tools in this checkout and write into no other folder.
within = env PATH="$(CURDIR)/$(1)/bin:$$PATH" PYTHONPATH="$(CURDIR)/.build/collections" \
	ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/.build/collections" ANSIBLE_HOME="$(CURDIR)/.cache/ansible"

# An environment whose stamp names another folder was moved or copied, and does not work there.
moved = $(if $(filter-out $(CURDIR),$(shell cat $(1) 2>/dev/null)),moved)

.PHONY: help
help: ## Say what can be made
	@sed -nE 's/^([a-z%-]+):.*## /\1|/p' Makefile | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

.PHONY: demo
demo: setup ## Publish a layered Windows image on a simulated vSphere; DEMO_KEEP=1 leaves that running
	@$(call within,.venv) python -m ansible_collections.strata.layering.tests.demo.run

.PHONY: test
test: test-workflow test-pytest ## Run all tests

# First, so that the last line of all tests is pytest's.
.PHONY: test-workflow
test-workflow: setup
ifneq ($(wildcard extensions/molecule/*/molecule.yml),)
	@$(call within,.venv) python -m molecule test --all
endif

.PHONY: test-pytest
test-pytest: setup ## Run the tests without the workflow on the simulator; PYTEST_ARGS="FILE -x" chooses
	@$(call within,.venv) python -m pytest $(PYTEST_ARGS)

.PHONY: test-newest
test-newest: setup .venv-newest/.ready ## Run the unit tests on the newest ansible-core and Python
	@$(call within,.venv-newest) python -m pytest $(PYTEST_ARGS)

.PHONY: bench
bench: setup ## Measure, side by side with other tools
	@$(TOOLS)/packages.sh bench
	@$(call within,.venv) python tests/benchmark/run.py

.PHONY: lint
lint: setup-lint ## Run all checks
	@.venv-newest/bin/python $(TOOLS)/lint.py

lint-%: setup-lint ## Run one check: sanity, ansible-lint, galaxy-importer, docs, changelog, execution-environment, ruff, go
	@.venv-newest/bin/python $(TOOLS)/lint.py $*

.PHONY: changelog
changelog: setup-lint ## Take new fragments and modules into the changelog of the version in galaxy.yml
	@env PATH="$(CURDIR)/.venv-newest/bin:$$PATH" ANSIBLE_HOME="$(CURDIR)/.cache/ansible" antsibull-changelog release --update-existing --reload-plugins

.PHONY: setup
setup: packages .venv/.ready $(COLLECTION) collections ## Install what demo and test need
	@:

.PHONY: setup-lint
setup-lint: packages-lint .venv/.ready .venv-newest/.ready collections

.PHONY: packages packages-lint
packages:
	@$(TOOLS)/packages.sh test
packages-lint:
	@$(TOOLS)/packages.sh test lint

REQUIREMENTS := requirements.txt tests/requirements.txt $(TOOLS)/environment.sh

.venv/.ready: $(REQUIREMENTS) tests/requirements-oldest.txt $(call moved,.venv/.ready)
	@$(TOOLS)/environment.sh oldest .venv tests/requirements-oldest.txt

.venv-newest/.ready: $(REQUIREMENTS) tests/requirements-newest.txt $(call moved,.venv-newest/.ready)
	@$(TOOLS)/environment.sh newest .venv-newest tests/requirements-newest.txt

.PHONY: moved

# The checkout may have any name; Ansible and Python want this one.
$(COLLECTION):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

# What this collection depends on; the script itself sees whether there is something to do.
.PHONY: collections
collections: .venv/.ready
	@$(TOOLS)/collections.sh .venv/bin/python .build/collections

.PHONY: clean
clean: ## Remove everything that was made
	rm -rf .build .cache .venv .venv-newest .ansible .hypothesis tests/output changelogs/.plugin-cache.yaml strata-layering-*.tar.gz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
