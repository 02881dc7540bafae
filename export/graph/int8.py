"""int8 variants of the served graph, made with NNCF for OpenVINO; what loses accuracy in int8 stays in bf16.

Measured on the full-size model (docs/performance.md): the products inside attention and its output projections carry
almost all of the drift, and the patch embedding and the head most of the rest. None of them takes much time.
"""

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError
from export.target import Int8Recipe
from runtime import RuntimeSpec
from runtime.openvino_classifier import computes_in
from runtime.openvino_core import openvino_core, signal_stack_restored

INT8_GRAPH = "model.xml"
_RESHAPING = frozenset({"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Convert"})


def write_int8(folder: Path, onnx_path: Path, recipe: Int8Recipe, images: Sequence[NDArray[np.uint8]]) -> None:
    """Writes the quantised graph and its runtime.json.

    Args:
        folder: Where they are written.
        onnx_path: The served graph in fp32.
        recipe: How to quantise.
        images: Calibration images, (S, S, 3) uint8 RGB each; only the static recipe looks at them.

    Raises:
        ExportError: The graph has no layer that may be quantised.
    """
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    model = openvino_core().read_model(onnx_path)
    kept = [node.get_friendly_name() for node in model.get_ordered_ops() if _stays(node)]
    if all(node.get_friendly_name() in kept for node in model.get_ordered_ops() if node.get_type_name() == "MatMul"):
        raise ExportError("no layer of this model may be quantised: int8 has nothing to offer here")
    scope = nncf.IgnoredScope(names=kept)
    group = 0
    with signal_stack_restored(), contextlib.redirect_stdout(io.StringIO()):  # progress bars
        if recipe is Int8Recipe.STATIC:
            feeds = [{"PIXELS": image[None], "STATUS": np.zeros((1, 1), np.int32)} for image in images]
            quantised = nncf.quantize(
                model,
                nncf.Dataset(feeds),
                subset_size=len(feeds),
                model_type=nncf.ModelType.TRANSFORMER,
                ignored_scope=scope,
                advanced_parameters=_plain_parameters(nncf),
            )
        else:
            quantised = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=scope)
            group = 128
    openvino.save_model(quantised, folder / INT8_GRAPH, compress_to_fp16=False)
    rest = "bf16" if computes_in("bf16") else "fp32"
    RuntimeSpec(computed_in=rest, graph=INT8_GRAPH, dynamic_quantisation_group=group).save(folder)


def _plain_parameters(nncf: Any) -> Any:
    """Without SmoothQuant, which raised the drift of a model without outlier channels; no activation is cut off."""
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    smooth_quant = nncf.AdvancedSmoothQuantParameters(matmul=-1, convolution=-1)
    return nncf.AdvancedQuantizationParameters(
        smooth_quant_alphas=smooth_quant,
        disable_bias_correction=True,
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )


def _stays(node: Any) -> bool:
    """Whether an operator is kept out of int8."""
    kind = node.get_type_name()
    if kind != "MatMul":
        return kind in ("Convolution", "GroupConvolution", "ReduceMean")
    return not _has_weights(node) or _projects_attention(node) or _is_head(node)


def _has_weights(node: Any) -> bool:
    return bool(_source(node.input_value(1).get_node()).get_type_name() == "Constant")


def _projects_attention(node: Any) -> bool:
    """Whether the input is the product of attention weights and values: a product of two computed tensors."""
    source = _source(node.input_value(0).get_node())
    return bool(source.get_type_name() == "MatMul") and not _has_weights(source)


def _is_head(node: Any) -> bool:
    """Whether nothing but the softmax and what follows it is computed from the product."""
    return not any(after.get_type_name() in ("MatMul", "Convolution", "MVN") for after in _after(node))


def _source(node: Any) -> Any:
    while node.get_type_name() in _RESHAPING:
        node = node.input_value(0).get_node()
    return node


def _after(node: Any) -> Iterator[Any]:
    waiting, seen = [node], set()
    while waiting:
        for output in waiting.pop().outputs():
            for target in output.get_target_inputs():
                follower = target.get_node()
                if follower.get_friendly_name() not in seen:
                    seen.add(follower.get_friendly_name())
                    waiting.append(follower)
                    yield follower
