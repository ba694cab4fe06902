# One command per routine task. `make help` lists them. Needed: Python 3.11 or newer and make; everything else is installed below this folder.
SHELL := /bin/sh
PYTHON ?= python3
TOOLS := .koppel/uv
UV := $(TOOLS)/bin/uv
READY := .koppel/ready
ARGS ?=
ID ?=
# One more than the cores of a small machine: a test that waits for a process or a browser leaves its core to another.
TEST_PROCESSES ?= 3
PYTEST_ARGS = $(if $(ARGS),$(ARGS),-n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder)

.PHONY: help install demo demo-once test drills check style types imports setup-tests coverage hooks bench docs wheel built clean

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(UV) ## For a server: the environment without the tools of tests; the program is .venv/bin/koppel
	@$(UV) sync --frozen -q --no-dev --python "$$(command -v $(PYTHON))" >&2
	@.venv/bin/python -m koppel.web.build
	@rm -f $(READY)

demo: built ## Everything with a demo firm and a played accounting system; prints the address; Ctrl-C stops it
	@.venv/bin/koppel demo $(ARGS)

demo-once: built ## The whole main job without a person; exits 0 when all is active (ARGS="--administrations 60 --sie DIR --json")
	@.venv/bin/koppel demo-once $(ARGS)

test: check built ## Style, types, imports, then all tests but the drills, the browser's too (ARGS="-k tenancy": some of them)
	@.venv/bin/python -m pytest -m "not drill" $(PYTEST_ARGS)

drills: built ## The proofs that take minutes or other servers: restores, two hosts, wheels installed alone; names what cannot run here
	@.venv/bin/python -m pytest -m drill $(if $(ARGS),$(ARGS),-n 2 --dist loadfile)

check: style types imports ## Style, types and imports only: seconds

style: $(READY)
	@.venv/bin/ruff format --check -q .
	@.venv/bin/ruff check -q .

types: $(READY)
	@.venv/bin/mypy

imports: $(READY)
	@.venv/bin/lint-imports

setup-tests: ## Install Chromium, gettext, PostgreSQL and iproute2 as root on Debian; elsewhere say what to install
	@PYTHON="$(PYTHON)" .ci/setup-tests

coverage: built ## The same tests with coverage measured: the total and the least covered files
	@rm -rf .koppel/coverage && mkdir -p .koppel/coverage
	@.venv/bin/python -m coverage run -m pytest -m "not drill" $(PYTEST_ARGS); status=$$?; \
		.venv/bin/coverage combine -q && .venv/bin/coverage report --sort=cover | awk 'NR <= 17 || /^TOTAL/'; exit $$status

hooks: $(READY) ## Check style, types and imports before every commit (pre-commit)
	@.venv/bin/pre-commit install

bench: built ## Measure, a JSON line per figure (ID=embedded_postgres: one of them)
	@$(UV) sync --frozen -q --group bench >&2
	@.venv/bin/python -m bench $(if $(KEEP),--keep) $(ID)

docs: $(READY) ## Where the documentation is, and whether it names every setting, permission and command
	@ls -1 README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs/*.md docs/decisions/*.md bench/README.md
	@.venv/bin/python -m pytest tests/architecture/test_docs.py

wheel: built ## A wheel per package in dist/; Koppel's has compiled texts and collected static files in it
	@for package in packages/*/; do (cd $$package && $(CURDIR)/.venv/bin/python -m hatchling build -t wheel -d $(CURDIR)/dist) || exit 1; done

# Compiled texts and collected static files: looked at each time, made again when a source has changed.
built: $(READY)
	@.venv/bin/python -m koppel.web.build

clean: ## Remove the environment; data stays
	rm -rf .venv .koppel packages/koppel/src/koppel/web/staticfiles* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Whoever removed .venv gets a new one.
ifeq ($(wildcard .venv/bin/python),)
.PHONY: $(READY)
endif

# Made from the lock file, and again when that changes. What is said goes to stderr: --json owns stdout.
$(READY): uv.lock pyproject.toml $(wildcard packages/*/pyproject.toml) | $(UV)
	@$(UV) sync --frozen -q --python "$$(command -v $(PYTHON))" >&2
	@touch $(READY)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Koppel needs Python 3.11 or newer; install it, or name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing what uv.lock names, once …" >&2; rm -rf $(TOOLS); $(PYTHON) -m venv $(TOOLS) >&2
	@$(TOOLS)/bin/python -m pip install -q --disable-pip-version-check uv==0.13.9 >&2
