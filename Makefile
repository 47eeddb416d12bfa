# Two commands from a bare machine: `make demo` and `make test`. Each first finds or makes an
# environment with DOLFINx (env/run says how); everything below runs inside it.

RUN := env/run
RANKS ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help env demo test test-serial test-mpi lint format bench doctor shell clean clean-env

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

env: ## make sure of an environment, and say which
	@$(RUN) true && $(RUN) --which

demo: ## Cook's membrane: network against direct FE2 on 2 ranks (ARGS="--fresh" starts anew)
	$(RUN) mpirun -n $(RANKS) python3 -m mpi4py demos/cook_membrane.py $(ARGS)

test: test-serial test-mpi ## all tests on one rank, then those marked mpi on three

test-serial: # ARGS="-k name" selects
	$(RUN) timeout -k 10 2400 python3 -m pytest $(ARGS)

test-mpi: # three ranks must not write one cache; colours of three reports mix badly
	$(RUN) timeout -k 10 1800 mpirun -n 3 python3 -m pytest -q -m mpi --color=no \
	    -p no:cacheprovider $(ARGS)

lint: ## ruff, mypy, import-linter
	$(RUN) --tools sh -ec 'python3 -m ruff check .; python3 -m ruff format --check .; \
	    python3 -m mypy; lint-imports'

format: ## let ruff rewrite the code
	$(RUN) --tools sh -ec 'python3 -m ruff check --fix .; python3 -m ruff format .'

bench: ## every benchmark; one JSON object a line
	$(RUN) python3 -m benchmarks $(ARGS)

doctor: ## say what this environment has and what to mend
	$(RUN) python3 -m fesurrogate doctor

shell: ## a shell inside the environment
	$(RUN) bash

clean: ## remove what runs and tools wrote in this checkout
	rm -rf output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

clean-env: ## remove every cached environment (several GB)
	rm -rf --one-file-system "$${FESURROGATE_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/fesurrogate}"
