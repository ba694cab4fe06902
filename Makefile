# All routine tasks are make targets; `make help` lists them. They need Python 3.11 or newer and make; everything else is
# installed below this folder.
SHELL := /bin/sh
PYTHON ?= python3
TOOLS := .koppel/uv
UV := $(TOOLS)/bin/uv
READY := .koppel/ready
ARGS ?=
ID ?=
# Types take a minute on one core: style, imports and what is built need the other one meanwhile.
MAKEFLAGS += --jobs=2
# Images of Python often set it. Every program would then compile all that it imports at every start, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# One more than the cores of a small machine: a test that waits for a process or a browser leaves its core to another.
TEST_PROCESSES ?= 3
PYTEST_ARGS = $(if $(ARGS),$(ARGS),-n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder)

.PHONY: help install demo demo-once test drills check style types imports translations audited audit sbom setup-tests collected coverage hooks screenshots bench docs wheel release vendor built clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(UV) ## Make a server's environment, without the tools of tests; the program is .venv/bin/koppel
	@$(UV) sync --frozen -q --no-dev --python "$$(command -v $(PYTHON))" >&2
	@.venv/bin/python -m koppel.web.build
	@rm -f $(READY)

demo: built ## Start everything with a demo firm and the sandbox; prints the address; Ctrl-C stops it
	@.venv/bin/koppel demo $(ARGS)

demo-once: built ## Do the main job without a person; exits 0 when all is active (ARGS="--administrations 60 --sie DIR --json")
	@.venv/bin/koppel demo-once $(ARGS)

test: check built $(if $(ARGS),,collected) ## Check, then run all tests except drills, in the browser too (ARGS="-k tenancy": some of them)
	@.venv/bin/python -m pytest -m "not drill" $(PYTEST_ARGS)

# While types are checked the other core compiles all tests, once for all processes that run them.
collected: built
	@.venv/bin/python -m pytest --collect-only -q >.koppel/collected 2>&1 || { cat .koppel/collected; exit 1; }

drills: built ## Run tests that take minutes or need other servers: restores, two hosts, single wheels; reports what cannot run
	@.venv/bin/python -m pytest -m drill $(if $(ARGS),$(ARGS),-n 2 --dist loadfile --no-loadscope-reorder --durations 12)

check: style types imports translations audited ## Check style, types, imports, translations and the last audit; takes seconds

style: $(READY)
	@.venv/bin/ruff format --check -q .
	@.venv/bin/ruff check -q .

types: $(READY)
	@.venv/bin/mypy

imports: $(READY)
	@.venv/bin/lint-imports

# A text without its Dutch, or with a fuzzy or an empty one. Continues without gettext: `make setup-tests` installs it.
translations: $(READY)
	@! command -v xgettext >/dev/null || .venv/bin/python -m koppel.web.build.translations

# Compare the lock file with what the registries said last; without `make audit` it says "never audited".
audited: $(READY)
	@.venv/bin/python .ci/audit.py --check

audit: $(READY) ## Ask PyPI and npm about known vulnerabilities of the locked packages; writes .ci/audit.json
	@.venv/bin/python .ci/audit.py

sbom: $(READY) ## Write the software bill of materials (CycloneDX, JSON) to dist/koppel.cdx.json
	@$(UV) run --frozen -q --group release python .ci/sbom.py $(ARGS)

setup-tests: ## Install what tests need (Chromium, gettext, servers, LibreOffice) as root on Debian; elsewhere print it
	@PYTHON="$(PYTHON)" .ci/setup-tests

coverage: built ## Run the tests with coverage: the total and the least covered files
	@rm -rf .koppel/coverage && mkdir -p .koppel/coverage
	@.venv/bin/python -m coverage run -m pytest -m "not drill" $(PYTEST_ARGS); status=$$?; \
		.venv/bin/coverage combine -q && .venv/bin/coverage report --sort=cover | awk 'NR <= 17 || /^TOTAL/'; exit $$status

hooks: $(READY) ## Check style, types and imports before every commit (pre-commit)
	@.venv/bin/pre-commit install

screenshots: built ## Keep a picture of every page, width, language and theme in test-output/pages, and report what is wrong (PAGES=overview,sync)
	@.venv/bin/python -m pytest -m drill tests/web/test_screenshots_*.py $(ARGS)

bench: built ## Run benchmarks, one JSON line per figure (ID=embedded_postgres: one of them)
	@$(UV) sync --frozen -q --group bench >&2
	@.venv/bin/python -m bench $(if $(KEEP),--keep) $(ID)

docs: $(READY) ## List the documentation and test that it has every setting, permission and command
	@ls -1 README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs/*.md docs/decisions/*.md bench/README.md
	@.venv/bin/python -m pytest tests/architecture/test_docs.py

wheel: built ## Build a wheel per package in dist/, Koppel's with compiled texts and static files
	@for package in packages/*/; do (cd $$package && $(CURDIR)/.venv/bin/python -m hatchling build -t wheel -d $(CURDIR)/dist) || exit 1; done

vendor: $(READY) ## Fetch fonts, icons and libraries of pages from npm again and verify them (ARGS=--update: new hashes)
	@$(UV) run --frozen -q --group vendor python .ci/vendor.py $(ARGS)

release: built ## Cut a version (VERSION=0.3.0): bump it everywhere, date the changelog, keep wheels and requirements in tests/releases/
	@.venv/bin/python .ci/release.py $(VERSION)

# Compiled texts and collected static files: checked each time, built again when a source has changed.
built: $(READY)
	@.venv/bin/python -m koppel.web.build

clean: ## Remove the environment; data stays
	rm -rf .venv .koppel packages/koppel/src/koppel/web/staticfiles* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# A removed .venv is made again.
ifeq ($(wildcard .venv/bin/python),)
.PHONY: $(READY)
endif

# Made from the lock file, and again when that changes. Messages go to stderr, because --json uses stdout.
$(READY): uv.lock pyproject.toml $(wildcard packages/*/pyproject.toml) | $(UV)
	@$(UV) sync --frozen -q --python "$$(command -v $(PYTHON))" >&2
	@touch $(READY)

$(UV): .ci/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Koppel needs Python 3.11 or newer; install it, or name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python cannot create environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing what uv.lock names, once …" >&2; rm -rf $(TOOLS); $(PYTHON) -m venv $(TOOLS) >&2
	@$(TOOLS)/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r .ci/uv.txt >&2
