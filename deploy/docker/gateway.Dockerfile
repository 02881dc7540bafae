# The HTTP gateway: Flask, waitress and the Triton client. No model, no Triton, no machine-learning library.
# With its digest, NAME@sha256:..., every build gets the same image.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS builder
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python -m venv --without-pip /venv
WORKDIR /build
COPY requirements/gateway.lock ./
RUN pip --python /venv/bin/python install --no-cache-dir --requirement gateway.lock
COPY pyproject.toml ./
COPY client client
COPY gateway gateway
# The project lists every package; those that this image does without are empty folders to it.
RUN python -c "import os, tomllib; [os.makedirs(p.replace('.', '/'), exist_ok=True) for p in tomllib.load(open('pyproject.toml', 'rb'))['tool']['setuptools']['packages']]" \
    && pip --python /venv/bin/python install --no-cache-dir --no-deps ./client .

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app
COPY --from=builder /venv /venv
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DEEPFAKE_HOST=0.0.0.0 \
    MEDIA_ROOT=/media
USER 10001:10001
EXPOSE 5000
CMD ["python", "-m", "gateway"]
