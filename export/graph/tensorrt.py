"""Builds TensorRT's plan from a typed ONNX graph, on the GPU that will serve it. This takes minutes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import ExportError
from runtime import BatchProfile

_WORKSPACE_BYTES = 4 * 2**30


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
        smallest, largest = _profile_shapes(batches.smallest, size_px), _profile_shapes(batches.largest, size_px)
        for name in smallest:
            profile.set_shape(name, smallest[name], largest[name], largest[name])
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"TensorRT does not take batches of {batches.smallest} to {batches.largest}")
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise ExportError("TensorRT could not build the plan on this GPU: its messages are above")
    plan.write_bytes(memoryview(serialized))


def _profile_shapes(batch: int, size_px: int) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes for a batch."""
    return {"PIXELS": (batch, size_px, size_px, 3), "STATUS": (batch, 1)}
