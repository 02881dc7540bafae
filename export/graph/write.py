"""Writes a classifier in a numeric format: its graph or plan, and how it is to be run."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graph.half import to_half
from export.graph.int8 import write_int8
from export.graph.mixed_precision import type_products
from export.graph.rewrites import fold_layer_norms
from export.graph.tensorrt import build_plan
from export.target import Target, Variant
from runtime import GRAPH_FILE, PLAN_FILE, RuntimeSpec, batch_profiles

_EXTERNAL_DATA_BYTES = 1_500_000_000  # protobuf files end at 2 GB; larger weights lie beside the graph


def write_variant(
    folder: Path,
    graph: onnx.ModelProto,
    variant: Variant,
    target: Target,
    calibration: Callable[[], Sequence[NDArray[np.uint8]]],
) -> None:
    """Writes a variant's graph or plan, and runtime.json.

    Args:
        folder: Where they are written.
        graph: The served graph in fp32.
        variant: What to write.
        target: Who will run it.
        calibration: Gives calibration images, (S, S, 3) uint8 RGB each; called only where they are needed.

    Raises:
        ExportError: The graph cannot be had in this precision.
    """
    path = folder / GRAPH_FILE
    if variant.recipe is None:
        graph = copy.deepcopy(graph)
        fold_layer_norms(graph)
    if target.is_tensorrt and variant.precision != "fp32":
        graph = type_products(graph, variant.precision)
    elif target.runtime == "onnxruntime" and variant.precision == "fp16":
        graph = to_half(graph)
    large = graph.ByteSize() > _EXTERNAL_DATA_BYTES
    onnx.save_model(graph, str(path), save_as_external_data=large, location=f"{GRAPH_FILE}.data")
    if variant.recipe is None:
        _write_spec(folder, path, graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value, variant, target)
    else:
        write_int8(folder, path, variant.recipe, calibration())
        _remove_graph(folder)


def _write_spec(folder: Path, graph: Path, size_px: int, variant: Variant, target: Target) -> None:
    """Writes runtime.json; for TensorRT also the plan, which takes the graph's place."""
    spec = RuntimeSpec(runtime=target.runtime, computed_in=variant.precision)
    if target.is_tensorrt:
        import tensorrt

        profiles = batch_profiles(target.preferred_batch, target.largest_batch)
        build_plan(graph, folder / PLAN_FILE, size_px, profiles, tensorrt)
        _remove_graph(folder)
        spec = replace(spec, graph=PLAN_FILE, built_on=target.built_on)
    elif target.gpu:
        # CUDA's own default keeps ten bits of mantissa, which is not fp32.
        spec = replace(spec, cuda=True, provider_options={"use_tf32": "0"} if variant.precision == "fp32" else {})
    spec.save(folder)


def _remove_graph(folder: Path) -> None:
    for written in folder.glob(f"{GRAPH_FILE}*"):
        written.unlink()
