# Two commands: `make serve` and `make test`. Both install what they need into .venv.
.DEFAULT_GOAL := help
.PHONY: help install serve test test-long test-containers test-gpu lint bench embedded lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install:  ## install the service into .venv
	@deploy/install.sh local

serve: install  ## export the model if needed, then run Triton and the gateway (settings: docs/settings.md)
	@exec .venv/bin/python -m deploy.local

test: lint  ## lint, types and the tests, on two cores
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST_ARGS)

test-long: lint  ## the long tests: fuzzing, soak, containers, scale-out, whole trainings
	.venv/bin/python -m pytest -m long -o faulthandler_timeout=7200 $(PYTEST_ARGS)

test-containers:  ## build the images and try them with Docker, or podman as root (CONTAINER_ENGINE)
	@deploy/install.sh dev
	CONTAINER_ENGINE=$${CONTAINER_ENGINE:-auto} .venv/bin/python -m pytest -m long -o faulthandler_timeout=7200 tests/containers $(PYTEST_ARGS)

test-gpu:  ## on a machine with NVIDIA's Triton: what no machine without a GPU can show (GPU_ARGS)
	.venv/bin/python -m tests.gpu $(GPU_ARGS)

lint:  ## style and types only
	@deploy/install.sh dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench:  ## measure everything into benchmark-results/ (about half an hour; options: BENCH_ARGS)
	@deploy/install.sh bench
	.venv/bin/deepfake-bench run $(BENCH_ARGS)

# One thread and memory that is kept: fastest on two cores, beside the process that prepares the pictures.
embedded:  ## train the embedded checkpoint into embedded-training/ (an hour; needs npm and apt-get for the photographs)
	@deploy/install.sh train
	OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 \
	  .venv/bin/python -m training.embedded.build embedded-training

lock:  ## resolve the dependencies again into requirements/*.lock
	@deploy/install.sh dev
	requirements/lock.sh

clean:  ## remove .venv, releases and caches of this checkout
	rm -rf .venv releases .pytest_cache .mypy_cache .ruff_cache *.egg-info
