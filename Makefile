# The commands of this repository. `make` alone lists them.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
LOCK    := .ci/constraints.txt
CORES   := $(shell nproc 2>/dev/null || echo 2)
# Half of a test's time is waiting: for a disk, a socket, a process that starts.
RUNNERS := $(shell expr $(CORES) \* 3 / 2)
PYPATH  := PYTHONPATH=.:tests
DATA    ?= ./data
ARGS    ?=
# Everything that runs on S3 can run there; this is what may differ.
ON_CEPH ?= tests/contract tests/integration/test_infra_template.py tests/integration/test_tier_ceph.py \
	tests/unit/tiering/test_tiering_lifecycle.py
# pip says nothing but what went wrong, and asks nobody.
PIP     := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# One stamp for each set of packages: made again when what it was made from changes.
INTERPRETER := $(VENV)/.made
RUNTIME     := $(VENV)/.installed-runtime
DEVELOP     := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up test test-ceph check fmt lint types layers template security bench gallery soak peers services services-stop docs lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INTERPRETER):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or later is needed, {sys.executable} is {v.major}.{v.minor}: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

# The development set holds the runtime set, so it serves `make up` as well.
$(RUNTIME): pyproject.toml $(LOCK) | $(INTERPRETER)
	@test $(DEVELOP) -nt pyproject.toml -a $(DEVELOP) -nt $(LOCK) || \
		{ echo "installing the archive into $(VENV)"; $(PIP) install -c $(LOCK) -e .; }
	@touch $@

$(DEVELOP): pyproject.toml $(LOCK) | $(INTERPRETER)
	@echo "installing the archive and its development tools into $(VENV)"
	@$(PIP) install -c $(LOCK) -e '.[dev,services,browser]'
	@touch $@

up: $(RUNTIME) ## install, and start the archive on ./data (DATA=, ARGS='--http HOST:PORT ...')
	@exec $(BIN)/pacs-cloud up --data $(DATA) $(ARGS)

# The tests start hundreds of processes, each of which would compile the archive anew.
test soak: export PYTHONDONTWRITEBYTECODE :=
test: $(DEVELOP) ## install, and run the test suite on all cores (ARGS='-k name')
	@$(BIN)/python -m pytest -n $(RUNNERS) --dist worksteal -m 'not soak and not ceph' $(ARGS)

test-ceph: $(DEVELOP) ## install Ceph where that can be, and run the tests on its gateway (ON_CEPH=tests: all)
	@why="$$(.ci/ceph)"; if [ -n "$$why" ]; then echo "skipped: $$why"; \
		else exec $(BIN)/python -m pytest -m ceph $(ON_CEPH) $(ARGS); fi

check: lint types layers template security ## all static checks

lint: $(DEVELOP) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEVELOP) ## pyright, strict
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

layers: $(DEVELOP) ## import-linter: floors and rooms
	@$(BIN)/lint-imports --no-cache

template: $(DEVELOP) ## cfn-lint: the cloud schema
	@$(BIN)/cfn-lint infra/template.yaml

# bandit's log says of each `nosec` which of a line's nodes it was not needed for.
security: $(DEVELOP) ## bandit; known vulnerabilities of what is locked; build/sbom.json (CycloneDX)
	@mkdir -p build
	@$(BIN)/bandit -q -r -ll pacs_cloud infra 2>build/bandit.log || { cat build/bandit.log; exit 1; }
	@.ci/advisories
	@$(BIN)/python .ci/sbom build/sbom.json

fmt: $(DEVELOP) ## let ruff fix and format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(DEVELOP) ## run the benchmarks against the peers found here (ARGS='ingest reading')
	@$(PYPATH) $(BIN)/python -m bench $(ARGS)

gallery: $(DEVELOP) ## pictures to look at, in .bench/gallery: every page in a browser, each kind of instance; docs/img
	@mkdir -p .bench/gallery/pages
	@BROWSER_SHOTS=$(CURDIR)/.bench/gallery/pages $(BIN)/python -m pytest -q tests/e2e
	@$(PYPATH) $(BIN)/python -m bench.doc_images .bench/gallery/pages
	@$(PYPATH) $(BIN)/python -m bench.gallery $(ARGS)

soak: $(DEVELOP) ## run the long tests, 100 kills and more (ARGS='--rounds N')
	@$(BIN)/python -m pytest -m soak --timeout=0 || test $$? -eq 5  # 5: no test is marked
	@$(PYPATH) $(BIN)/python -m crash.soak $(ARGS)

peers: ## fetch the test servers that cannot be shipped: DynamoDB Local, ministack
	@PYTHON=$(PYTHON) .ci/peers

services: $(DEVELOP) peers ## start real servers on loopback for development, without Docker
	@$(PYPATH) $(BIN)/python -m servers.services start

services-stop: $(DEVELOP) ## stop them, and drop what they held
	@$(PYPATH) $(BIN)/python -m servers.services stop

docs: $(DEVELOP) ## build the documentation into build/docs; check its links and commands
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@$(BIN)/python -m pytest -q tests/unit/test_repository_documents.py tests/unit/test_documentation_site.py

lock: ## resolve pyproject.toml afresh and write the exact versions to .ci/constraints.txt
	@PYTHON=$(PYTHON) .ci/lock

clean: ## stop the services, remove .venv and all caches; ./data stays
	@test ! -d .services -o ! -x $(BIN)/python || $(PYPATH) $(BIN)/python -m servers.services stop
	@rm -rf $(VENV) .node .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
