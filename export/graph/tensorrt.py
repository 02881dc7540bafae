"""TensorRT: its own plans, and the engines that onnxruntime builds through it.

A plan is built from a typed ONNX graph on the GPU that will serve it, which takes minutes. Engines are built at the
first run, which takes as long, so they are kept on disk. An engine belongs to a GPU, a driver, a TensorRT and a graph:
each of these combinations has a folder of its own, so that none is taken for another. The gate, `load_classifier` and
Triton use the same settings.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from export.errors import ExportError, GpuError
from export.target import Target
from runtime import BatchProfile

_WORKSPACE_BYTES = 4 * 2**30
_KEY_DIGITS = 16


def build_plan(graph: Path, plan: Path, size_px: int, profiles: Sequence[BatchProfile], trt: Any) -> None:
    """Builds a plan.

    Args:
        graph: ONNX file; its types are the plan's.
        plan: File to write.
        size_px: Side of the classifier's input.
        profiles: Batches it takes.
        trt: The module tensorrt, 10 or 11.

    Raises:
        ExportError: TensorRT refuses the graph, or cannot build it on this GPU.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    try:
        builder = trt.Builder(logger)
    except (RuntimeError, TypeError) as error:  # TypeError: the factory gives nothing where CUDA does not start
        raise ExportError(f"TensorRT cannot start on this GPU: {error}") from error
    # Strongly typed: the types are the graph's. TensorRT 11 knows nothing else, 10 has to be told.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ExportError(f"TensorRT does not take the graph: {reasons or 'it gives no reason'}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    # TF32 has ten bits of mantissa: what is typed fp32 shall be fp32.
    config.clear_flag(trt.BuilderFlag.TF32)
    for batches in profiles:
        profile = builder.create_optimization_profile()
        smallest, largest = profile_shapes(batches.smallest, size_px), profile_shapes(batches.largest, size_px)
        for name in smallest:
            profile.set_shape(name, smallest[name], largest[name], largest[name])
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"TensorRT does not take batches of {batches.smallest} to {batches.largest}")
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise ExportError("TensorRT could not build the plan on this GPU: its messages are above")
    plan.write_bytes(memoryview(serialized))


def profile_shapes(batch: int, size_px: int) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes for a batch."""
    return {"PIXELS": (batch, size_px, size_px, 3), "STATUS": (batch, 1)}


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
    parts = {"machine": asdict(target.built_on), "graph": _graph_sha256(graph), "settings": shapes}
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    folder = target.engine_cache / key[:_KEY_DIGITS]
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
