# WhatsApp customer identity: `make run` and `make test` need Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
export CHROMIUM ?= chromium
export DAGSTER_HOME ?= $(CURDIR)/data/dagster
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
.DEFAULT_GOAL := help

# What a run needs, what the pages and metrics need besides, what the tests need besides: each has its lock.
$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: set PYTHON=")'
	@echo "Installing the locked dependencies into $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -r requirements.lock
	@touch $@

$(VENV)/.pages: requirements-pages.lock $(VENV)/.installed
	@$(INSTALL) -r requirements-pages.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing what the tests need as well (once) ..."
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

$(VENV)/.browser: requirements-browser.lock $(VENV)/.dev
	@$(INSTALL) -r requirements-browser.lock
	@touch $@

$(VENV)/.spark: requirements-spark.lock $(VENV)/.dev
	@command -v java >/dev/null || { echo "Spark needs Java 17 or newer: install it (Debian: apt-get install openjdk-17-jre-headless)."; exit 1; }
	@$(INSTALL) -r requirements-spark.lock
	@touch $@

$(VENV)-lint/.installed: requirements-lint.lock
	@$(PYTHON) -m venv $(VENV)-lint
	@$(VENV)-lint/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-lint.lock
	@touch $@

# What is said on the command line reaches commands through the environment, as it is: a shell or make that reads it
# again would run what stands in it.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))
export ID OUT REASON REQUESTED_BY QUERY EVENTS PROFILE PROFILES PERSONS SEED

.PHONY: run doctor retry test test-browser test-spark parity screenshots chromium test-deep bench accuracy dev receive dashboard lint docs explain forget export retain sbom publish sql metrics clean help dagster-home

run: $(VENV)/.installed ## Land, resolve, check and publish LANDING_DIR (the sample if unset), then show the result; FULL=1 works all out anew
	@$(BIN)/python -m orchestration run

doctor: $(VENV)/.installed ## Would the next run work? Every path, setting, variable and reference CSV, in two seconds
	@$(BIN)/python -m orchestration doctor

retry: $(VENV)/.installed ## Read the rejected records again, after an upgrade; make run resolves them
	@$(BIN)/python -m orchestration retry

test: $(VENV)/.dev ## Every test: pytest and the dbt unit tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-browser: chromium $(VENV)/.browser ## The dashboard in headless Chromium
	@$(BIN)/python -m pytest tests/browser

test-spark: $(VENV)/.spark ## The models on Spark, on a cluster of two workers: dbt's own tests, and every mart equal to DuckDB's
	@$(BIN)/python -m pytest tests/spark

parity: $(VENV)/.spark ## Every mart of DuckDB and of Spark compared: make parity [EVENTS=20000] [PROFILE=hostile] [SEED="1 2 3"]
	@$(BIN)/python -m tests.spark.parity

screenshots: chromium $(VENV)/.browser ## The README's pictures of the dashboard, anew
	@$(BIN)/python -m pytest tests/browser -k screenshots --screenshots docs/images

chromium:
	@command -v $(CHROMIUM) >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || { echo "The browser tests need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM= to your browser."; exit 1; }

test-deep: $(VENV)/.dev ## What takes long: the property tests on many more histories, fifty thousand fuzzed records, a hundred killed runs, fifty killed receivers, a restore, upgrades, extremes, an hour of payloads of any shape
	@KILLED_RECEIVERS=50 PROPERTY_SEED=$$(date +%s) $(BIN)/python -m pytest tests/test_receiver.py tests/test_receiver_end_to_end.py -k 'killed or restore'
	@PROPERTY_CASES=3000 KILLS=100 FUZZED_RECORDS=50000 PROPERTY_SEED=$$(date +%s) $(BIN)/python -m pytest tests/properties tests/test_kills.py tests/test_fuzz.py
	@UPGRADES=1 MANY=1000 $(BIN)/python -m pytest tests/test_upgrade.py tests/test_extremes.py
	@FUZZ_SECONDS=3600 PROPERTY_SEED=$$(date +%s) $(BIN)/python -m pytest tests/test_fuzz_landing.py -s

explain: $(VENV)/.installed ## Why is this one customer: make explain ID=<phone|bsuid|username|customer_key|message id>
	@$(BIN)/python -m orchestration explain

forget: $(VENV)/.installed ## Erase one customer for good: make forget ID=<...> [YES=1 REASON= REQUESTED_BY=]; without ID it finishes what was begun
	@$(BIN)/python -m orchestration forget

export: $(VENV)/.installed ## All that is known of one customer, as JSON and as a page: make export ID=<...> [OUT=<folder>]
	@$(BIN)/python -m orchestration export

retain: $(VENV)/.installed ## Take what people wrote out of landing files and raw when it is older than RETENTION_DAYS
	@$(BIN)/python -m orchestration retain

publish: $(VENV)/.installed ## Publish what the warehouse holds; FORCE=1 after you reviewed what the gate held back
	@$(BIN)/python -m orchestration publish

bench: $(VENV)/.dev ## How fast it is, beside what the machine can do: make bench [EVENTS="1000000"] [PROFILE=hostile]
	@$(BIN)/python -m tests.benchmarks.bench

accuracy: $(VENV)/.dev ## How often it is wrong, on simulated worlds: make accuracy [PROFILES="base hostile"] [PERSONS=6000] [SEED=2]
	@$(BIN)/python -m tests.simulator.accuracy

dagster-home:
	@$(BIN)/python -c "from orchestration.cli import configure_dagster, log_folder; configure_dagster(log_folder())"

dev: $(VENV)/.installed dagster-home ## The Dagster UI with its daemon
	@$(BIN)/dg dev

receive: $(VENV)/.installed ## Receive webhooks over HTTP into LANDING_DIR; needs APP_SECRETS and VERIFY_TOKEN (docs/receiving.md)
	@exec $(BIN)/python -m orchestration.receiver

sql: $(VENV)/.installed ## A read-only SQL prompt on the published file
	@$(BIN)/python -m orchestration.sql

dashboard: $(VENV)/.pages ## The BI pages over the published file, on http://localhost:8501; SHOW_PII=1 shows phones
	@$(BIN)/python -m streamlit run dashboard/app.py

metrics: $(VENV)/.pages ## A metric from the published file: make metrics [QUERY="--metrics customers --group-by metric_time__week"]
	@$(BIN)/python -m orchestration.metrics

lint: $(VENV)-lint/.installed ## ruff and sqlfluff
	@$(VENV)-lint/bin/ruff check . && $(VENV)-lint/bin/ruff format --check .
	@mkdir -p data && WAREHOUSE_PATH=$(CURDIR)/data/lint.duckdb $(VENV)-lint/bin/sqlfluff lint dbt_project/models dbt_project/tests

sbom: $(VENV)/.installed $(VENV)-lint/.installed ## What is installed, with licences, as CycloneDX: data/sbom.json
	@mkdir -p data && $(VENV)-lint/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o data/sbom.json $(BIN)/python
	@echo data/sbom.json

docs: $(VENV)/.installed ## The dbt docs as one page, after make run: docs/site/index.html
	@$(BIN)/python -m orchestration docs

clean: ## Remove everything that was made here: environments, warehouse, what was published
	@rm -rf $(VENV) $(VENV)-lint data docs/site dbt_project/target dbt_project/logs .pytest_cache .hypothesis .ruff_cache

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
