# Two commands do everything on a machine with Python 3.10+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

# What the outcome of the tests depends on.
TESTED = soho demo configs docker docs tools tests requirements hubconf.py setup.py pyproject.toml MANIFEST.in README.md \
	CONTRIBUTING.md CHANGELOG.md CITATION.cff .ci .github .pre-commit-config.yaml Makefile "$(VENV)/soho-env"
PASSED = build/tests-passed

LINT = "$(VENV)/bin/python" -m ruff check . && "$(VENV)/bin/python" -m ruff format --check . && \
	"$(VENV)/bin/python" -m pyrefly check --python-interpreter-path "$(VENV)/bin/python"

.PHONY: help env demo test soak lint docs links clean

help:
	@echo 'make env    make the environment in $(VENV) (the other targets do it by themselves)'
	@echo 'make demo   generate data, pretrain, fine-tune on VQA, evaluate, write a report to work_dirs/demo'
	@echo 'make test   check style and types and run the tests; AGAIN=1 also where nothing has changed since they passed'
	@echo 'make soak   kill a training 100 times and damage 100,000 files; logs and what was found go to build/soak'
	@echo 'make lint   check style and types only'
	@echo 'make docs   build the documentation site in build/docs; a warning is an error'
	@echo 'make links  ask whether every address outside that the site names still answers; needs a network'
	@echo 'make clean  remove the environment and what tools left; data/ and work_dirs/ stay'

env:
	@$(PYTHON) tools/env.py "$(VENV)"

demo: env
	@"$(VENV)/bin/python" demo/run_demo.py

# Hundreds of processes import torch here: what they compile is kept, also where the machine says not to (6 s of CPU each).
test demo: export PYTHONDONTWRITEBYTECODE =

# Two processes of one thread each are quicker on two cores than one process of two threads.
test: export OMP_NUM_THREADS = 1
test: export HF_HUB_OFFLINE = 1
test: env
	@now=$$(find $(TESTED) -type f ! -path '*/__pycache__/*' -exec sha256sum {} + | LC_ALL=C sort | sha256sum); \
	if [ -z "$(AGAIN)" ] && [ "$$now" = "$$(cat $(PASSED) 2>/dev/null)" ]; then \
		echo 'test: nothing has changed since all tests passed (make test AGAIN=1 runs them)'; exit 0; \
	fi; \
	$(LINT) && "$(VENV)/bin/python" -m pytest -n $(WORKERS) --dist worksteal && \
	mkdir -p build && echo "$$now" > $(PASSED)

# An hour or more; each ends with a line that counts, and make with an error where something was found.
soak: export OMP_NUM_THREADS = 1
soak: export HF_HUB_OFFLINE = 1
soak: env
	@"$(VENV)/bin/python" -m tests.engine.soak --kills 100 --out build/soak/kills.log
	@"$(VENV)/bin/python" -m tests.datasets.soak --inputs 100000 --corpus build/soak/fuzz --out build/soak/fuzz.log

lint: env
	@$(LINT)

# Sphinx comes into the environment at the first call; the API's pages import all of soho.
docs: export HF_HUB_OFFLINE = 1
docs: env
	@"$(VENV)/bin/python" -m pip install --quiet -r requirements/docs.txt
	@"$(VENV)/bin/python" -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/docs
	@echo 'docs: build/docs/index.html'

# Apart from docs: what is down elsewhere is no fault of a change here.
links: export HF_HUB_OFFLINE = 1
links: env
	@"$(VENV)/bin/python" -m pip install --quiet -r requirements/docs.txt
	@"$(VENV)/bin/python" -m sphinx --keep-going --quiet -b linkcheck docs build/links

clean:
	rm -rf "$(VENV)" build dist soho.egg-info .pytest_cache .ruff_cache
	find soho configs tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
