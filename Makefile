# One verb a job. Everything sets itself up: the environment is made from the lock file on first use.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CACHE   ?= $(if $(HAIZEN_CACHE),$(HAIZEN_CACHE),$(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/haizen)
PYTHON  ?= $(shell for p in python3.12 python3.11 python3.13 python3; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV      := $(or $(shell command -v uv),$(CACHE)/tools/bin/uv)
BIN     := .venv/bin
STORIES ?= all
REQUESTS ?= 100000
SAMPLE  ?= manifests/samples/digits.yaml

# The certificates that the machine trusts, as every other tool here does (proxies with an authority of their own).
export UV_SYSTEM_CERTS := true

.PHONY: help install run test test-clients test-frameworks soak check fmt generate manifests build images images-try cluster cluster-down e2e bench clean

help: ## what each verb does
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(CACHE)/tools/bin/uv:
	@test -n "$(PYTHON)" || { echo "haizen needs Python 3.11 or newer as python3 on PATH" >&2; exit 1; }
	@echo "setting up uv (once)"
	@$(PYTHON) -m venv $(CACHE)/tools && $(CACHE)/tools/bin/pip install --quiet --disable-pip-version-check uv

.venv/.run: pyproject.toml uv.lock | $(filter $(CACHE)/%,$(UV))
	@echo "installing haizen with the command line (once)"
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --extra cli --python $(PYTHON) && touch $@

.venv/.dev: pyproject.toml uv.lock | $(filter $(CACHE)/%,$(UV))
	@echo "installing haizen with its development tools (once)"
	@$(UV) sync --quiet --frozen --inexact --group dev --python $(PYTHON) && touch $@ .venv/.run

# Gigabytes of torch and tensorflow, which nothing else here needs.
.venv-frameworks/.installed: pyproject.toml uv.lock | $(filter $(CACHE)/%,$(UV))
	@echo "installing haizen with PyTorch, TensorFlow and transformers (once; 8 GB)"
	@UV_PROJECT_ENVIRONMENT=.venv-frameworks $(UV) sync --quiet --frozen --inexact --no-default-groups \
	  --group frameworks --python $(PYTHON) && touch $@

install: .venv/.dev ## the development environment, from the lock file

run: .venv/.run ## serve the sample on this machine and print a curl line that works
	@$(BIN)/haizen run -f $(SAMPLE)

test: .venv/.dev ## unit, contract and integration tests against a real kube-apiserver and etcd
	@$(BIN)/python -m e2e.cluster binaries etcd kube-apiserver
	$(BIN)/pytest $(ARGS)

.venv-clients/.done: tests/clients/pyproject.toml tests/clients/uv.lock | $(filter $(CACHE)/%,$(UV))
	@echo "installing the clients of other projects (once)"
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv-clients $(UV) sync --quiet --frozen --project tests/clients --python $(PYTHON) && touch $@

test-clients: .venv/.dev .venv-clients/.done ## the PyPI clients kserve and tritonclient, unchanged, against a real process
	@# One process each: both bring classes of the same protobuf messages.
	.venv-clients/bin/pytest -c tests/clients/pyproject.toml --confcutdir tests/clients $(ARGS) tests/clients/test_kserve_clients.py tests/clients/test_kserve_models.py
	.venv-clients/bin/pytest -c tests/clients/pyproject.toml --confcutdir tests/clients $(ARGS) tests/clients/test_triton_clients.py

test-frameworks: .venv-frameworks/.installed ## tests of the formats whose libraries are gigabytes, in .venv-frameworks
	@# A process each: TensorFlow's and PyTorch's copies of LLVM abort a process that has both.
	@for file in tests/frameworks/test_*.py; do \
	  echo "$$file" && .venv-frameworks/bin/pytest --timeout=900 $$file $(ARGS) || exit 1; done

soak: .venv/.dev ## a hundred thousand bad requests against one process (or REQUESTS=...)
	HAIZEN_SOAK_REQUESTS=$(REQUESTS) $(BIN)/pytest -s tests/runtime/doors/test_bad_requests.py

check: .venv/.dev ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m haizen_operator.api.generate --check
	$(BIN)/python -m haizen_runtime.reference.generate --check
	$(BIN)/python -m tests.support.file_sizes

fmt: .venv/.dev ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: .venv/.dev ## the CRDs, from the operator's models; the runtime's pages in docs/, from its settings
	$(BIN)/python -m haizen_operator.api.generate
	$(BIN)/python -m haizen_runtime.reference.generate

manifests: .venv/.dev ## manifests/base/operator.yaml, from the chart's default values
	@helm="$$($(BIN)/python -m e2e.cluster binaries helm)/helm" && "$$helm" template haizen charts/haizen \
	  --namespace haizen-system --set crds.install=false --skip-tests \
	  | sed -e "s/managed-by: Helm/managed-by: kustomize/" -e "/helm.sh\/chart:/d" > manifests/base/operator.yaml

build: .venv/.dev ## the wheel
	$(UV) build --wheel --out-dir dist

images: .venv/.dev ## the operator's and the runtime's images, with buildah; KINDS="torch pmml": these of the runtime
	$(BIN)/python -m e2e.cluster images $(addprefix --kind ,$(KINDS))

images-try: .venv/.dev ## serve a tiny model of each format from the images that were built (root), or KINDS="torch pmml"
	$(BIN)/python -m e2e.images $(KINDS)

cluster: .venv/.dev ## a real one-node Kubernetes with Knative (root, Debian)
	$(BIN)/python -m e2e.cluster up

cluster-down: .venv/.dev ## stop it; nothing stays running
	$(BIN)/python -m e2e.cluster down

e2e: .venv/.dev ## user stories under traffic: all, or STORIES=main, or STORIES=canary,drift
	$(BIN)/python -m e2e --stories $(STORIES)

bench: .venv/.dev ## side-by-side benchmarks, as ratios of one run
	$(BIN)/python -m e2e.bench $(ARGS)

clean: ## what was built in the tree
	rm -rf .venv .venv-clients .venv-frameworks dist build results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
