# Triton for CPUs: the server and Python backend of the nvidia-pytriton wheel, and what its models import. No PyTorch.
# With its digest, NAME@sha256:..., every build gets the same image.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS builder
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python -m venv --without-pip /venv
WORKDIR /build
COPY requirements/triton-cpu.lock ./
RUN pip --python /venv/bin/python install --no-cache-dir --requirement triton-cpu.lock
COPY pyproject.toml ./
COPY assets assets
COPY client client
COPY deploy deploy
COPY preprocessing preprocessing
COPY runtime runtime
# Of the export only what reads and verifies a release.
COPY export/__init__.py export/errors.py export/golden.py export/release.py export/
# The project lists every package; those that this image does without are empty folders to it.
RUN python -c "import os, tomllib; [os.makedirs(p.replace('.', '/'), exist_ok=True) for p in tomllib.load(open('pyproject.toml', 'rb'))['tool']['setuptools']['packages']]" \
    && pip --python /venv/bin/python install --no-cache-dir --no-deps ./client .

FROM ${PYTHON_IMAGE}
# What mediapipe and OpenCV load.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# Volumes take the owner of the folder they first hide.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /releases
COPY --from=builder /venv /venv
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    DEEPFAKE_TRITON_HOST=0.0.0.0 \
    DEEPFAKE_CACHE_DIR=/tmp/deepfake \
    DEEPFAKE_RELEASES_DIR=/releases
USER 10001:10001
EXPOSE 8001 8002
CMD ["python", "-m", "deploy.triton_container"]
