# Every task that people and CI run. `make` alone prints this list.
# One target at a time: cargo parallelises inside a target, and two cargos only wait for each other's lock.

.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

export CARGO_BUILD_JOBS ?= $(shell nproc)
STAGE := .ci/stage
CARGO := cargo
# The crates without I/O, whose tests are the quickest to answer.
PURE := -p countersign-model -p countersign-ledger -p countersign-recording -p countersign-evidence

.PHONY: help demo test check quick bench soak fuzz setup build fmt

help: ## this list
	@echo 'Countersign: nothing privileged happens on one signature.'
	@echo
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: ## one privileged session from request to offline proof, then six forgeries (about a minute after the build)
	@$(STAGE) setup .ci/setup demo
	@$(STAGE) build $(CARGO) build --locked -p countersign -p countersign-verify --bins --example insider
	@demo/run

test: ## every check: format, lints, house rules, all tests with real sshd, the demo
	@$(STAGE) setup .ci/setup test
	@$(STAGE) format $(CARGO) fmt --all --check
	@$(STAGE) licences .ci/deny
	@$(STAGE) lints $(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(STAGE) build .ci/nextest build
	@$(STAGE) tests .ci/nextest all
	@CI=true $(STAGE) demo demo/run

check: ## before a commit: format, lints, house rules, unit tests (under 3 minutes warm)
	@$(STAGE) fetch $(CARGO) fetch --locked --quiet
	@$(STAGE) format $(CARGO) fmt --all --check
	@$(STAGE) licences .ci/deny
	@$(STAGE) lints $(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(STAGE) tidy .ci/nextest tidy
	@$(STAGE) units .ci/nextest unit

quick: ## while editing: does it compile, and do the pure crates hold (under 90 seconds warm)
	@$(STAGE) fetch $(CARGO) fetch --locked --quiet
	@$(STAGE) compiles $(CARGO) check --locked --workspace --all-targets
	@$(STAGE) units .ci/nextest pure $(PURE)

bench: ## speed beside OpenSSH in the same run; one table, and bench/results.json
	@$(STAGE) setup .ci/setup bench
	@$(STAGE) build $(CARGO) build --locked --release -p countersign -p countersign-verify
	@$(STAGE) parts $(CARGO) build --locked --release -p countersign-store -p countersign-publisher -p countersign-verify --examples
	@python3 bench/run.py

soak: ## the long sweeps: crash points, interleavings, fault tables (an hour or more)
	@$(STAGE) setup .ci/setup test
	@COUNTERSIGN_SOAK=1 $(STAGE) soak .ci/nextest soak

fuzz: ## coverage-guided fuzzing of each parser (FUZZ_SECONDS=60 each, TARGET=name for one)
	@fuzz/run

setup: ## install what the other targets need, or name what is missing
	@.ci/setup test

build: ## the two binaries, for use rather than for tests
	@$(CARGO) build --locked --release -p countersign -p countersign-verify

fmt: ## rewrite the sources in the house format
	@$(CARGO) fmt --all
