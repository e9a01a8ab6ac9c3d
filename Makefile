# One virtual environment for everything; each stamp remembers which extras are in it.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test test-fast lint clean

demo: $(VENV)/.installed
	$(RUN) cli.py demo

test: $(VENV)/.installed-test
	$(RUN) -m pytest -q -m "not slow"
	$(RUN) -m pytest -q -m slow

test-fast: $(VENV)/.installed-test
	$(RUN) -m pytest -q -m "not slow"

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build *.egg-info

$(RUN):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(RUN)
	$(RUN) -m pip install -q -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(RUN) -m pip install -q -e ".[test]"
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(RUN) -m pip install -q -e ".[lint]"
	touch $@
