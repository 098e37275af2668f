# Everything works from a clean checkout with Go, git and make alone. What it
# needs besides is built into .cache/; nothing is installed, nothing needs root.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ifeq ($(HOME),)
export HOME := $(CURDIR)/.cache/home
endif
export GOWORK := off
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)
export GOLANGCI_LINT_CACHE := $(CURDIR)/.cache/golangci-lint

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BENCH   ?= .
SOAK    ?= 1
PEERS   ?=

# The tools are built anew when their pins or the version of Go change.
TOOLS_KEY := .cache/bin/.built-$(shell { $(GO) version; cat tools/go.mod tools/go.sum; } | cksum | cut -d' ' -f1)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/noon, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/noon ./cmd/noon

.PHONY: demo
demo: build ## watch releases come and go under load, about a minute (ARGS="--seconds 20")
	bin/noon demo $(ARGS)

.PHONY: demo-postgres
demo-postgres: build servers ## the same with a shop whose releases change its PostgreSQL database while both are live
	$(GO) run ./internal/database/dbtest/beside bin/noon demo --postgres {} $(ARGS)

.PHONY: check
check: tools servers ## the fast part of test, for while you work: lint and short tests
	.cache/bin/golangci-lint run --allow-parallel-runners ./...
	$(GO) test -short -shuffle=on $$($(GO) list ./... | grep -v /e2e)

.PHONY: test
test: ## everything that CI runs: static checks, tests with -race, e2e
	@scripts/test

.PHONY: lint
lint: tools ## run golangci-lint with the budgets of the project
	.cache/bin/golangci-lint run --allow-parallel-runners ./...

.PHONY: e2e
e2e: ## drive the built binary with real servers under load
	@scripts/test e2e

.PHONY: bench
bench: ## benchmarks, among them the time of a rollback and noon's share of a deploy (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...
	@$(MAKE) bench-proxy

.PHONY: bench-data
bench-data: servers ## schema changes under load, as ratios to what goes without noon (ROUNDS=3)
	$(GO) test -run '^$$' -bench 'Backfill|Expand' -benchtime $(or $(ROUNDS),3)x -timeout 1h ./internal/database/postgres
	$(GO) test -run '^$$' -bench 'Backfill|Expand' -benchtime 1x -count $(or $(ROUNDS),3) -timeout 1h ./internal/database/mariadb

# Cases, peers and rounds may be chosen: CASE=get,post PEERS=noon,haproxy
# ROUNDS=3 SECONDS=2 JSON=1 PROFILE=1 NOON_SRC=another/checkout
NOON_SRC ?= .
comma       := ,
bench_peers := $(filter haproxy nginx caddy kamal-proxy traefik,$(subst $(comma), ,$(subst traefik-fast,traefik,$(PEERS))))
.PHONY: bench-proxy
bench-proxy: ## the proxy beside HAProxy, nginx, Caddy ... (CASE= PEERS= ROUNDS= SECONDS= JSON=1 PROFILE=1)
	@$(if $(PEERS),$(if $(bench_peers),scripts/bench-peers $(bench_peers)),scripts/bench-peers)
	@mkdir -p .cache/bench/profiles
	@cd $(NOON_SRC) && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(CURDIR)/.cache/bench/noon ./cmd/noon
	@cd bench && CGO_ENABLED=0 $(GO) build -trimpath -o ../.cache/bench/bench .
	@.cache/bench/bench --bin .cache/bench --noon .cache/bench/noon --case '$(CASE)' --peers '$(PEERS)' \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json) $(if $(PROFILE),--profile .cache/bench/profiles)

.PHONY: soak
soak: ## the proxy under everything at once, about half an hour (SOAK=0.1 a tenth of it, PEERS=1 other proxies too)
	@mkdir -p .cache && rm -f .cache/soak.md
	NOON_SOAK=$(SOAK) NOON_SOAK_PEERS=$(PEERS) NOON_SOAK_TABLE=$(CURDIR)/.cache/soak.md \
		$(GO) test -count=1 -timeout=3h -v ./internal/proxy/soak; status=$$?; cat .cache/soak.md; exit $$status

APPS ?= pocketbase,openfga,vendure
.PHONY: realapps
realapps: servers ## take real apps from release to release under load; Vendure needs Node and npm (APPS=pocketbase,openfga,vendure)
	NOON_REALAPPS=$(APPS) $(GO) test -count=1 -timeout=2h -v ./e2e/realapps

.PHONY: generate
generate: ## write what is generated from code: reference, schema
	$(GO) generate ./...

.PHONY: tools
tools: $(TOOLS_KEY) ## build the pinned linter and dead-code finder into .cache/bin, once

$(TOOLS_KEY): tools/go.mod tools/go.sum
	@echo "building golangci-lint and deadcode from tools/go.mod into .cache/bin (once, a few minutes)"
	@mkdir -p .cache/bin && rm -f .cache/bin/.built-*
	@cd tools && CGO_ENABLED=0 GOBIN= $(GO) build -trimpath -ldflags '-s -w' -o ../.cache/bin/ tool || { \
		echo "The tools could not be built. They come through the Go module proxy (GOPROXY=$$($(GO) env GOPROXY)):" >&2; \
		echo "make sure that it can be reached, then run make tools again." >&2; exit 1; }
	@touch $@

PG_VERSIONS ?= 12,13,16,17
comma := ,

.PHONY: test-postgres-versions
test-postgres-versions: ## run what works on PostgreSQL on other versions of it, from npm (PG_VERSIONS=12,17)
	@NOON_PG_VERSIONS=$(PG_VERSIONS) scripts/servers postgres
	@for version in $(subst $(comma), ,$(PG_VERSIONS)); do echo "PostgreSQL $$version"; \
		NOON_PG_VERSION=$$version $(GO) test -count=1 -timeout 30m ./internal/database/pgcatalog ./internal/database/postgres ./internal/database/migration || exit 1; done

.PHONY: servers
servers: ## fetch the database servers that tests need and the machine lacks into .cache/servers
	@scripts/servers

.PHONY: clean
clean: ## remove everything that the targets above made
	@if [ -d .cache ]; then chmod -R u+w .cache; fi
	rm -rf bin .cache
