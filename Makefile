# For users: `make demo`. For contributors: `make check` on every save, `make test` before a push.
# Every target sets up what it needs, once. `make test-peers` also needs Node.js 20.15 or newer.
PYTHON ?= python3
VENV := .venv
WHEEL_VENV := .venv-wheel
PEERS := tests/peers
PEERS_VENV := .venv-peers
PIP_FLAGS := --quiet --disable-pip-version-check
# The lock has resolved the dependencies. If pip resolved them again, it would take the newest
# release of a package that another one requires with an extra, and then reject it: no hash.
PIP_LOCKED := $(PIP_FLAGS) --no-deps --require-hashes
PYTEST := $(VENV)/bin/python -m pytest -n 2

.PHONY: demo check test test-peers bench-chaos lint format lock registry clean setup

demo: setup
	$(VENV)/bin/python examples/demo.py

# Lint, types and unit tests, in less than 30 seconds on two cores. Needs no weights, no network.
check: lint
	HYPOTHESIS_PROFILE=quick $(PYTEST) -q -m 'not slow and not embedded' \
		tests/core tests/wire tests/test_language.py

# Everything but the peers. loadfile: tests of one file share servers and fixtures.
test: lint setup $(WHEEL_VENV)/.ready
	$(PYTEST) --dist loadfile

# Against a fault server that others wrote.
test-peers: setup $(PEERS)/node_modules/.ready
	$(VENV)/bin/python -m pytest $(PEERS)

# The same outages for this project, LangChain's fallbacks, LiteLLM and pydantic-ai. Takes minutes.
bench-chaos: $(PEERS_VENV)/.ready
	$(PEERS_VENV)/bin/python benchmarks/chaos.py

# Changes no file; `make format` does.
lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.ready
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Builds providers.json from registry/; the same inputs give the same bytes.
registry: $(VENV)/.ready
	$(VENV)/bin/python scripts/build_registry.py

setup: $(VENV)/.ready
	@$(VENV)/bin/autoprovider local install

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install $(PIP_LOCKED) -r requirements/dev.txt
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

# For the wheel test: the environment of a user of LlamaIndex's OpenAI class, which requires
# openai 2.
$(WHEEL_VENV)/.ready: requirements/openai2.txt
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install $(PIP_LOCKED) -r requirements/openai2.txt
	@touch $@

# benchmarks/README.md explains the lock.
$(PEERS_VENV)/.ready: benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install $(PIP_LOCKED) -r benchmarks/requirements.txt
	$(PEERS_VENV)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS)/node_modules/.ready: $(PEERS)/package.json $(PEERS)/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { \
		echo 'make test-peers: needs node >= 20.15 and npm; install Node.js' >&2; exit 1; }
	cd $(PEERS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# A lock has a hash for every file and no address of an index.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml

lock:
	$(UV_COMPILE) --extra all --group dev --output-file requirements/dev.txt
	grep -Eo '^(certifi|hatchling|langchain-core|langchain-openai|openai)==[^ ]+' requirements/dev.txt \
		| $(UV_COMPILE) benchmarks/requirements.in --constraints - \
		--output-file benchmarks/requirements.txt
	echo 'llama-index-llms-openai # which requires openai 2' | $(UV_COMPILE) --extra local --extra llamaindex --group test - \
		--output-file requirements/openai2.txt

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(PEERS_VENV) dist build .pytest_cache .mypy_cache .ruff_cache \
		$(PEERS)/node_modules
