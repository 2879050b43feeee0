# Everything a newcomer needs: `make serve`, `make test`, `make train`. Python 3.11 to 3.13 and make are enough.
# SEQRISK_PYTHON names another interpreter than python3.

SEQRISK_PYTHON ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
CONFIG ?= training/sample/sla_breach.toml
LOCKS := deploy/locks
COMPILE := $(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help serve test train check format bench bench-peers prove lock clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

serve: $(VENV)/service ## Serve the default model on 127.0.0.1:8080 (SEQRISK_PORT changes the port).
	@exec $(PYTHON) -m service serve

test: $(VENV)/development ## Run the whole test suite.
	$(PYTHON) -m pytest

train: $(VENV)/development ## Train on CONFIG (the embedded sample) and publish the next version.
	$(PYTHON) -m training train $(CONFIG)

check: $(VENV)/development ## Lint, types, import contracts, then the suite.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pytest

format: $(VENV)/development ## Rewrite the code in the house format.
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/development ## Measure engine, batcher and service (run it while nothing else runs; needs wrk).
	$(PYTHON) -m tests.benchmarks.bench_engine
	$(PYTHON) -m tests.benchmarks.bench_batcher
	$(PYTHON) -m tests.benchmarks.bench_service
	$(PYTHON) -m tests.benchmarks.bench_eventlog

bench-peers: $(VENV)/development ## Measure other model servers on the same artifact beside ours (downloads them).
	$(PYTHON) -m tests.benchmarks.bench_peers

prove: $(VENV)/development ## Run every slow proof of what the service promises (half an hour; run it while nothing else runs).
	$(PYTHON) -m tests.proofs.prove_invariance
	$(PYTHON) -m tests.proofs.prove_first_request
	$(PYTHON) -m tests.proofs.prove_probes
	$(PYTHON) -m tests.proofs.prove_sigterm
	$(PYTHON) -m tests.proofs.prove_overload
	$(PYTHON) -m tests.proofs.prove_swaps
	$(PYTHON) -m tests.proofs.prove_no_5xx

lock: $(VENV)/development ## Renew the lock files from pyproject.toml.
	$(COMPILE) --extra cpu --extra service --extra grpc --extra tracing --extra training --extra tracking --extra dev -o $(LOCKS)/development.lock
	$(COMPILE) --extra cpu --extra service --extra grpc --extra tracing -c $(LOCKS)/development.lock -o $(LOCKS)/service-cpu.lock
	$(COMPILE) --extra gpu --extra service --extra grpc --extra tracing -c $(LOCKS)/development.lock -o $(LOCKS)/service-gpu.lock
	$(COMPILE) --extra cpu --extra training -c $(LOCKS)/development.lock -o $(LOCKS)/training-cpu.lock

clean: ## Remove the virtual environment.
	rm -rf $(VENV)

# The two marks say which lock was installed last; serving needs far less than developing.
$(VENV)/service: $(LOCKS)/service-cpu.lock | $(VENV)/created
	@echo "Installing what the service needs (once, a minute or two) ..."
	@$(PYTHON) -m pip install --quiet --require-hashes -r $<
	@touch $@

$(VENV)/development: $(LOCKS)/development.lock | $(VENV)/created
	@echo "Installing what training and tests need (once, a minute or two) ..."
	@$(PYTHON) -m pip install --quiet --require-hashes -r $<
	@touch $@ $(VENV)/service

$(VENV)/created:
	@$(SEQRISK_PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit(f"Expected Python 3.11 to 3.13. Received: {v[0]}.{v[1]} as $(SEQRISK_PYTHON). Set SEQRISK_PYTHON to another one.")'
	@echo "Creating $(VENV) ..."
	@$(SEQRISK_PYTHON) -m venv $(VENV)
	@touch $@
