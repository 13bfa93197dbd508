# `make help` lists the targets. Go is all that `run`, `build` and `generate` need; the tools they use are pinned in tools/go.mod.

.DEFAULT_GOAL := help

# A checkout without tags is named by its commit, a tree without git is called dev.
VERSION = $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
# The race detector is written in C. Where Go finds no C compiler it sets CGO_ENABLED to 0, and the tests run without it.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race,$(info No C compiler: testing without the race detector.))
FUZZTIME ?= 10s
# What `go generate` writes: committed, never edited by hand.
GENERATED := api
GOLANGCI_LINT := go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start the API on SQLite: conduit.db in this folder
	go run -ldflags "-X main.version=$(VERSION)" ./cmd/conduit serve

.PHONY: build
build: ## Build the static binary bin/conduit
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/conduit ./cmd/conduit

.PHONY: test
test: ## Run every test, on SQLite and on PostgreSQL
	@tools/ensure-postgres.sh
	go test $(RACE) -shuffle=on ./...

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME (10s)
	@tools/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## Measure the server
	go run ./internal/bench

.PHONY: smoke
smoke: build ## Start the binary in an empty folder, register somebody, stop it
	@tools/smoke.sh bin/conduit

.PHONY: test-jose
test-jose: build ## Check tokens and public keys with npm's jose, through a key rotation; needs Node.js
	npm --prefix tools/jose ci --no-audit --no-fund
	CONDUIT=$(CURDIR)/bin/conduit npm --prefix tools/jose test

.PHONY: test-browser
test-browser: build ## Use the documentation page in a real Chromium; needs Node.js
	@tools/ensure-chromium.sh
	npm --prefix tools/browser ci --no-audit --no-fund
	CONDUIT=$(CURDIR)/bin/conduit npm --prefix tools/browser test

.PHONY: docs-page
docs-page: ## Embed the Swagger UI that tools/docs pins; needs Node.js
	@tools/docs/embed.sh

.PHONY: generate
generate: ## Write the code that openapi.yaml describes
	go generate ./...

.PHONY: generate-check
generate-check: generate ## Fail when the committed generated code is not what openapi.yaml describes
	@changes=$$(git status --porcelain -- $(GENERATED)) || exit; \
	if [ -n "$$changes" ]; then \
		printf '%s\n' "$$changes" 'Not as committed: run `make generate` and commit the above with openapi.yaml.' >&2; \
		exit 1; \
	fi

.PHONY: lint
lint: ## Check formatting, vet, the linters and the module files
	@unformatted=$$(gofmt -l *.go api cmd internal) || exit; \
	if [ -n "$$unformatted" ]; then \
		printf '%s\n' "$$unformatted" 'Not formatted: run gofmt -w on the above.' >&2; \
		exit 1; \
	fi
	go vet ./...
	$(GOLANGCI_LINT) run
	go mod tidy -diff
	go -C tools mod tidy -diff

.PHONY: clean
clean: ## Remove what building leaves behind; databases and keys stay
	rm -rf bin coverage
