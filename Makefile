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

clean-stack: ## ends all test servers and removes them and their data from the cache
	@tests/stack/clean

.PHONY: help demo test bench build release lint licences clean-stack
