# `make help` lists the commands. Each does its own set-up, so any of them works on a fresh clone.
# PYTHON=python3.12 picks the interpreter; TORCH_INDEX=URL adds an index for torch; EXTRAS=owlvit,onnx adds extras.

VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
ENCODER_BENCH_ARGS ?= --rounds 4
# What the tests run on besides the base: every optional part that can be had without its hardware.
TEST_EXTRAS = bags,browser,datasets,docs,fleet,generate,learn,memory,onnx,owlvit,plots,ray,realsense,serial,tensorboard,tracking,view,webdataset

# A sourced ROS installation must not mix with the one in the virtual environment.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
export VENV PYTHON TORCH_INDEX EXTRAS
# Tests and the demo are nobody else's business on the network; unless the user says so.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.PHONY: help setup demo test lint format bench docs clean distclean
.DEFAULT_GOAL := help

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv: dependencies, ROS 2 from wheels, interfaces (quick when nothing changed)
	@scripts/setup_env.sh

demo: setup ## sounds find their objects on the bundled scenes, over a real ROS graph; writes demo_out/
	$(BIN)/imagebind-node demo $(DEMO_ARGS)

test: export EXTRAS := $(TEST_EXTRAS)
test: setup ## run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## speed and memory: the default model, then ImageBind against the original's code (5 min, 12 GB of disk)
	$(BIN)/imagebind-node bench $(BENCH_ARGS)
	$(BIN)/python benchmarks/encoders.py $(ENCODER_BENCH_ARGS)

docs: export EXTRAS := docs
docs: setup ## build the documentation site into site/
	$(BIN)/python -m mkdocs build

clean: ## remove what builds, tests and the demo have written; .venv stays
	rm -rf build install log site demo_out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info
	find imagebind_node tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove .venv as well
	rm -rf $(VENV)
