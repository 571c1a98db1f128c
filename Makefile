# For users: `make demo`. For contributors: `make check` on every save, `make test` before a push.
# Every target sets up what it needs, once. `make test-peers` also needs Node.js 20.15 or newer.
PYTHON ?= python3
VENV := .venv
WHEEL_VENV := .venv-wheel
PEERS := tests/peers
BENCH_VENVS := .venv-bench
BENCH_READY := $(patsubst benchmarks/locks/%.txt,$(BENCH_VENVS)/%/.ready,$(wildcard benchmarks/locks/*.txt))
PIP_FLAGS := --quiet --disable-pip-version-check
# The lock has resolved the dependencies. If pip resolved them again, it would take the newest
# release of a package that another one requires with an extra, and then reject it: no hash.
PIP_LOCKED := $(PIP_FLAGS) --no-deps --require-hashes
PYTEST := $(VENV)/bin/python -m pytest -n 2

.PHONY: demo check test test-peers bench bench-chaos lint format lock registry clean setup

demo: setup
	$(VENV)/bin/python examples/demo.py

# Lint, types and unit tests, in less than 30 seconds on two cores. Needs no weights, no network.
check: lint
	HYPOTHESIS_PROFILE=quick $(PYTEST) -q -m 'not slow and not embedded' \
		tests/core tests/wire tests/test_language.py tests/langchain/test_call_path.py

# Everything but the peers. loadfile: tests of one file share servers and fixtures.
test: lint setup $(WHEEL_VENV)/.ready
	$(PYTEST) --dist loadfile

# Against a fault server that others wrote.
test-peers: setup $(PEERS)/node_modules/.ready
	$(VENV)/bin/python -m pytest $(PEERS)

# What a call costs, compared with what it wraps and with the peers. Takes minutes.
bench: $(BENCH_READY)
	$(BENCH_VENVS)/autoprovider/bin/python benchmarks/overhead.py --picture docs/overhead.svg

# The same outages for this project, LangChain's fallbacks, LiteLLM and pydantic-ai. Takes minutes.
bench-chaos: $(BENCH_READY)
	$(BENCH_VENVS)/autoprovider/bin/python benchmarks/chaos.py

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

# One environment for each library that is compared, as its users would have it.
$(BENCH_VENVS)/%/.ready: benchmarks/locks/%.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install $(PIP_LOCKED) -r $<
	test $* != autoprovider || $(@D)/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS)/node_modules/.ready: $(PEERS)/package.json $(PEERS)/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { \
		echo 'make test-peers: needs node >= 20.15 and npm; install Node.js' >&2; exit 1; }
	cd $(PEERS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# A lock has a hash for every file and no address of an index.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

# The peers have the versions that our tests have, where they need the same packages.
lock:
	$(UV_COMPILE) pyproject.toml --extra all --group dev --output-file requirements/dev.txt
	echo 'llama-index-llms-openai # which requires openai 2' | $(UV_COMPILE) pyproject.toml - \
		--extra local --extra llamaindex --group test --output-file requirements/openai2.txt
	grep -Eo '^[^ ]+==[^ ]+' requirements/dev.txt > $(VENV)/constraints.txt
	echo 'hatchling>=1.27 # builds ours' | $(UV_COMPILE) pyproject.toml - --extra llamaindex \
		--constraints $(VENV)/constraints.txt --output-file benchmarks/locks/autoprovider.txt
	echo 'langchain-litellm>=0.11' | $(UV_COMPILE) - \
		--constraints $(VENV)/constraints.txt --output-file benchmarks/locks/litellm.txt
	echo 'pydantic-ai-slim[openai]>=2.68' | $(UV_COMPILE) - \
		--constraints $(VENV)/constraints.txt --output-file benchmarks/locks/pydantic-ai.txt
	echo 'llama-index-llms-openai-like>=0.8 # which requires openai 2' | $(UV_COMPILE) - \
		--output-file benchmarks/locks/openai-like.txt

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(BENCH_VENVS) dist build .pytest_cache .mypy_cache .ruff_cache \
		$(PEERS)/node_modules
