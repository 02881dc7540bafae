"""The numeric formats an export may have: what each promises, and how its graph is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.errors import ExportError
from export.int8 import Int8Recipe, write_int8
from export.layer_norm import fold_layer_norms
from runtime import GRAPH_FILE, RuntimeSpec

AUTO = "auto"
"""Stands for the fastest precision that passes the gate on this machine."""

_EXTERNAL_DATA_BYTES = 1_500_000_000  # protobuf files end at 2 GB; larger weights lie beside the graph


@dataclass(frozen=True)
class Tolerance:
    """What a precision promises against PyTorch in fp32, declared before measuring.

    Attributes:
        max_dp: Largest |difference| of the fake probability of any image.
        mean_dp: Largest mean of the same.
        max_dlogit: Largest |difference| of the log-odds of fake: it bites where a saturated model's probabilities hide
            a drift.
        max_batch_dp: Largest |difference| of one image's probability between batches.
    """

    max_dp: float
    mean_dp: float
    max_dlogit: float
    max_batch_dp: float


TOLERANCES = {
    "fp32": Tolerance(max_dp=1e-5, mean_dp=1e-5, max_dlogit=1e-3, max_batch_dp=1e-6),
    "fp16": Tolerance(max_dp=0.002, mean_dp=0.001, max_dlogit=0.1, max_batch_dp=1e-3),
    "bf16": Tolerance(max_dp=0.007, mean_dp=0.003, max_dlogit=0.25, max_batch_dp=1e-3),
    "int8": Tolerance(max_dp=0.015, mean_dp=0.003, max_dlogit=0.5, max_batch_dp=1e-4),
}

PRECISIONS = tuple(TOLERANCES)


@dataclass(frozen=True)
class Variant:
    """One way to write the classifier: a precision and, for int8, how it is made."""

    precision: str
    recipe: Int8Recipe | None = None

    @property
    def name(self) -> str:
        """For progress and reports."""
        return f"{self.precision} ({self.recipe.value})" if self.recipe else self.precision


def variants_of(precision: str, runtime: str) -> list[list[Variant]]:
    """The variants to try: one list per precision, of which the first that passes the gate counts.

    Args:
        precision: One of `PRECISIONS`, or `AUTO`.
        runtime: `openvino` (the Python backend) or `onnxruntime` (NVIDIA's image).

    Raises:
        ExportError: This runtime has no such precision.
    """
    if runtime == "onnxruntime":
        if precision not in ("fp32", "fp16"):
            raise ExportError(
                f"the onnxruntime backend takes fp32 or fp16, not {precision}: bf16 and int8 are for the python backend"
            )
        return [[Variant(precision)]]
    int8 = [Variant("int8", recipe) for recipe in Int8Recipe]
    if precision == AUTO:
        return [int8, [Variant("bf16")], [Variant("fp32")]]
    return [int8 if precision == "int8" else [Variant(precision)]]


def write_variant(
    folder: Path,
    graph: onnx.ModelProto,
    variant: Variant,
    runtime: str,
    calibration: Callable[[], Sequence[NDArray[np.uint8]]],
) -> None:
    """Writes a variant's graph and runtime.json.

    Args:
        folder: Where they are written.
        graph: The served graph in fp32.
        variant: What to write.
        runtime: Which library will run it.
        calibration: Gives calibration images, (S, S, 3) uint8 RGB each; called only where they are needed.

    Raises:
        ExportError: The graph cannot be had in this precision.
    """
    path = folder / GRAPH_FILE
    if variant.recipe is None:
        folded = onnx.ModelProto()
        folded.CopyFrom(graph)
        fold_layer_norms(folded)
        graph = folded
    if variant.precision == "fp16" and runtime == "onnxruntime":
        graph = _half(graph)
    large = graph.ByteSize() > _EXTERNAL_DATA_BYTES
    onnx.save_model(graph, str(path), save_as_external_data=large, location=f"{GRAPH_FILE}.data")
    if variant.recipe is None:
        RuntimeSpec(runtime=runtime, computed_in=variant.precision).save(folder)
        return
    write_int8(folder, path, variant.recipe, calibration())
    for written in folder.glob(f"{GRAPH_FILE}*"):
        written.unlink()


def _half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """fp16, but for what loses accuracy in it: LayerNorm, softmax and the pixels' and the head's own arithmetic."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    sensitive = ["LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "Clip", "Where", "Cast", "Sub"]
    converted = convert_float_to_float16(copied, keep_io_types=True, op_block_list=sensitive)
    if not isinstance(converted, onnx.ModelProto):
        raise ExportError("onnxruntime could not convert the graph to fp16")
    # It adds the cast of a constant once for each operator that takes it, always under the same name.
    nodes = {node.output[0]: node for node in reversed(converted.graph.node)}
    del converted.graph.node[:]
    converted.graph.node.extend(reversed(nodes.values()))
    return converted
