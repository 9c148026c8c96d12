# Everything a checkout needs, from nothing but make and Python 3.11 or newer.
# Two commands to know: `make demo` and `make test`. Both set up .venv first, from the lock files.

# The first of these that is new enough makes .venv; the locks are tried out with 3.11.
PYTHON ?= python3.11 python3.12 python3.13 python3.14 python3

VENV  := .venv
RUN   := $(VENV)/bin/
PIP   := $(RUN)python -m pip --disable-pip-version-check --no-input -qq
DEMO  := $(VENV)/.ready-to-run
DEV   := $(VENV)/.ready-to-develop
WHOLE := $(VENV)/.whole
WHEEL := build/wheel
UV    := build/lock/bin/uv
AUDIT := build/audit/.ready
SBOM  := dist/trakor-bridge.cdx.json

# Neighbours stay together, so that what a module makes for its tests is made once or twice.
EVERY_CORE := -n logical --dist worksteal

CHROMIUM := chromium chromium-browser google-chrome
SUDO     := $(if $(filter 0,$(shell id -u)),,sudo -n)

# Set, Python compiles every module anew in each process that a test starts. Empty is not set.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test browser lint format audit licences sbom machine fuzz soak bench lock wheel test-wheel clean fresh-venv

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO) ## try it: two simulated systems, backfills, the daemon; nothing to configure
	@$(RUN)trakor-bridge demo

test: lint browser ## everything that CI checks: lint, types, tests
	$(RUN)pytest $(EVERY_CORE)

# The status page is tried in a real browser: the one that is there, else Debian's. Where none can be had,
# its tests are skipped and say so; in CI they then fail.
browser: ## a Chromium for the tests of the status page, where there is none
	@{ $(foreach name,$(CHROMIUM),command -v $(name) ||) false; } >/dev/null || { \
		echo "Installing a browser for the tests: chromium."; \
		$(SUDO) apt-get update -qq </dev/null && \
		$(SUDO) apt-get install -y -qq --no-install-recommends chromium </dev/null >/dev/null; \
	} || echo "No browser could be installed: its tests are skipped." >&2

# The second call of deptry is for what is never installed with the bridge: it may use the development packages.
define risky
	$(RUN)bandit --quiet --configfile pyproject.toml --recursive bridge
	$(RUN)deptry bridge
	$(RUN)deptry tests bench tools --ignore DEP002,DEP004
endef

lint: $(DEV) ## ruff, its formatter's opinion, mypy, bandit, deptry
	$(RUN)ruff check
	$(RUN)ruff format --check
	$(RUN)mypy
	$(risky)

format: $(DEV) ## put right what ruff can put right by itself
	$(RUN)ruff check --fix
	$(RUN)ruff format

# All but pip-audit needs no network, and is part of `make test` as well. Where pip-audit reaches no source
# (status 3), it says so and the rest counts; with STRICT=1 that is a failure.
audit: $(DEV) sbom $(AUDIT) ## known vulnerabilities, risky code, dependencies, licences, bill of materials (STRICT=1)
	$(risky)
	@$(RUN)python tools/licences.py --check
	@$(RUN)python tools/advisories.py build/audit/bin/pip-audit requirements-dev.lock requirements-audit.lock || \
		{ status=$$?; [ "$$status" = 3 ] && [ -z "$(STRICT)" ]; }

licences: $(DEV) ## write docs/licences.md from what is locked and installed
	@$(RUN)python tools/licences.py

sbom: $(DEV) ## write the bill of materials (CycloneDX) into dist/
	@$(RUN)python tools/sbom.py $(SBOM)

machine: $(DEV) ## hunt for a sequence that breaks a promise (MINUTES=10)
	MACHINE_MINUTES=$(or $(MINUTES),10) $(RUN)pytest tests/test_machine.py

fuzz: $(DEV) ## a million hostile requests, 100,000 hostile answers (REQUESTS=, ANSWERS=, LEDGERS=, SEED=)
	FUZZ_REQUESTS=$(or $(REQUESTS),1000000) FUZZ_ANSWERS=$(or $(ANSWERS),100000) \
		FUZZ_LEDGERS=$(or $(LEDGERS),200) FUZZ_SEED=$(or $(SEED),$(shell date +%s)) \
		$(RUN)pytest -n0 -s -p no:randomly tests/test_fuzz.py tests/test_fuzz_ledger.py

soak: $(DEV) ## the daemon under webhooks, faults, kills and floods (MINUTES=60 RATE=50); writes what it found
	$(RUN)python tests/soak.py --minutes $(or $(MINUTES),60) --rate $(or $(RATE),50) --write

bench: $(DEV) ## how fast a backfill is, as ratios
	$(RUN)python bench/backfill.py

wheel: sbom ## build the wheel into dist/, with its bill of materials
	$(RUN)python -m hatchling build -t wheel -d dist

test-wheel: $(DEV) ## the tests once more, against the built wheel in an environment of its own
	rm -rf $(WHEEL)
	$(RUN)python -m hatchling build -t wheel -d $(WHEEL)/dist
	$(RUN)python -m venv $(WHEEL)/$(VENV)
	$(WHEEL)/$(PIP) install --require-hashes -r requirements-dev.lock
	$(WHEEL)/$(PIP) install --no-index --no-deps $(WHEEL)/dist/*.whl
	$(WHEEL)/$(RUN)pytest $(EVERY_CORE)

# For every platform and Python at once (--universal), and deaf to this machine's settings (--no-config):
# nothing of where it was made is in the result. UPGRADE=1 looks for newer releases of what is locked.
LOCK := $(UV) --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

lock: $(UV) ## resolve pyproject.toml into the lock files (UPGRADE=1: newest releases)
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --group build -o requirements-build.lock
	$(LOCK) -c requirements.lock -c requirements-build.lock --group dev pyproject.toml -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock --group audit -o requirements-audit.lock

clean: ## remove what was made here, .venv too
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# -- setting up -----------------------------------------------------------------------------------
# Each stamp stands for one finished set-up; nothing is done again until a file it depends on changes.
# $(WHOLE) holds the folder .venv was made in. It goes before an installation and comes back after it:
# a .venv that was interrupted, moved or made by hand, or whose Python is gone, is made anew.

define new_venv
	@for python in $(PYTHON); do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then echo "Making $(1) with $$python ($$("$$python" --version))"; exec "$$python" -m venv --clear $(1); fi; \
	done; \
	echo "No Python 3.11 or newer that can make virtual environments among: $(PYTHON)." >&2; \
	echo "Install one (Debian, Ubuntu: apt-get install python3-venv), or name yours: make PYTHON=/path/to/python ..." >&2; \
	exit 1
endef

define install
	@echo "Installing into $(VENV): $(1)"
	@rm -f $(WHOLE)
	@$(PIP) install --require-hashes $(addprefix -r ,$(1))
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@printf '%s' '$(CURDIR)' > $(WHOLE)
	@touch $(2)
endef

$(DEMO): requirements.lock requirements-build.lock pyproject.toml bridge/__init__.py
	$(call install,requirements.lock requirements-build.lock,$(DEMO))

# The development lock holds the others, so that what is ready to develop is ready to run.
$(DEV): requirements-dev.lock requirements.lock requirements-build.lock pyproject.toml bridge/__init__.py
	$(call install,requirements-dev.lock,$(DEMO) $(DEV))

ifneq ($(shell $(RUN)python -c 'import pip' 2>/dev/null && cat $(WHOLE) 2>/dev/null),$(CURDIR))
.PHONY: $(DEMO) $(DEV)
$(DEMO) $(DEV): fresh-venv
endif

fresh-venv:
	$(call new_venv,$(VENV))

# What asks the outside, apart from what the tests need.
$(AUDIT): requirements-audit.lock
	$(call new_venv,build/audit)
	@build/audit/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r requirements-audit.lock
	@touch $(AUDIT)

# A tool of its own environment: it must work also while the locks do not.
$(UV):
	$(call new_venv,build/lock)
	@build/lock/bin/python -m pip --disable-pip-version-check --quiet install 'uv>=0.9'
	@touch $(UV)
