# Everything a contributor runs. `make help` lists it.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Packages with goroutines or databases run under the race detector, the
# others without: nothing is run twice, and what is slow to compile under the
# detector is compiled so only where it pays.
RACE := ./runtime/... ./store/... ./jobtest/... ./internal/pgtest/... ./internal/readme/...

# Tests that the detector makes several times slower and that add nothing under
# it: SQLite is C turned into Go, behind PgBouncer runs the code that runs before
# PostgreSQL too, plans are the database's, and most themes of PostgreSQL's
# contract have more rows than goroutines. Those that have not are RACY. `make
# unit` runs the rest of SLOW, once, like everything else.
SLOW := ^Test(AStormOfTenThousandFailuresBurnsNoAttemptsUnderABreaker|SQLiteKeepsTheContract|PgBouncerPassesTheStoreContract|PostgresPassesTheStoreContract|SQLiteClaimIsNotSlowedByFutureJobsAndForeignKinds|SQLiteReleaseReadsOnlyWhatItTells|PlansStayBounded.*)$$
RACY := ^TestPostgresPassesTheStoreContract$$/^(Lease|Stale|Tx|Release|EffectTx|Limits|Model)$$

# A test binary that takes longer is stuck; it then prints every goroutine.
TIMEOUT  := 12m
FUZZTIME := 10s

TESTLOG := go run -C tools ./testlog
# Without vet: lint has run all of it, and vetting what the race detector
# compiles would go through every dependency again.
GOTEST  := go test -json -vet=off -count=1 -timeout=$(TIMEOUT)

.PHONY: help test need lint fmt tidy generated unit race tools-test generate bench bench-mistakes fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: need lint generated race unit tools-test ## install what is missing, then run every check and test

need: ## install PostgreSQL, PgBouncer and a C compiler, or say how
	@tools/need.sh

lint: fmt tidy ## gofmt, go mod tidy, go vet, staticcheck
	go vet ./...
	go vet -tags=jobgen_nosqlite ./store/bun
	go tool -modfile=tools/go.mod staticcheck ./...
	go -C tools vet ./...

fmt:
	@files=$$(find . -name '*.go' -not -path '*/testdata/*' -exec gofmt -l {} +); \
	if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

tidy:
	go mod tidy -diff
	go -C tools mod tidy -diff

generated: ## fail when committed generated code is not what the generators make
	tools/generated.sh
	cd example && go tool jobgen check ./...

race: ## test what runs concurrently, with the race detector
	CGO_ENABLED=1 $(GOTEST) -race -skip='$(SLOW)' $(RACE) | $(TESTLOG)
	CGO_ENABLED=1 $(GOTEST) -race -run='$(RACY)' ./store/bun | $(TESTLOG)

unit: ## test the rest, without it
	$(GOTEST) $$(comm -23 <(go list ./... | sort) <(go list $(RACE) | sort)) | $(TESTLOG)
	$(GOTEST) -run='$(SLOW)' -skip='$(RACY)' ./runtime ./store/bun | $(TESTLOG)

tools-test:
	go -C tools test ./...

generate: ## run the generators
	go generate ./...

bench: ## run the benchmarks
	go test -run='^$$' -bench=. -benchmem -timeout=30m ./...

# Not a part of `make test`: River, asynq and what they need are nobody's
# dependencies but this target's. `make test` holds the page against the names
# and the shape of these tests.
bench-mistakes: need ## prove what docs/mistakes.md says of River and asynq
	go -C bench mod tidy -diff
	go -C bench vet ./...
	go -C bench test -count=1 -timeout=$(TIMEOUT) ./mistakes

fuzz: ## fuzz each target for FUZZTIME (10s)
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list='^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$pkg; \
		done; \
	done
