# The whole service in one container, for CPUs, with its model inside:
#   docker build -t deepfake . && docker run --publish 127.0.0.1:5000:5000 deepfake
#
# CHECKPOINT is a hub id or /checkpoints/NAME, a folder below ./checkpoints; without it, it is the default model. Where the
# hub cannot be reached the build fails; with EMBEDDED_FALLBACK=true it takes the small demonstration model, and says so.
# docs/deploy.md has more. One container for each part, with limits and monitoring: docker-compose.yml.
# With its digest, NAME@sha256:..., every build gets the same image.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS base
# What mediapipe and OpenCV load.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

# As in export.Dockerfile, whose layers it shares.
FROM ${PYTHON_IMAGE} AS model
ARG PIP_INDEX_URL
# torch of this index needs no GPU, as the gate does not, and is gigabytes smaller.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN python -m venv --without-pip /venv
WORKDIR /build
COPY requirements/export.lock ./
RUN pip --python /venv/bin/python install --no-cache-dir --requirement export.lock
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY assets assets
# The face models that every release takes along and the photos of the gate, checked by their SHA-256: the export itself
# needs no package index.
RUN python -c "from pathlib import Path; from assets import FACE_MODELS, GATE_PHOTOS, fetch_assets; fetch_assets(FACE_MODELS + GATE_PHOTOS, Path('/fetched'))"
COPY client/deepfake_client deepfake_client
COPY deploy deploy
COPY export export
COPY model_repository model_repository
COPY preprocessing preprocessing
COPY runtime runtime
# Besides a file that is always there, since the folder need not be.
COPY pyproject.toml checkpoint[s] /checkpoints/
ARG CHECKPOINT
ARG REVISION
ARG WHOLE_IMAGE
ARG FAKE_LABELS
ARG FAKE_WHEN
# Not auto: the machine of the build says nothing about the one that serves.
ARG PRECISION=fp32
ARG FACE_DETECTION=true
ARG FACE_DETECTOR=direct
ARG INSTANCES=2
ARG EMBEDDED_FALLBACK=false
ENV DEEPFAKE_CACHE_DIR=/fetched \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/tmp
RUN --mount=type=secret,id=hf_token \
    HF_TOKEN_PATH=/run/secrets/hf_token DEEPFAKE_RELEASES_DIR=/releases DEEPFAKE_REVISION="$REVISION" DEEPFAKE_WHOLE_IMAGE="$WHOLE_IMAGE" \
    DEEPFAKE_FAKE_LABELS="$FAKE_LABELS" DEEPFAKE_FAKE_WHEN="$FAKE_WHEN" DEEPFAKE_PRECISION="$PRECISION" DEEPFAKE_FACE_DETECTION="$FACE_DETECTION" \
    DEEPFAKE_FACE_DETECTOR="$FACE_DETECTOR" DEEPFAKE_INSTANCES="$INSTANCES" DEEPFAKE_EMBEDDED_FALLBACK="$EMBEDDED_FALLBACK" /venv/bin/python -m deploy.bake && chmod -R a+rX /releases

FROM ${PYTHON_IMAGE} AS program
ARG PIP_INDEX_URL
RUN python -m venv --without-pip /venv
WORKDIR /build
COPY requirements/serve.lock ./
RUN pip --python /venv/bin/python install --no-cache-dir --requirement serve.lock
COPY pyproject.toml ./
COPY assets assets
COPY client client
COPY deploy deploy
COPY gateway gateway
COPY preprocessing preprocessing
COPY runtime runtime
# Of the export only what reads and verifies a release.
COPY export/__init__.py export/errors.py export/golden.py export/release.py export/
# The project lists every package; those that this image does without are empty folders to it.
RUN python -c "import os, tomllib; [os.makedirs(p.replace('.', '/'), exist_ok=True) for p in tomllib.load(open('pyproject.toml', 'rb'))['tool']['setuptools']['packages']]" \
    && pip --python /venv/bin/python install --no-cache-dir --no-deps ./client .

FROM base
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
    && mkdir --parents /media
COPY --from=program /venv /venv
COPY --from=model /releases /releases
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    DEEPFAKE_CACHE_DIR=/tmp/deepfake \
    DEEPFAKE_HOST=0.0.0.0 \
    PORT=5000 \
    MEDIA_ROOT=/media \
    DEEPFAKE_RELEASES_DIR=/releases
USER 10001:10001
VOLUME /media
EXPOSE 5000
# GET /health, which is 200 only while real inferences succeed.
HEALTHCHECK --interval=10s --timeout=8s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('localhost', os.environ['PORT'], timeout=6); c.request('GET', '/health'); exit(c.getresponse().status != 200)"]
# docker run adds no init of its own, which takes signals from the first moment and reaps what Triton leaves.
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "deploy.single_container"]
