# The verbs of this repository. `make demo` and `make test` do all set-up themselves.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-audio fuzz serve lock
SHELL := /bin/bash
PY := .venv/bin/python
BUILT := .venv/built

ARGS ?=

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(BUILT)  ## install what is needed and build everything into .venv

$(BUILT): scripts/setup scripts/debian-packages.txt requirements.txt pyproject.toml Cargo.toml Cargo.lock \
          $(shell find rust -name '*.rs' -o -name Cargo.toml) \
          $(shell find web -name node_modules -prune -o -name .tests -prune -o -type f -print)
	@scripts/setup
	@touch $@

demo: $(BUILT)  ## hold a whole conference before your eyes (ARGS=--exit: then end, status 0 if all was true)
	@$(PY) -m plenary demo $(ARGS)

serve: $(BUILT)  ## start the server (ARGS="--http ... --sip ...")
	@.venv/bin/plenary serve $(ARGS)

check: $(BUILT)  ## format, lint, types, layering, stubs
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/ruff check --no-cache .
	.venv/bin/basedpyright
	$(PY) -m mypy.stubtest plenary.media._media --ignore-disjoint-bases
	npm run --prefix web --silent check
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(PY) -m pytest tests/architecture

test: check  ## everything in `check`, then all tests
	cargo test --quiet --workspace
	npm run --prefix web --silent test
	$(PY) -m pytest $(ARGS)

bench: $(BUILT)  ## measure the budgets; prints a table with ratios
	cargo build --quiet --release -p plenary-driver --examples
	@$(PY) bench $(ARGS)

bench-audio: $(BUILT)  ## speech through bad networks, scored by PESQ and STOI (ARGS=--quick)
	cargo build --quiet --release -p plenary-media --example impair
	@$(PY) bench/audio $(ARGS)
	cargo test --quiet --release -p plenary-media --test jitter --test hour -- --ignored

fuzz:  ## mutated datagrams, offers and streams against the media engine (ARGS="--seconds 60 srtp")
	@scripts/fuzz $(ARGS)

lock:  ## renew requirements.txt from pyproject.toml (needs pip-tools)
	pip-compile --quiet --extra dev --strip-extras --generate-hashes --allow-unsafe --no-header --no-annotate \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.txt pyproject.toml
