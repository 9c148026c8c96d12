# Everything that a checkout needs. It requires only make and Python 3.11 or newer.
# The two main commands are `make demo` and `make test`. Both first set up .venv from the lock files.

# The first of these that is new enough creates .venv. The lock files are tested with 3.11.
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

# With worksteal, neighbouring tests stay in one process, so a module's fixtures are built once or twice only.
EVERY_CORE := -n logical --dist worksteal

CHROMIUM := chromium chromium-browser google-chrome
SUDO     := $(if $(filter 0,$(shell id -u)),,sudo -n)

# If this is set, Python compiles each module again in every process that a test starts. Empty counts as not set.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test browser lint types style format audit licences sbom machine fuzz soak bench lock wheel test-wheel clean fresh-venv

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO) ## try it: two simulated systems, backfills, the daemon; nothing to configure
	@$(RUN)trakor-bridge demo

test: lint browser ## run everything that CI checks: lint, types, tests
	$(RUN)pytest $(EVERY_CORE)

# The status page is tested in a real browser: an installed one, else Debian's. If there is none, its tests
# are skipped with a message; in CI they fail.
browser: ## install a Chromium for the tests of the status page, if there is none
	@{ $(foreach name,$(CHROMIUM),command -v $(name) ||) false; } >/dev/null || { \
		echo "Installing a browser for the tests: chromium."; \
		$(SUDO) apt-get update -qq </dev/null && \
		$(SUDO) apt-get install -y -qq --no-install-recommends chromium </dev/null >/dev/null; \
	} || echo "No browser could be installed. The tests that need one are skipped." >&2

# The second call of deptry is for code that is not installed with the bridge and may use development packages.
define risky
	$(RUN)bandit --quiet --configfile pyproject.toml --recursive bridge
	$(RUN)deptry bridge
	$(RUN)deptry tests bench tools --ignore DEP002,DEP004
endef

lint: $(DEV) ## run types and style side by side
	@$(MAKE) --no-print-directory -j2 -O types style

types: $(DEV) ## run mypy
	$(RUN)mypy

style: $(DEV) ## run ruff, the check of its formatter, bandit and deptry
	$(RUN)ruff check
	$(RUN)ruff format --check
	$(risky)

format: $(DEV) ## correct what ruff can correct
	$(RUN)ruff check --fix
	$(RUN)ruff format

# Only pip-audit needs the network; the rest is part of `make test` too. If pip-audit reaches no vulnerability
# database (status 3), it reports that and the target succeeds; with STRICT=1 the target fails.
audit: $(DEV) sbom $(AUDIT) ## check vulnerabilities, risky code, dependencies, licences, bill of materials (STRICT=1)
	$(risky)
	@$(RUN)python tools/licences.py --check
	@$(RUN)python tools/advisories.py build/audit/bin/pip-audit requirements-dev.lock requirements-audit.lock || \
		{ status=$$?; [ "$$status" = 3 ] && [ -z "$(STRICT)" ]; }

licences: $(DEV) ## write docs/licences.md from the lock file and the installed packages
	@$(RUN)python tools/licences.py

sbom: $(DEV) ## write the bill of materials (CycloneDX) to dist/
	@$(RUN)python tools/sbom.py $(SBOM)

machine: $(DEV) ## search for a sequence of events that breaks a guarantee (MINUTES=10)
	MACHINE_MINUTES=$(or $(MINUTES),10) $(RUN)pytest tests/test_machine.py

fuzz: $(DEV) ## send a million hostile requests and 100,000 hostile answers (REQUESTS=, ANSWERS=, LEDGERS=, SEED=)
	FUZZ_REQUESTS=$(or $(REQUESTS),1000000) FUZZ_ANSWERS=$(or $(ANSWERS),100000) \
		FUZZ_LEDGERS=$(or $(LEDGERS),200) FUZZ_SEED=$(or $(SEED),$(shell date +%s)) \
		$(RUN)pytest -n0 -s -p no:randomly tests/test_fuzz.py tests/test_fuzz_ledger.py

soak: $(DEV) ## run the daemon under webhooks, faults, kills and floods (MINUTES=60 RATE=50), and write the result
	$(RUN)python tests/soak.py --minutes $(or $(MINUTES),60) --rate $(or $(RATE),50) --write

bench: $(DEV) ## measure how fast a backfill is, as ratios to targets
	$(RUN)python bench/backfill.py

wheel: sbom ## build the wheel and its bill of materials in dist/
	$(RUN)python -m hatchling build -t wheel -d dist

test-wheel: $(DEV) ## run the tests against the built wheel in an environment of its own
	rm -rf $(WHEEL)
	$(RUN)python -m hatchling build -t wheel -d $(WHEEL)/dist
	$(RUN)python -m venv $(WHEEL)/$(VENV)
	$(WHEEL)/$(PIP) install --require-hashes -r requirements-dev.lock
	$(WHEEL)/$(PIP) install --no-index --no-deps $(WHEEL)/dist/*.whl
	$(WHEEL)/$(RUN)pytest $(EVERY_CORE)

# --universal resolves for all platforms and Python versions at once, and --no-config ignores this machine's
# settings, so the result is the same everywhere. UPGRADE=1 looks for newer releases of locked packages.
LOCK := $(UV) --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

lock: $(UV) ## resolve pyproject.toml into the lock files (UPGRADE=1: newest releases)
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --group build -o requirements-build.lock
	$(LOCK) -c requirements.lock -c requirements-build.lock --group dev pyproject.toml -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock --group audit -o requirements-audit.lock

clean: ## remove everything that was made here, including .venv
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# -- setting up -----------------------------------------------------------------------------------
# Each stamp file marks one finished set-up, which is repeated only if a file that it depends on changes.
# $(WHOLE) contains the folder in which .venv was made. It is removed before an installation and written after
# it. So .venv is rebuilt if it was interrupted, moved or made by hand, or if its Python no longer exists.

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

# The development lock file contains the others, so this stamp includes $(DEMO).
$(DEV): requirements-dev.lock requirements.lock requirements-build.lock pyproject.toml bridge/__init__.py
	$(call install,requirements-dev.lock,$(DEMO) $(DEV))

ifneq ($(shell $(RUN)python -c 'import pip' 2>/dev/null && cat $(WHOLE) 2>/dev/null),$(CURDIR))
.PHONY: $(DEMO) $(DEV)
$(DEMO) $(DEV): fresh-venv
endif

fresh-venv:
	$(call new_venv,$(VENV))

# pip-audit has an environment of its own, because the tests do not need it.
$(AUDIT): requirements-audit.lock
	$(call new_venv,build/audit)
	@build/audit/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r requirements-audit.lock
	@touch $(AUDIT)

# uv has an environment of its own, so that it works even if the lock files do not.
$(UV):
	$(call new_venv,build/lock)
	@build/lock/bin/python -m pip --disable-pip-version-check --quiet install 'uv>=0.9'
	@touch $(UV)
