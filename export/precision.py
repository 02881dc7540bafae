"""The numeric formats an export may have: what each promises, and how its graph is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.errors import ExportError
from export.graph.engine_cache import provider_options
from export.graph.int8 import Int8Recipe, write_int8
from export.graph.layer_norm import fold_layer_norms
from export.graph.mixed_precision import type_products
from export.graph.tensorrt_plan import build_plan
from export.target import TENSORRT, Target
from runtime import GRAPH_FILE, PLAN_FILE, RuntimeSpec, batch_profiles

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

_GPU_BATCH_DP = {"fp32": 1e-5}
_GPU_LOW_BATCH_DP = 2e-3
"""Room between batches on a GPU, where each size has kernels of its own, which add in another order and so round
elsewhere. Declared like the others: before anybody measured it."""


def tolerance_of(precision: str, *, gpu: bool) -> Tolerance:
    """What a precision promises on a CPU or on a GPU."""
    promised = TOLERANCES[precision]
    if not gpu:
        return promised
    room = _GPU_BATCH_DP.get(precision, _GPU_LOW_BATCH_DP)
    return replace(promised, max_batch_dp=max(promised.max_batch_dp, room))


@dataclass(frozen=True)
class Variant:
    """One way to write the classifier: a precision, for int8 how it is made, and TensorRT where that takes part."""

    precision: str
    recipe: Int8Recipe | None = None
    target: str = ""

    @property
    def name(self) -> str:
        """For progress and reports, and part of what the EXPORT_ID names."""
        how = self.recipe.value if self.recipe else self.target
        return f"{self.precision} ({how})" if how else self.precision


def variants_of(precision: str, runtime: str, accelerator: str = "") -> list[list[Variant]]:
    """The variants to try: one list per precision, of which the first that passes the gate counts.

    Args:
        precision: One of `PRECISIONS`, or `AUTO`.
        runtime: See `Target`, as for `accelerator`.
        accelerator: Likewise.

    Raises:
        ExportError: This runtime has no such precision.
    """
    target = Target(runtime, accelerator)
    if target.has_tensorrt:
        return _tensorrt_variants(precision, target)
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


def _tensorrt_variants(precision: str, target: Target) -> list[list[Variant]]:
    offered = ("bf16", "fp16", "fp32") if target.runtime == TENSORRT else ("bf16", "fp16")
    if precision == AUTO:
        return [[Variant(name, target=target.label)] for name in offered]
    if precision in offered:
        return [[Variant(precision, target=target.label)]]
    advice = "int8 is for the python backend"
    if precision == "fp32":
        advice = "its fp32 would be TF32; exact fp32 is for --backend tensorrt, or for onnxruntime with --gpu alone"
    raise ExportError(f"{target.label} takes {', '.join(offered)} or auto, not {precision}: {advice}")


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
        folded = onnx.ModelProto()
        folded.CopyFrom(graph)
        fold_layer_norms(folded)
        graph = folded
    if target.has_tensorrt and variant.precision != "fp32":
        graph = type_products(graph, variant.precision)
    elif target.runtime == "onnxruntime" and variant.precision == "fp16":
        graph = _half(graph)
    large = graph.ByteSize() > _EXTERNAL_DATA_BYTES
    onnx.save_model(graph, str(path), save_as_external_data=large, location=f"{GRAPH_FILE}.data")
    if variant.recipe is None:
        _write_spec(folder, path, variant, target)
        return
    write_int8(folder, path, variant.recipe, calibration())
    _remove_graph(folder)


def _write_spec(folder: Path, graph: Path, variant: Variant, target: Target) -> None:
    """Writes runtime.json; for TensorRT's own backend also the plan, which takes the graph's place."""
    spec = RuntimeSpec(runtime=target.runtime, computed_in=variant.precision, accelerator=target.accelerator)
    if target.has_tensorrt:
        spec = replace(spec, built_on=target.built_on)
        size_px = _size_px(graph)
        if target.runtime == TENSORRT:
            import tensorrt

            profiles = batch_profiles(target.preferred_batch, target.largest_batch)
            build_plan(graph, folder / PLAN_FILE, size_px, profiles, tensorrt)
            _remove_graph(folder)
            spec = replace(spec, graph=PLAN_FILE)
        else:
            spec = replace(spec, provider_options=provider_options(target, graph, size_px))
    elif target.gpu and variant.precision == "fp32":
        spec = replace(spec, provider_options={"use_tf32": "0"})  # CUDA's own default keeps ten bits of mantissa
    spec.save(folder)


def _size_px(graph: Path) -> int:
    model = onnx.load(str(graph), load_external_data=False)
    return int(next(i for i in model.graph.input if i.name == "PIXELS").type.tensor_type.shape.dim[1].dim_value)


def _remove_graph(folder: Path) -> None:
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
