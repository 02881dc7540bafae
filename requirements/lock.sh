#!/usr/bin/env bash
# Writes the lock of every component from pyproject.toml (`make lock`). All agree: each is resolved within dev.lock.
# HASHES=1 adds the index's hashes, which pip then requires: set it where the index is PyPI itself.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { # lock-file, then pip-compile's arguments
  local lock=$1
  shift
  .venv/bin/python -m piptools compile --quiet --strip-extras --no-header --no-annotate --allow-unsafe --no-emit-find-links \
    --no-emit-index-url --no-emit-trusted-host --resolver=backtracking ${HASHES:+--generate-hashes} --output-file "$lock.new" "$@" client/pyproject.toml pyproject.toml
  # A machine whose index offers local builds (torch+cpu) must not pin them for others.
  { echo "# Made by make lock: the whole environment of one component, Python 3.11 and 3.12, Linux x86-64."; sed -E 's/^([a-z0-9._-]+==[^+ ]+)\+[a-z0-9.]+/\1/' "$lock.new"; } >"$lock.ready"
  rm "$lock.new"
  mv "$lock.ready" "$lock"
}
local=(--extra gateway --extra provenance --extra tracing --extra preprocessing --extra cpu --extra evaluate --extra export --extra triton-wheel)
compile requirements/dev.lock "${local[@]}" --extra bench --extra bulk --extra train --extra dev
within=(--constraint requirements/dev.lock)
compile requirements/local.lock "${local[@]}" "${within[@]}"
compile requirements/bench.lock "${local[@]}" --extra bench "${within[@]}"
compile requirements/bulk.lock --extra bulk --extra provenance "${within[@]}"
compile requirements/train.lock "${local[@]}" --extra train "${within[@]}"
compile requirements/export.lock --extra export --extra preprocessing --extra cpu "${within[@]}"
compile requirements/export-gpu.lock --extra export --extra preprocessing --extra gpu "${within[@]}"
compile requirements/triton-cpu.lock --extra preprocessing --extra cpu --extra triton-wheel "${within[@]}"
compile requirements/triton-gpu.lock --extra preprocessing "${within[@]}"
compile requirements/serve.lock --extra gateway --extra provenance --extra tracing --extra preprocessing --extra cpu --extra triton-wheel "${within[@]}"
compile requirements/gateway.lock --extra gateway --extra provenance --extra tracing "${within[@]}"
