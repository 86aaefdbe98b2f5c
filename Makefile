# Everything a newcomer needs: `make demo` shows hitlens at work, `make test` checks all of it.
# Each environment is made once and stamped; it is brought up to date when pyproject.toml or constraints.txt change.

RECENT := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c '$(RECENT)' 2>/dev/null && echo $$p && break; done)
DEMO_ENV := .venv
TEST_ENV := .venv-test
PIP_FLAGS := --quiet --disable-pip-version-check
# Pinned here and not in pyproject: users may have any torch >= 2.6, the project's own environments have this one.
TORCH := torch==2.13.0
DEVELOPER := .[dev,docs]
# One test process a core; threads of numerical libraries would only wait for each other.
SIDE_BY_SIDE := -n auto --maxprocesses 8 --dist loadfile
THREADS := OMP_NUM_THREADS=1
HITLENS := $(DEMO_ENV)/bin/hitlens
DEMO_TASKS := multiplicity single_energy single_position
DEMO_DATA := demo/cebr-dark.h5 demo/cebr-middle.h5 demo/cebr-bright.h5
DEMO_REPORTS := $(DEMO_TASKS:%=demo/%/report.html)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test fuzz kill lint docs audit benchmarks constraints clean python

help:
	@echo "make demo         simulate CeBr events, train three networks, write their reports"
	@echo "make test         lint, types, layers, tests with coverage, documentation and its code"
	@echo "make docs         the documentation, into docs/_build/html"
	@echo "make audit        known weaknesses of the versions in constraints.txt; asks the network"
	@echo "make fuzz         damaged files at every door, FUZZ=\"--number 1000 --seed 2 --door native\""
	@echo "make benchmarks   speed and accuracy beside other tools; takes long, see benchmarks/"
	@echo "make kill         kill commands at random moments and compare; KILLS=40 SEED=1 SECONDS=900"
	@echo "make constraints  resolve the newest versions anew into constraints.txt"
	@echo "make clean        remove environments and everything built"

python:
	@$(or $(PYTHON),false) -c '$(RECENT)' 2>/dev/null || { \
	  echo "hitlens needs Python 3.11 or newer with its venv module; none was found as '$(or $(PYTHON),python3)'." >&2; \
	  echo "On Debian and Ubuntu: apt-get install python3 python3-venv" >&2; \
	  echo "Another interpreter:  make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }

# torch first: a looser requirement met later by another package would fetch a second, larger build.
define make-environment
	@echo "Installing into $(@D) (once; the first time this downloads some hundred MB) ..."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt $(TORCH)
	@$(@D)/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt --editable "$(1)"
	@touch $@
endef

$(DEMO_ENV)/.installed: pyproject.toml constraints.txt src/hitlens/__init__.py | python
	$(call make-environment,.)

$(TEST_ENV)/.installed: pyproject.toml constraints.txt src/hitlens/__init__.py | python
	$(call make-environment,$(DEVELOPER))

demo: $(DEMO_REPORTS)
	@echo
	@echo "The reports, one self-contained page each:"
	@for task in $(DEMO_TASKS); do echo "  $(CURDIR)/demo/$$task/report.html"; done
	@echo "To run it all again: rm -r demo && make demo"

# Wall reflectivity is what the response knows least (docs/explanation/cebr_simulator.md): a network that sees a
# range of it measures the energy of real electrons near the walls right.
demo/cebr-dark.h5: DEMO_SAMPLE := --seed 1 --set nuisance.reflectivity_scale=0.97
demo/cebr-middle.h5: DEMO_SAMPLE := --seed 2 --set nuisance.reflectivity_scale=1.04
demo/cebr-bright.h5: DEMO_SAMPLE := --seed 3 --set nuisance.reflectivity_scale=1.11
$(DEMO_DATA): | $(DEMO_ENV)/.installed
	@mkdir -p demo
	$(HITLENS) simulate cebr -n 20000 $(DEMO_SAMPLE) -o $@

# A training that was interrupted goes on; `hitlens evaluate` is the only one to read the test split.
demo/%/report.html: $(DEMO_DATA)
	$(HITLENS) train cebr/demo_$* $(DEMO_DATA:%=--data %) -o demo/$* $$(test -e demo/$*/provenance.json && echo --resume)
	$(HITLENS) evaluate demo/$*

lint: $(TEST_ENV)/.installed
	$(TEST_ENV)/bin/ruff check .
	$(TEST_ENV)/bin/ruff format --check .
	$(TEST_ENV)/bin/mypy
	$(TEST_ENV)/bin/lint-imports

test: lint docs
	$(THREADS) $(TEST_ENV)/bin/python -m pytest $(SIDE_BY_SIDE) --cov --cov-fail-under=90 --durations=15

docs: $(TEST_ENV)/.installed
	$(TEST_ENV)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Documentation: $(CURDIR)/docs/_build/html/index.html"

# In an environment of its own: what it needs shall not choose the versions that hitlens is tested with.
build/audit/bin/pip-audit: | python
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install $(PIP_FLAGS) pip-audit

audit: build/audit/bin/pip-audit
	build/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

FUZZ := --number 200
fuzz: $(TEST_ENV)/.installed
	$(THREADS) $(TEST_ENV)/bin/python tests/fuzz/campaign.py $(FUZZ)

KILLS := 40
SEED := 1
SECONDS := 900

kill: $(TEST_ENV)/.installed
	$(THREADS) $(TEST_ENV)/bin/python tests/kill.py --kills $(KILLS) --seed $(SEED) --seconds $(SECONDS)

benchmarks: $(TEST_ENV)/.installed
	@for script in benchmarks/*/run.sh; do \
	  echo "== $$script"; PATH="$(CURDIR)/$(TEST_ENV)/bin:$$PATH" bash "$$script" || exit 1; done

constraints: python
	rm -rf build/resolve && $(PYTHON) -m venv build/resolve
	build/resolve/bin/python -m pip install $(PIP_FLAGS) $(TORCH)
	build/resolve/bin/python -m pip install $(PIP_FLAGS) $(TORCH) "$(DEVELOPER)"
	{ echo "# The versions hitlens is tested with, for -c. Made by 'make constraints' with" \
	       "$$(build/resolve/bin/python --version)."; \
	  build/resolve/bin/python -m pip freeze --exclude hitlens | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'; \
	} > build/constraints.txt
	! grep -n -E '@|/' build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/resolve

clean:
	rm -rf $(DEMO_ENV) $(TEST_ENV) build dist demo docs/_build .coverage .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis benchmarks/*/.venv*
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
