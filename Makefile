# `make help` lists the targets. Go is all that `run`, `build` and `test` need. What else is there needs Node.js too: its
# packages are pinned in lock files and installed on the way, like the tools in tools/go.mod.

.DEFAULT_GOAL := help

# A checkout without tags is named by its commit, a tree without git is called dev. The tag v1.1.0 is of version 1.1.0.
VERSION = $(or $(patsubst v%,%,$(shell git describe --tags --always --dirty 2>/dev/null)),dev)
TARGETS ?= linux/amd64
# The race detector is written in C. Where Go finds no C compiler it sets CGO_ENABLED to 0, and the tests run without it.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race,$(info No C compiler: testing without the race detector.))
FUZZTIME ?= 10s
HISTORIES ?= 100
KILLS ?= 1000
# These make replicas by pg_basebackup, which the packages of PostgreSQL 18 do not have.
REPLICA_TESTS := ^Test(Replica|OwnReads|WhatPositions|ReadsOffPrimary|ForeignPositions|PositionHeader)
# What was released is in the history. A shallow clone does not have it, nor a tree without git; a whole one has it all.
NO_HISTORY = $(shell [ -e .git ] && command -v git >/dev/null && \
	[ "$$(git rev-parse --is-shallow-repository 2>/dev/null)" != true ] || echo yes)
# What `make generate` writes: committed, never edited by hand.
GENERATED := api clients/bruno clients/typescript/src/contract.ts clients/typescript/src/schema.ts \
	clients/typescript/src/testing/schema.ts internal/docs/changelog/changelog.md internal/docs/changelog/index.html \
	internal/docs/swagger-ui
# What has to hold before a change lands, in the order in which it is cheapest to learn that it does not. `.ci/run` makes
# all of it, the workflow each in a job of its own.
CHECKS := generate-check lint test test-postgres18 fuzz smoke test-jose test-gates test-browser test-client \
	test-consumers test-generators test-ogen test-history test-release test-formats test-collection
GOLANGCI_LINT := go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: checks
checks: ## List the targets that CI makes
	@printf '%s\n' $(CHECKS)

.PHONY: run
run: ## Start the API on SQLite: conduit.db in this folder
	go run -ldflags "-X main.version=$(VERSION)" ./cmd/conduit serve

# -s -w leaves out what only debuggers need: a third of the file. Stack traces and profiles do without.
.PHONY: build
build: ## Build the static binary bin/conduit
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/conduit ./cmd/conduit

.PHONY: test
test: ## Run every test, on SQLite and on PostgreSQL
	@tools/ensure.sh postgres pgbouncer nginx
	go test $(RACE) -shuffle=on -timeout 40m ./...
	go test -count=1 -run TestCost ./internal/httpapi # under the race detector what is pooled gets lost

.PHONY: test-postgres18
test-postgres18: tools/postgres18/node_modules/.package-lock.json ## Test on PostgreSQL 18 (Linux, x64)
	@tools/ensure.sh pgbouncer
	tools/postgres18/with.sh go test -skip '$(REPLICA_TESTS)|/sqlite$$' -shuffle=on -timeout 15m ./internal/store/... ./internal/httpapi

.PHONY: test-robustness
test-robustness: ## Hold HISTORIES (100) of sessions under faults to a model
	@tools/ensure.sh postgres
	go test -count=1 -v -timeout 60m -artifacts -run TestHistories ./internal/robustness -rapid.checks=$(HISTORIES)

.PHONY: test-retries
test-retries: ## Kill the program KILLS (1000) times while it answers, and want nothing lost or done twice
	@tools/ensure.sh postgres
	KILLS=$(KILLS) go test -count=1 -v -timeout 85m -run TestKilledWhileAnswering ./cmd/conduit

.PHONY: test-faults
test-faults: ## Plant faults in what remembers sessions, and see each found by the tests
	@tools/ensure.sh postgres
	@tools/faults.sh

.PHONY: test-failover
test-failover: ## Replace primaries under Patroni while people write, and want nothing lost (Debian)
	@tools/ensure.sh postgres patroni
	go test -tags failover -count=1 -v -timeout 20m -artifacts ./internal/failover

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME (10s)
	@tools/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## Measure the server beside a bare one; BENCH=-quick for a look, BENCH=-growth for many articles
	@tools/ensure.sh postgres
	go run ./cmd/bench $(BENCH)

.PHONY: smoke
smoke: build ## Start the binary in an empty folder, register somebody, make a world, stop it
	@tools/smoke.sh bin/conduit

# The packages of a folder, as its lock file has them.
%/node_modules/.package-lock.json: %/package-lock.json
	npm --prefix $* ci --no-audit --no-fund
	@touch $@

.PHONY: test-jose
test-jose: build tools/jose/node_modules/.package-lock.json ## Check tokens and public keys with npm's jose, through a key rotation
	npm --prefix tools/jose test

.PHONY: test-browser
test-browser: build tools/browser/node_modules/.package-lock.json ## Use the documentation page in a real Chromium
	@tools/ensure.sh chromium nginx
	npm --prefix tools/browser test

.PHONY: test-client
test-client: build clients/typescript/node_modules/.package-lock.json ## Test the TypeScript client and its example page
	@tools/ensure.sh chromium
	npm --prefix clients/typescript test

.PHONY: test-consumers
test-consumers: build clients/typescript/node_modules/.package-lock.json tools/consumers/node_modules/.package-lock.json ## Use the TypeScript client in projects of eleven kinds
	npm --prefix tools/consumers test

.PHONY: test-generators
test-generators: build tools/generators/node_modules/.package-lock.json ## Generate clients with eleven generators, compile and run them
	npm --prefix tools/generators test

.PHONY: test-ogen
test-ogen: build ## Generate a Go client and server with ogen, compile both and run the client
	go -C tools/ogen tool ogen --target conduit --package conduit --clean --loglevel error ../../openapi.yaml
	go -C tools/ogen mod tidy -diff
	go -C tools/ogen vet ./...
	go -C tools/ogen test -count=1 ./...

.PHONY: test-history
test-history: build tools/history/node_modules/.package-lock.json ## Run the clients of every released contract, and the last release beside this program
	@tools/ensure.sh postgres
	NO_HISTORY=$(NO_HISTORY) npm --prefix tools/history test
	go -C tools/history mod tidy -diff
	$(if $(NO_HISTORY), \
		@echo 'A clone without history: released contracts are not compared with it; the last release does not run.', \
		go test -tags upgrade -count=1 -v ./internal/upgrade)

.PHONY: test-formats
test-formats: build tools/formats/node_modules/.package-lock.json ## Hold the contract in OpenAPI 3.1 and 3.2 to validators that are not ours
	npm --prefix tools/formats test

.PHONY: test-collection
test-collection: build tools/collection/node_modules/.package-lock.json tools/formats/node_modules/.package-lock.json ## Run the Bruno collection against the server
	npm --prefix tools/collection test

.PHONY: test-gates
test-gates: tools/contract/node_modules/.package-lock.json ## Show that the checks of the contract can fail
	npm --prefix tools/contract test

.PHONY: generate
generate: clients/typescript/node_modules/.package-lock.json tools/docs/node_modules/.package-lock.json collection ## Write what is made from the contracts, and embed the pinned Swagger UI
	go generate ./...
	npm --prefix clients/typescript run --silent generate
	@tools/docs/embed.sh

.PHONY: collection
collection: tools/collection/node_modules/.package-lock.json ## Write the Bruno collection of the contract
	@npm --prefix tools/collection run --silent generate

.PHONY: generate-check
generate-check: generate ## Fail when what is generated is not committed
	@changes=$$(git status --porcelain -- $(GENERATED)) || exit; \
	if [ -n "$$changes" ]; then \
		printf '%s\n' "$$changes" 'Not as committed: run `make generate` and commit the above with the contract.' >&2; \
		exit 1; \
	fi

.PHONY: lint
lint: lint-go lint-contract lint-js lint-tools ## Check formatting, the linters, the contract and the module files

.PHONY: lint-contract
lint-contract: tools/contract/node_modules/.package-lock.json ## Hold the contracts to Redocly, Spectral and OWASP, and to what it said before
	@npm --prefix tools/contract run --silent lint
	@tools/contract/breaking.sh

.PHONY: lint-js
lint-js: clients/typescript/node_modules/.package-lock.json
	@npm --prefix clients/typescript run --silent lint
	@clients/typescript/node_modules/.bin/prettier --no-semi --single-quote --print-width 120 --log-level warn --check 'tools/*.{mjs,mts}' 'tools/*/*.js' 'tools/generators/usage/*.ts' 'tools/history/*.ts' 'tools/history/*/journey.ts'

.PHONY: lint-tools
lint-tools:
	@for folder in tools/*/; do \
		grep -qF "| \`$${folder#tools/}\` |" tools/README.md || { echo "tools/README.md has no line for $$folder" >&2; exit 1; }; \
	done

.PHONY: lint-go
lint-go:
	@unformatted=$$(gofmt -l *.go api clients/go cmd internal tools/changelog/*.go tools/dist/*.go tools/ogen/*.go tools/history/*/*.go) || exit; \
	if [ -n "$$unformatted" ]; then \
		printf '%s\n' "$$unformatted" 'Not formatted: run gofmt -w on the above.' >&2; \
		exit 1; \
	fi
	go vet -tags failover,upgrade ./...
	$(GOLANGCI_LINT) run
	go -C tools tool golangci-lint run --config ../.golangci.yml ./changelog ./dist
	go mod tidy -diff
	go -C tools mod tidy -diff

.PHONY: test-release
test-release: clients/typescript/node_modules/.package-lock.json tools/docs/node_modules/.package-lock.json tools/collection/node_modules/.package-lock.json ## Make releases in a copy of the tree
	npm --prefix tools/release test

# The second build has an empty cache, so that nothing is left of the first one. A build without a cache takes a minute on
# two processors, so `.ci/run` leaves this out: the workflow has a job for it, and does it nightly for all targets.
.PHONY: release-check
release-check: ## Compile for other systems, and build TARGETS (linux/amd64) twice with the same bytes
	@for target in windows/amd64 darwin/arm64; do \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -trimpath -o /dev/null ./cmd/conduit || exit; \
	done
	go -C tools run ./dist -twice -targets $(TARGETS)

.PHONY: dist
dist: ## Build what people download, for all systems, into dist/
	go -C tools run ./dist -version $(VERSION)

# By the environment, what somebody types is one word to the shell.
.PHONY: release
release: export RELEASE = $(if $(filter command line,$(origin VERSION)),$(VERSION))
release: export WHAT ?=
release: clients/typescript/node_modules/.package-lock.json tools/docs/node_modules/.package-lock.json tools/collection/node_modules/.package-lock.json ## Make the release VERSION=1.1.0, which is a commit, a tag and dist/
	@node tools/release/release.js "$$RELEASE" "$$WHAT"
	go -C tools run ./dist -version "$$RELEASE"

.PHONY: clean
clean: ## Remove what building leaves behind; databases and keys stay
	rm -rf bin coverage dist
