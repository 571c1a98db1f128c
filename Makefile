# Everything a newcomer needs: `make demo`, `make test`. Setting up again costs nothing.
# `make test-peers` needs Node.js 20.15 or newer besides.
PYTHON ?= python3
VENV := .venv
WHEEL_VENV := .venv-wheel
PEERS := tests/peers
PEERS_VENV := .venv-peers
PIP_FLAGS := --quiet --disable-pip-version-check
# A lock has settled the dependencies. Left to resolve them again, pip takes the newest release of
# a package that another one wants with an extra, and then refuses it for having no hash.
PIP_LOCKED := $(PIP_FLAGS) --no-deps --require-hashes

.PHONY: demo test test-peers bench-chaos lint lock registry clean setup

demo: setup
	$(VENV)/bin/python examples/demo.py

test: setup $(WHEEL_VENV)/.ready
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

# Against a fault server that nobody here wrote.
test-peers: setup $(PEERS)/node_modules/.ready
	$(VENV)/bin/python -m pytest $(PEERS)

# Through the same outages as LangChain's fallbacks, LiteLLM and pydantic-ai: some minutes.
bench-chaos: $(PEERS_VENV)/.ready
	$(PEERS_VENV)/bin/python benchmarks/chaos.py

lint: $(VENV)/.ready
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/mypy

# providers.json from what lies under registry/; the same inputs give the same bytes.
registry: $(VENV)/.ready
	$(VENV)/bin/python scripts/build_registry.py

setup: $(VENV)/.ready
	@$(VENV)/bin/autoprovider local install

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install $(PIP_LOCKED) -r requirements/dev.txt
	$(VENV)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

# The environment of the wheel test: what a user of LlamaIndex gets who has its OpenAI class,
# which wants openai 2.
$(WHEEL_VENV)/.ready: requirements/openai2.txt
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install $(PIP_LOCKED) -r requirements/openai2.txt
	@touch $@

# See benchmarks/README.md for how its lock is made.
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

# Locks hold hashes and no index address.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml

lock:
	$(UV_COMPILE) --extra all --group dev --output-file requirements/dev.txt
	grep -Eo '^(certifi|hatchling|langchain-core|langchain-openai|openai)==[^ ]+' requirements/dev.txt \
		| $(UV_COMPILE) benchmarks/requirements.in --constraints - \
		--output-file benchmarks/requirements.txt
	echo 'llama-index-llms-openai # which wants openai 2' | $(UV_COMPILE) --extra local --extra llamaindex --group test - \
		--output-file requirements/openai2.txt

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(PEERS_VENV) dist build .pytest_cache .mypy_cache .ruff_cache \
		$(PEERS)/node_modules
