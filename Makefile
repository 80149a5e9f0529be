# Needs Python 3.10+ with venv, and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEEL_VENV := build/wheel-venv
PHONE_VENV := build/phone-venv
PIN := --quiet --constraint constraints.txt
SETUP := pyproject.toml constraints.txt eas_sdk/_version.py

define make-venv
@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or \
	sys.exit("Python 3.10 or later is needed; $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=...")'
@$(PYTHON) -m venv $(VENV)
endef

.PHONY: demo test lint phone-test wheel-test arm-test clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	$(BIN)/eas demo

test: export OMP_NUM_THREADS = 1
test: lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The runtime's tests with the numpy that phones have (Chaquopy: 1.26), without torch: make phone-test PYTHON=python3.12
RUNTIME_TESTS := $(addprefix tests/, adaptive android bank device engine exporters/test_export.py \
	exporters/test_tflite.py graph latency router selector space test_budget.py test_cell_bundles.py test_errors.py \
	test_images.py test_limits.py test_runtime.py test_task.py)
phone-test: export OMP_NUM_THREADS = 1
phone-test:
	@mkdir -p build
	$(PYTHON) -m venv --clear $(PHONE_VENV)
	grep -v '^numpy' constraints.txt > build/phone-constraints.txt
	$(PHONE_VENV)/bin/python -m pip install --quiet --constraint build/phone-constraints.txt "numpy==1.26.*" \
		click rich pillow pytest pytest-timeout pytest-xdist hypothesis safetensors ai-edge-litert \
		tree-sitter tree-sitter-kotlin "tomli; python_version < '3.11'"
	$(PHONE_VENV)/bin/python -m pytest -n 2 $(RUNTIME_TESTS)

# Builds the sdist, the wheel from it, and runs the wheel with numpy alone: the pinned numpy, then the oldest one; then
# with the extra `litert` alone.
wheel-test: $(VENV)/test.stamp
	rm -rf build dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --quiet --outdir dist
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install $(PIN) dist/*.whl
	$(WHEEL_VENV)/bin/python -I tests/wheel_smoke.py
	$(WHEEL_VENV)/bin/python -m pip install --quiet --only-binary :all: --requirement constraints-oldest.txt
	$(WHEEL_VENV)/bin/python -I tests/wheel_smoke.py
	$(PYTHON) -m venv --clear $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install $(PIN) "$$(ls dist/*.whl)[litert]"
	$(WHEEL_VENV)/bin/python -I tests/wheel_smoke.py litert

# Engines and exported files on an emulated ARM processor; needs Debian 12 (benchmarks/arm.py). Results are stored.
arm-test: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.arm build/arm

# A stamp is newer than what decides its contents, so an up-to-date .venv is used as it is.
$(VENV)/demo.stamp: $(SETUP)
	@echo "Installing eas_sdk into $(VENV) ..."
	$(make-venv)
	@$(BIN)/python -m pip install $(PIN) --editable ".[cli]"
	@touch $@

$(VENV)/test.stamp: $(SETUP)
	@echo "Installing eas_sdk with torch and the test tools into $(VENV) (the first time takes minutes) ..."
	$(make-venv)
	@$(BIN)/python -m pip install $(PIN) --editable ".[cli,train,lite0,litert,onnx,coreml,bench,dev]"
	@$(BIN)/python -m pip install $(PIN) mediapipe \
		|| echo "MediaPipe cannot be installed here: the test with a real client of .tflite files is skipped."
	@touch $@ $(VENV)/demo.stamp

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
