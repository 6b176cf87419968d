# Two commands from a machine with only Python: `make demo` and `make test`. PYTHON names another interpreter.
# TORCH_INDEX names an index of torch's builds; on Linux without a GPU, https://download.pytorch.org/whl/cpu
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
RECIPE := recipes/quickstart.yaml
RUN := runs/quickstart

INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --no-compile
# pip would compile on one core. A file that does not compile is a template or a test of its package.
COMPILE = $(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null 2>&1 || true

.PHONY: demo test test-long setup test-setup find-torch clean

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

test: test-setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pyright
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

# The long tests, which `make test` leaves out.
test-long: test-setup
	$(BIN)/python -m pytest -m long

setup: .venv/installed

test-setup: .venv/installed-for-tests

# Prints the folder of the torch that PYTHON has already, if pyproject.toml allows its version.
FIND_TORCH = import pathlib, re, torch; \
	numbers = lambda text: [int(part) for part in re.findall(r'\d+', text.partition('+')[0])]; \
	low, high = re.search(r'torch>=([\d.]+),<([\d.]+)', pathlib.Path('pyproject.toml').read_text()).groups(); \
	fits = numbers(low) <= numbers(torch.__version__) < numbers(high); \
	print(pathlib.Path(torch.__file__).parents[1] if fits else '')

find-torch:
	@$(PYTHON) -c "$(FIND_TORCH)" 2>/dev/null || true

# Made again whenever the packages asked for change. A torch that PYTHON has is used, with the packages beside it.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@set -e; packages=$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"); \
	torch=$$($(MAKE) --silent find-torch); rm -f "$$packages/torch_of_python.pth"; \
	cp constraints.txt .venv/constraints.txt; \
	if [ -n "$$torch" ] && [ -z "$(TORCH_INDEX)" ]; then \
		echo "using the torch of $(PYTHON), in $$torch; TORCH_INDEX=… installs another"; \
		echo "$$torch" > "$$packages/torch_of_python.pth"; \
		: > .venv/constraints.txt; \
	elif [ -n "$(TORCH_INDEX)" ]; then \
		$(INSTALL) -c constraints.txt torch torchaudio --index-url "$(TORCH_INDEX)"; \
	elif [ "$$(uname)" = Linux ]; then \
		echo "installing torch from where pip takes all else; if that is a build with gigabytes of CUDA and there is no"; \
		echo "GPU, stop this and add to the command: TORCH_INDEX=https://download.pytorch.org/whl/cpu"; \
	fi
	$(INSTALL) -c .venv/constraints.txt -e .
	@$(COMPILE)
	touch $@

# The packages that tests need and users do not.
.venv/installed-for-tests: .venv/installed
	$(INSTALL) -c .venv/constraints.txt -e '.[dev]'
	@$(COMPILE)
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache *.egg-info
