# Thin on purpose: what a target does stands in a script or in one line.

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: ## real MySQL, Kafka and registry, and rows that flow between them; ARGS='...' goes to the demo
	@tests/demo $(ARGS)

test: ## all tests, with real servers; the last line counts them
	@tests/run-tests

bench: ## the connector's speed and CPU beside a bare Kafka producer's, into tests/bench/RESULTS.md
	@tests/bench/run $(ARGS)

build: ## the program, as the tests use it: target/debug/binlog-bridge
	cargo build --locked --workspace

release: ## the program as it is shipped: target/release/binlog-bridge
	cargo build --locked --release -p binlog-bridge

lint: ## formatting and clippy, warnings refused
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

licences: ## the licence of every dependency against deny.toml
	@tests/licences

mutants: ## breaks each promise on purpose and sees that a test notices; the table is tests/mutants/RESULTS.md
	@tests/mutants/run

soak: ## long checks, resumable: make soak NAME; without NAME: lists them
	@tests/soak/run $(filter-out soak,$(MAKECMDGOALS))

clean-stack: ## ends all test servers and removes them and their data from the cache
	@tests/stack/clean

# The names of long checks are words of `make soak`, not targets.
ifeq (soak,$(firstword $(MAKECMDGOALS)))
$(filter-out soak,$(MAKECMDGOALS)): ;
.PHONY: $(filter-out soak,$(MAKECMDGOALS))
endif

.PHONY: help demo test bench build release lint licences mutants soak clean-stack
