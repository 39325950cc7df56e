# SPDX-FileCopyrightText: 2026 linux_memory.oom contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The two commands: `make diagnose` reads hosts and says what is wrong, `make test` shows that it can be trusted.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
INVENTORY ?=
LOG ?=
ARGS ?=

# Two machines of the kernel lab at a time, each file of tests having one; the longest comes first by its name.
SIDE_BY_SIDE := -n 2 --dist loadfile

# What is repeated: ansible-core by its ends or all of it, kernels, experiments.
ANSIBLE_CORES ?= 2.16 2.19
IMAGES ?= bullseye bookworm trixie backports
EXPERIMENTS ?= dirty_throttle swap_tuning cgroup_memory_limit panic_on_oom_kdump panic_on_oom_modes cure_rate diagnosis

RUN := build/venv
BIN := .venv/bin
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export ANSIBLE_LOCALHOST_WARNING := False
export ANSIBLE_INVENTORY_UNPARSED_WARNING := False

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

diagnose: $(RUN) collection ## Read this host (or INVENTORY=hosts.yml, or LOG=kern.log) and say how its memory stands
	@tests/tools/diagnose.sh $(RUN)/bin "$(INVENTORY)" "$(LOG)" $(ARGS)

test: export CI = true # the same inputs in every run: see tests/conftest.py
test: packages test-fast scenarios kernel ## Everything: lint, sanity, unit, container scenarios, kernel lab

test-fast: lint sanity unit ## Lint, sanity and unit tests: the loop while you work

test-matrix: packages venv ## Everything, on every ansible-core and every kernel; goes on where one fails, and fails at the end
	$(MAKE) --keep-going ANSIBLE_CORES="2.16 2.17 2.18 2.19" lint unit sanity scenarios-everywhere $(IMAGES:%=kernel-%) experiments

lint: venv ## Style, documentation, licences, the Python floor
	tests/tools/lint.sh

sanity: venv ## ansible-test sanity on the oldest and the newest ansible-core
	$(BIN)/python tests/tools/sanity.py $(ANSIBLE_CORES)

unit: venv ## Unit tests, the page in a browser included
	$(BIN)/pytest -n auto tests/unit tests/browser

scenarios: venv packages ## Molecule scenarios in systemd containers, and the example of a user's repository
	$(BIN)/python tests/tools/scenarios.py $(if $(SCENARIOS),,--ends) $(SCENARIOS)
	$(if $(SCENARIOS),,$(BIN)/python tests/tools/user_repository.py)

scenarios-everywhere: venv packages
	$(BIN)/python tests/tools/scenarios.py
	$(BIN)/python tests/tools/user_repository.py

kernel: venv packages ## Machines with kernels of their own, diagnosed and changed over SSH (IMAGE=bookworm)
	LINUX_MEMORY_OOM_IMAGE=$(or $(IMAGE),bookworm) $(BIN)/pytest $(SIDE_BY_SIDE) $(if $(TESTS),,-m "not matrix") $(or $(TESTS),tests/kernel)

kernel-%: venv packages
	LINUX_MEMORY_OOM_IMAGE=$* $(BIN)/pytest $(SIDE_BY_SIDE) tests/kernel

bench: venv ## Measure (never part of the tests): BENCH=memory_facts, oom_report, roles or vmcore
	$(BIN)/python tests/benchmarks/bench_$(or $(BENCH),memory_facts).py

docs: venv ## Write the generated documentation anew
	$(BIN)/python tests/tools/role_readme.py
	$(BIN)/python tests/tools/remedy_doc.py

experiments: $(foreach image,$(IMAGES),$(EXPERIMENTS:%=experiment-%-$(image))) ## Measure each remedy on each kernel anew (many hours under emulation): EXPERIMENTS, IMAGES
	$(MAKE) effects

experiment-%: venv packages
	$(BIN)/python tests/lab/effects $(subst -, ,$*)

effects: ## Write docs/effects.md and its plots from the numbers in docs/effects
	@$(PYTHON) tests/tools/environment.py build/docs requirements/docs.txt
	build/docs/bin/python tests/tools/effects_doc.py

build: $(RUN) ## Build the collection's tarball into build/
	$(RUN)/bin/ansible-galaxy collection build --force --output-path build/

clean: ## Remove what was made inside the tree (the cache outside it stays)
	rm -rf build .venv tests/output .pytest_cache .hypothesis .ruff_cache

packages: ## Install the Debian packages that the tests need (root; names what is missing otherwise)
	@tests/tools/packages.sh

venv: collection
	@$(PYTHON) tests/tools/environment.py .venv requirements/test.txt

$(RUN): requirements/run.txt tests/tools/environment.py
	@$(PYTHON) tests/tools/environment.py $(RUN) requirements/run.txt

collection:
	@mkdir -p build/collections/ansible_collections/linux_memory
	@ln -sfn ../../../.. build/collections/ansible_collections/linux_memory/oom

.PHONY: help diagnose test test-fast test-matrix lint sanity unit scenarios scenarios-everywhere kernel bench docs experiments effects build clean packages venv collection
