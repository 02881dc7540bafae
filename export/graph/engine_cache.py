"""Onnxruntime through TensorRT: its engines are built at the first run, for minutes, so they are kept on disk.

An engine belongs to a GPU, a driver, a TensorRT and a graph: a folder of its own for each of these, so that none is
ever taken for another one. The same settings are used by the gate, by `load_classifier` and by Triton.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from export.errors import GpuError
from export.graph.tensorrt_plan import profile_shapes
from export.target import Target
from runtime import BuiltOn

_KEY_DIGITS = 16


def cache_key(machine: BuiltOn, graph_sha256: str, settings: dict[str, str]) -> str:
    """Names what an engine belongs to: 16 hexadecimal digits.

    Args:
        machine: GPU, driver and TensorRT.
        graph_sha256: Of the graph and its weights.
        settings: Everything else that decides what the engine is: its shapes.
    """
    parts = {"machine": asdict(machine), "graph": graph_sha256, "settings": settings}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_KEY_DIGITS]


def provider_options(target: Target, graph: Path, size_px: int) -> dict[str, str]:
    """Settings of onnxruntime's TensorRT provider, by its names, which are those of Triton's config too.

    Args:
        target: What the graph is written for.
        graph: The graph's file.
        size_px: Side of the classifier's input.

    Raises:
        GpuError: The cache cannot be written.
    """
    if target.built_on is None:
        raise GpuError("engines belong to a GPU, and this target names none")
    batches = {"min": 1, "opt": target.preferred_batch, "max": target.largest_batch}
    shapes = {f"trt_profile_{name}_shapes": _written(profile_shapes(n, size_px)) for name, n in batches.items()}
    key = cache_key(target.built_on, _graph_sha256(graph), shapes)
    folder = target.engine_cache / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GpuError(
            f"the engine cache {target.engine_cache} cannot be written ({error.strerror}): set --engine-cache to a "
            "folder that this machine and Triton's container both see under that name"
        ) from error
    return {
        **shapes,
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }


def _graph_sha256(graph: Path) -> str:
    """Over the graph's file, and that of its weights where they lie beside it."""
    digest = hashlib.sha256()
    for path in sorted(graph.parent.glob(f"{graph.name}*")):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _written(shapes: dict[str, tuple[int, ...]]) -> str:
    """As in `PIXELS:8x224x224x3,STATUS:8x1`."""
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
