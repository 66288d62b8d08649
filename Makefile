# WhatsApp customer identity: `make run` and `make test` need Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export CHROMIUM ?= chromium
export DAGSTER_HOME ?= $(CURDIR)/data/dagster
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
.DEFAULT_GOAL := help

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: set PYTHON=")'
	@echo "Installing the locked dependencies into $(VENV) (about 500 MB, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.browser: requirements-browser.lock $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.lock
	@touch $@

$(VENV)-lint/.installed: requirements-lint.lock
	@$(PYTHON) -m venv $(VENV)-lint
	@$(VENV)-lint/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-lint.lock
	@touch $@

# 1 or true, as in FORCE=1; 0, false and nothing are off
on = $(filter-out 0 false no off,$(1))

.PHONY: run doctor retry test test-browser screenshots chromium test-deep bench accuracy dev receive dashboard lint docs explain publish sql metrics clean help dagster-home

run: $(VENV)/.installed ## Land, resolve, check and publish LANDING_DIR (the sample if unset), then show the result; FULL=1 works all out anew
	@$(BIN)/python -m orchestration run $(if $(call on,$(FULL)),--full-refresh) $(if $(call on,$(FORCE)),--force)

doctor: $(VENV)/.installed ## Would the next run work? Every path, setting, variable and reference CSV, in two seconds
	@$(BIN)/python -m orchestration doctor

retry: $(VENV)/.installed ## Read the rejected records again, after an upgrade; make run resolves them
	@$(BIN)/python -m orchestration retry

test: $(VENV)/.installed ## Every test: pytest and the dbt unit tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

test-browser: chromium $(VENV)/.browser ## The dashboard in headless Chromium
	@$(BIN)/python -m pytest tests/browser

screenshots: chromium $(VENV)/.browser ## The README's pictures of the dashboard, anew
	@$(BIN)/python -m pytest tests/browser -k screenshots --screenshots docs/images

chromium:
	@command -v $(CHROMIUM) >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || { echo "The browser tests need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM= to your browser."; exit 1; }

test-deep: $(VENV)/.installed ## What takes long: the property tests on many more histories, fifty thousand fuzzed records, a hundred killed runs, fifty killed receivers, a restore
	@KILLED_RECEIVERS=50 PROPERTY_SEED=$$(date +%s) $(BIN)/python -m pytest tests/test_receiver.py tests/test_receiver_end_to_end.py -k 'killed or restore'
	@PROPERTY_CASES=3000 KILLS=100 FUZZED_RECORDS=50000 PROPERTY_SEED=$$(date +%s) $(BIN)/python -m pytest tests/properties tests/test_kills.py tests/test_fuzz.py

explain: $(VENV)/.installed ## Why is this one customer: make explain ID=<phone|bsuid|username|customer_key|message id>
	@test -n "$(ID)" || { echo "Say who: make explain ID=<phone|bsuid|username|customer_key|message id>"; exit 2; }
	@$(BIN)/python -m orchestration explain "$(ID)"

publish: $(VENV)/.installed ## Publish what the warehouse holds; FORCE=1 after you reviewed what the gate held back
	@$(BIN)/python -m orchestration publish $(if $(call on,$(FORCE)),--force)

bench: $(VENV)/.installed ## How fast it is, beside what the machine can do: make bench [EVENTS="1000000"]
	@$(BIN)/python -m tests.benchmarks.bench $(if $(EVENTS),--events $(EVENTS))

accuracy: $(VENV)/.installed ## How often it is wrong, on simulated worlds: make accuracy [PROFILES="base hostile"] [PERSONS=6000] [SEED=2]
	@$(BIN)/python -m tests.simulator.accuracy $(if $(PROFILES),--profiles $(PROFILES)) $(if $(PERSONS),--persons $(PERSONS)) $(if $(SEED),--seed $(SEED))

dagster-home:
	@$(BIN)/python -c "from orchestration.cli import configure_dagster, log_folder; configure_dagster(log_folder())"

dev: $(VENV)/.installed dagster-home ## The Dagster UI with its daemon
	@$(BIN)/dg dev

receive: $(VENV)/.installed ## Receive webhooks over HTTP into LANDING_DIR; needs APP_SECRETS and VERIFY_TOKEN (docs/receiving.md)
	@exec $(BIN)/python -m orchestration.receiver

sql: $(VENV)/.installed ## A read-only SQL prompt on the published file
	@$(BIN)/python -m orchestration.sql

dashboard: $(VENV)/.installed ## The BI pages over the published file, on http://localhost:8501; SHOW_PII=1 shows phones
	@$(BIN)/python -m streamlit run dashboard/app.py

metrics: $(VENV)/.installed ## A metric from the published file: make metrics [QUERY="--metrics customers --group-by metric_time__week"]
	@$(BIN)/python -m orchestration.metrics query $(or $(QUERY),--saved-query transition_by_month --order metric_time__month)

lint: $(VENV)-lint/.installed ## ruff and sqlfluff
	@$(VENV)-lint/bin/ruff check . && $(VENV)-lint/bin/ruff format --check .
	@mkdir -p data && WAREHOUSE_PATH=$(CURDIR)/data/lint.duckdb $(VENV)-lint/bin/sqlfluff lint dbt_project/models dbt_project/tests

docs: $(VENV)/.installed ## The dbt docs as one page, after make run: docs/site/index.html
	@$(BIN)/python -m orchestration docs

clean: ## Remove everything that was made here: environments, warehouse, what was published
	@rm -rf $(VENV) $(VENV)-lint data docs/site dbt_project/target dbt_project/logs .pytest_cache .hypothesis .ruff_cache

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
