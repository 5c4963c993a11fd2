# Each target has one line of help; `make help` prints them. Nothing here needs docker, Node or a compiler.
.DEFAULT_GOAL := help
.PHONY: help up test prove simulate lint format bench

# Three workers on the two cores that the suite is measured on: tests wait more than they compute. Each starts its own
# PostgreSQL and Redis.
TEST_WORKERS ?= 3
BENCH ?= parse append load candles fanout http archive rebuild sync e2e
PROVE_REPORT ?= build/prove.md
SEEDS ?= 2000
FROM ?= 0

help: ## Show this help
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{ printf "  make %-8s %s\n", $$1, $$2 }'

up: .venv/installed ## Start everything on embedded servers with the sandbox exchange, and print the URL to open
	@exec .venv/bin/bahi up

test: .venv/installed ## Run the test suite on real Redis and PostgreSQL that the tests start themselves
	@.venv/bin/pytest -n $(TEST_WORKERS) --dist worksteal $(ARGS)

prove: .venv/installed ## Run every acceptance check at full length and write a table of the results
	@.venv/bin/python -m pytest -p tests.acceptance.report -m prove -o faulthandler_timeout=3600 --prove-report=$(PROVE_REPORT) tests/acceptance $(ARGS)

simulate: .venv/installed ## Run the log's own code through seeded disasters (SEEDS=20000 FROM=2000 for others)
	@.venv/bin/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

lint: .venv/installed ## Check style, types and who imports whom
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format: .venv/installed ## Bring the code into the house's form
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench: .venv/installed ## Run the benchmarks (BENCH="parse load" for some of them)
	@for name in $(BENCH); do .venv/bin/bahi bench $$name || exit 1; done

# Made again only when the lock changes.
.venv/installed: requirements-dev.txt pyproject.toml ops/venv.sh
	@ops/venv.sh
