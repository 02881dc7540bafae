"""Typing a graph for TensorRT: products in a low precision, everything that is sensitive in fp32."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.checkpoint.hub import locate_checkpoint
from export.errors import ExportError
from export.graph.mixed_precision import type_products
from export.run import export_checkpoint
from export.settings import ExportSettings
from tests.export import checkpoints

LOW = {"bf16": TensorProto.BFLOAT16, "fp16": TensorProto.FLOAT16}
SENSITIVE = ("LayerNormalization", "Softmax", "Conv", "Gemm", "Sub", "ReduceSum", "Where", "Tanh", "Mul", "Add")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A small SigLIP's served graph in fp32."""
    folder = tmp_path_factory.mktemp("typed")
    checkpoint = checkpoints.siglip(folder / "checkpoint", {0: "Fake", 1: "Real"})
    release = export_checkpoint(locate_checkpoint(str(checkpoint)), ExportSettings(folder / "r", parity_images=8))
    return onnx.load(str(release.repository / "classifier" / "1" / "model.onnx"))


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    found = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input, *inferred.output)}
    return found | {t.name: t.data_type for t in inferred.initializer}


@pytest.mark.parametrize("number_format", ["bf16", "fp16"])
def test_products_are_low_and_what_is_sensitive_is_not(number_format: str, graph: onnx.ModelProto) -> None:
    typed = type_products(graph, number_format)
    onnx.checker.check_model(typed, full_check=True)
    types = types_of(typed)
    products = [node for node in typed.graph.node if node.op_type == "MatMul"]
    assert len(products) == 6  # of one layer: qkv, scores, mixture, output, and the two of its perceptron
    for node in products:
        assert {types[name] for name in (*node.input, *node.output)} == {LOW[number_format]}
    for node in typed.graph.node:
        if node.op_type in SENSITIVE:
            assert LOW[number_format] not in {types.get(name) for name in (*node.input, *node.output)}, node.op_type
    assert [(i.name, i.type.tensor_type.elem_type) for i in typed.graph.input] == [("PIXELS", 2), ("STATUS", 6)]
    assert {types[o.name] for o in typed.graph.output} == {TensorProto.FLOAT, TensorProto.INT32}


def test_weights_are_stored_once_and_rounded_to_nearest(graph: onnx.ModelProto) -> None:
    typed = type_products(graph, "bf16")
    low = [t for t in typed.graph.initializer if t.data_type == TensorProto.BFLOAT16]
    assert not {t.name.removesuffix("_as_bf16") for t in low} & {t.name for t in typed.graph.initializer}
    full = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}
    assert len(low) == 4
    for tensor in low:
        exact = full[tensor.name.removesuffix("_as_bf16")]
        rounded = numpy_helper.to_array(tensor).astype(np.float32)
        assert np.abs(rounded - exact).max() <= np.abs(exact).max() * 2**-8
        assert np.abs(rounded - exact).max() > 0
    repeated = [name for name, n in Counter(t.name for t in typed.graph.initializer).items() if n > 1]
    assert repeated == []


def test_the_given_graph_stays_as_it_is(graph: onnx.ModelProto) -> None:
    before = graph.SerializeToString(deterministic=True)
    type_products(graph, "fp16")
    assert graph.SerializeToString(deterministic=True) == before


def test_it_computes_nearly_the_same(graph: onnx.ModelProto) -> None:
    """In fp16 by onnxruntime; it has no bf16 product on a CPU, so that is left to the ONNX reference."""
    feed = {
        "PIXELS": np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8),
        "STATUS": np.array([[0], [6], [0], [0]], np.int32),
    }
    expected = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, feed)
    half = onnxruntime.InferenceSession(type_products(graph, "fp16").SerializeToString()).run(None, feed)
    brain = ReferenceEvaluator(type_products(graph, "bf16")).run(None, feed)
    for answer, limit in ((half, 5e-3), (brain, 0.1)):
        assert np.isnan(answer[0][1]).all()
        drift = np.abs(answer[0] - expected[0])[[0, 2, 3]].max()
        assert 1e-7 < drift < limit
        np.testing.assert_array_equal(answer[2], expected[2])


def test_a_model_without_products_is_told_to_take_fp32(tmp_path: Path) -> None:
    checkpoint = checkpoints.resnet(tmp_path / "checkpoint")
    release = export_checkpoint(
        locate_checkpoint(str(checkpoint)), ExportSettings(tmp_path / "releases", parity_images=8)
    )
    with pytest.raises(ExportError, match="bf16 has nothing to offer for this model"):
        type_products(onnx.load(str(release.repository / "classifier" / "1" / "model.onnx")), "bf16")


def test_weights_that_fp16_cannot_hold_are_refused(graph: onnx.ModelProto) -> None:
    large = onnx.ModelProto()
    large.CopyFrom(graph)
    index = next(i for i, t in enumerate(large.graph.initializer) if t.name.startswith("layer_norm_0_weights"))
    values = numpy_helper.to_array(large.graph.initializer[index]).copy()
    values[0, 0] = 1e5
    large.graph.initializer[index].CopyFrom(numpy_helper.from_array(values, large.graph.initializer[index].name))
    with pytest.raises(ExportError, match="hold values that fp16 cannot"):
        type_products(large, "fp16")
    type_products(large, "bf16")
