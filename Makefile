# Two commands from a machine with only Python: `make demo` and `make test`. PYTHON names another interpreter.
PYTHON ?= python3
BIN := .venv/bin
RECIPE := recipes/quickstart.yaml
RUN := runs/quickstart

.PHONY: demo test test-faults setup clean

demo: setup
	$(BIN)/wavegan train $(RECIPE) --run-dir $(RUN)
	$(BIN)/wavegan generate $(RUN) -n 16 --out $(RUN)/clips --force
	$(BIN)/wavegan evaluate $(RUN) --out $(RUN)/evaluation/demo
	$(BIN)/wavegan export $(RUN) --format web --force
	@echo
	@echo "clips:        $(RUN)/clips/clip-000000.wav to clip-000015.wav"
	@echo "spectrograms: $(RUN)/evaluation/demo/spectrograms.png"
	@echo "report:       $(RUN)/evaluation/demo/report.html"
	@echo "instrument:   $(RUN)/export/web/instrument.html, to open in a browser and play"

test: setup
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest

# The long part of the fault tests, which `make test` leaves out, and the short part again.
test-faults: setup
	$(BIN)/python -m pytest tests/faults -m "faults or not faults"

setup: .venv/installed

# Made again whenever the packages asked for change.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache *.egg-info
