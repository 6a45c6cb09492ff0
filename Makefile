# Needs only make and Python 3.11 to 3.13: `make demo` and `make test` set up everything else in $(VENV).
PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
VENV ?= .venv
PYTEST_ARGS ?=
# Most tests wait for processes most of the time. JOBS=0 runs them in one process, for a debugger.
JOBS ?= 3
BASE ?= unix
SEED ?= 1
OUTPUT ?= docs/performance/bench

BIN := $(VENV)/bin
FOLDERS := config plugins actors load_tests

MAKEFLAGS += --no-print-directory
# Pytest keeps what it makes of test modules, of hypothesis and of us as bytecode; without that, each of the many runs
# that are part of the tests would compile it again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all lint suite coverage fuzz simulate chaos bench growth conformance format links compile clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r target text; do \
		printf '%-15s %s\n' "$$target" "$$text"; done

demo: $(VENV)/run.stamp compile ## replay a recorded capture through the bundled plugins
	$(BIN)/nyx-plugins demo

test: lint suite ## everything a change has to pass: linters, types, layers, tests

# pyenv's shims run only the versions that are selected, so select them all.
test-all: ## the same on each of $(PYTHONS) that runs here
	@passed=; \
	PYENV_VERSION=$$(pyenv versions --bare 2>/dev/null | paste -sd: -); export PYENV_VERSION; \
	for python in $(PYTHONS); do \
		if ! version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then \
			echo "test-all: $$python does not run here, skipped"; continue; \
		fi; \
		echo "test-all: $$python"; \
		$(MAKE) test PYTHON="$$python" VENV=".venv-$$version" || exit 1; \
		passed="$$passed $$version"; \
	done; \
	test -n "$$passed" || { echo "test-all: none of $(PYTHONS) runs here" >&2; exit 1; }; \
	echo "test-all: passed on$$passed"

lint: $(VENV)/dev.stamp links ## ruff, mypy --strict and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=build/links $(BIN)/lint-imports --no-logo

# `pytest`, not `python -m pytest`: that would put the checkout on the path and hide an import of a bare folder name.
suite: $(VENV)/dev.stamp compile ## the tests alone; PYTEST_ARGS="-k mailbox" narrows them
	$(BIN)/pytest $(COVERAGE) -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# Tests without processes take more than twice as long when each line is noted, and find nothing more.
coverage: COVERAGE := --cov
coverage: suite ## the tests, and which branches none of them has taken

# Each round tries other streams. What fails is printed with how to try it again, and is tried first the next time.
fuzz: SECONDS ?= 600
SEEDS ?= 10000
FIRST ?= 0
fuzz: $(VENV)/dev.stamp compile ## try random streams on the worker protocol for SECONDS=600
	@end=$$(($$(date +%s) + $(SECONDS))); \
	while [ $$(date +%s) -lt $$end ]; do \
		env -u CI $(BIN)/pytest -q tests/fuzz $(PYTEST_ARGS) || exit 1; \
	done

# Several seeds run at the same time: SEED="1 2 3". What each found is in build/chaos-SEED.log.
chaos: SECONDS ?= 30
chaos: $(VENV)/dev.stamp compile ## kill random processes under load, and prove that nothing is lost; SEED=1 SECONDS=30
	@mkdir -p build; running=; broken=0; \
	for seed in $(SEED); do \
		$(BIN)/python -P -m nyx_plugins.load_tests chaos --seed $$seed --seconds $(SECONDS) \
			</dev/null >build/chaos-$$seed.log 2>&1 & running="$$running $$!"; \
	done; \
	for process in $$running; do wait $$process || broken=1; done; \
	for seed in $(SEED); do cat build/chaos-$$seed.log; done; \
	exit $$broken

# SEED=123 tells step by step what happens under one seed, SEEDS=10000 tries so many.
simulate: $(VENV)/dev.stamp compile ## a system in one process under SEEDS=10000 random schedules, or SEED=123 step by step
	PYTHONPATH=tests $(BIN)/python -m simulation $(if $(filter command environment,$(origin SEED)),--seed $(SEED),--seeds $(SEEDS) --first $(FIRST) --jobs $(JOBS))

# On a quiet machine, please. `pip install -e ".[peers]"` before it for the ratios to Ray and xoscar.
bench: $(VENV)/dev.stamp compile ## the table of targets, against other systems in the same run; takes five to ten minutes
	$(BIN)/python -P -m nyx_plugins.load_tests bench --output $(OUTPUT) </dev/null

growth: OUTPUT = docs/performance/growth
growth: $(VENV)/dev.stamp compile ## draw how cost grows with batches, frames, plugins, clients and mailboxes; takes five to ten minutes
	$(BIN)/python -P -m nyx_plugins.load_tests growth --output $(OUTPUT) </dev/null

# Most of these tests sleep most of the time. What fails is tried again by itself: their patience is short, and other
# programs may be at work.
conformance: $(VENV)/dev.stamp compile ## Thespian's own functional tests, on the transport `unix`; takes two to four minutes
	PYTHONPATH=tests/conformance $(BIN)/pytest -c tests/conformance/pytest.ini -p thespian_suite -p no:cacheprovider \
		-q -rR -n 4 --dist worksteal --reruns 2 --pyargs thespian.test \
		--base $(BASE) --expected tests/conformance/multiprocTCPBase.txt $(PYTEST_ARGS)

format: $(VENV)/dev.stamp ## sort imports, mend what ruff can, format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The installed layout, for tools that don't see an editable install. actors/_face is left out of actors: it is the root.
links:
	@rm -rf build/links
	@mkdir -p build/links/nyx_plugins/actors
	@ln -s $(addprefix ../../../,$(filter-out %/__pycache__,$(wildcard actors/_face/*)) $(filter-out actors,$(FOLDERS))) build/links/nyx_plugins
	@ln -s $(addprefix ../../../../,$(filter-out actors/_face %/__pycache__,$(wildcard actors/*))) build/links/nyx_plugins/actors

# Workers start faster from compiled files, which Python itself does not write under PYTHONDONTWRITEBYTECODE.
compile:
	$(BIN)/python -m compileall -q $(FOLDERS)

define install
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.$(1)'
endef

$(VENV)/run.stamp: setup.cfg pyproject.toml
	$(call install)
	touch $@

$(VENV)/dev.stamp: setup.cfg pyproject.toml
	$(call install,[dev])
	touch $(VENV)/run.stamp $@

clean: ## remove everything that the other targets made
	rm -rf .venv .venv-* build dist *.egg-info .coverage .coverage.* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(FOLDERS) tests -name __pycache__ -type d -prune -exec rm -rf {} +
