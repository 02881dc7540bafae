# Triton for NVIDIA GPUs: NVIDIA's image, and what our preprocessing and the watch over the server import.
# 26.11 mends faults of 26.07 in the dynamic batcher and the Python backend. It has CUDA 13, which needs driver 580 or
# newer, and Python 3.12. It is some gigabytes; ours adds one virtual environment.
# With its digest, NAME@sha256:..., every build gets the same image.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.11-py3
FROM ${TRITON_IMAGE} AS builder
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m venv --without-pip /venv
WORKDIR /build
COPY requirements/triton-gpu.lock ./
RUN python3 -m pip --python /venv/bin/python install --no-cache-dir --requirement triton-gpu.lock
COPY pyproject.toml ./
COPY assets assets
COPY client client
COPY deploy deploy
COPY preprocessing preprocessing
COPY runtime runtime
# Of the export only what reads and verifies a release.
COPY export/__init__.py export/errors.py export/golden.py export/release.py export/
# The project lists every package; those that this image does without are empty folders to it.
RUN python3 -c "import os, tomllib; [os.makedirs(p.replace('.', '/'), exist_ok=True) for p in tomllib.load(open('pyproject.toml', 'rb'))['tool']['setuptools']['packages']]" \
    && python3 -m pip --python /venv/bin/python install --no-cache-dir --no-deps ./client .

FROM ${TRITON_IMAGE}
USER 0
# What mediapipe and OpenCV load.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# Volumes take the owner of the folder they first hide.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /releases
COPY --from=builder /venv /venv
# TRITON_SERVER_DIR: this server, not a wheel's.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    TRITON_SERVER_DIR=/opt/tritonserver \
    DEEPFAKE_TRITON_HOST=0.0.0.0 \
    DEEPFAKE_CACHE_DIR=/tmp/deepfake \
    DEEPFAKE_RELEASES_DIR=/releases
USER 10001:10001
EXPOSE 8001 8002
# NVIDIA's entry point prints a banner and writes to a file system that is read-only here.
ENTRYPOINT []
CMD ["python", "-m", "deploy.triton_container"]
