"""Merging attention's products and folding LayerNorm: other operators, the same logits."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import AutoModelForImageClassification

from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import load_checkpoint
from export.graph.onnx_export import export_logits_graph
from export.graph.rewrites import fold_layer_norms, merge_attention
from tests.export import checkpoints


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def logits(model: onnx.ModelProto, count: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = [side if isinstance(side, int) else 48 for side in session.get_inputs()[0].shape[2:]]
    pixels = np.random.default_rng(count).normal(size=(count, 3, *shape)).astype(np.float32)
    return session.run(["logits"], {"pixel_values": pixels})[0]


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def trained_looking(folder: Path) -> Path:
    """Gives LayerNorms and biases, which are ones and zeros at first, values that would show a mistake."""
    torch.manual_seed(4)
    model = AutoModelForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(torch.rand_like(parameter) - 0.3)
    model.save_pretrained(folder)
    return folder


def exported(checkpoint: Path, scratch: Path) -> onnx.ModelProto:
    return export_logits_graph(load_checkpoint(LocatedCheckpoint(checkpoint, checkpoint.name)), scratch)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("siglip")
    return exported(trained_looking(checkpoints.siglip(folder / "c", checkpoints.FAKE_REAL)), folder)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("vit")
    return exported(trained_looking(checkpoints.vit(folder / "c")), folder)


@pytest.mark.parametrize("architecture", ["siglip", "vit"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_merged_attention_gives_the_same_logits(
    architecture: str, count: int, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(architecture)
    merged = copy_of(model)
    assert merge_attention(merged) == 1
    onnx.checker.check_model(merged, full_check=True)
    assert operators(merged)["MatMul"] == operators(model)["MatMul"] - 2
    assert operators(merged)["Split"] == 1
    np.testing.assert_allclose(logits(merged, count), logits(model, count), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("first", [merge_attention, lambda _model: 0], ids=["merged", "as exported"])
def test_folded_layer_norms_give_the_same_logits(
    siglip: onnx.ModelProto, first: Callable[[onnx.ModelProto], int]
) -> None:
    folded = copy_of(siglip)
    first(folded)
    assert fold_layer_norms(folded) == 2  # the last one's mean is taken, not a product
    onnx.checker.check_model(folded, full_check=True)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in folded.graph.initializer}
    gains = [values[node.input[1]] for node in folded.graph.node if node.op_type == "LayerNormalization"]
    assert [bool((gain == 1).all()) for gain in gains] == [True, True, False]
    np.testing.assert_allclose(logits(folded, 2), logits(siglip, 2), rtol=1e-5, atol=1e-5)


def test_what_nothing_uses_any_more_is_gone(siglip: onnx.ModelProto) -> None:
    merged = copy_of(siglip)
    merge_attention(merged)
    fold_layer_norms(merged)
    used = {name for node in merged.graph.node for name in node.input}
    assert {tensor.name for tensor in merged.graph.initializer} <= used
    assert merged.ByteSize() < siglip.ByteSize() * 1.05


def _projection(model: onnx.ModelProto, which: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.op_type == "MatMul" and f"{which}_proj" in n.output[0])


def test_an_attention_over_another_source_stays_as_it_is(siglip: onnx.ModelProto) -> None:
    """Cross-attention: the keys come from elsewhere."""
    crossed = copy_of(siglip)
    keys = _projection(crossed, "k")
    norm = next(n for n in crossed.graph.node if n.output[0] == keys.input[0])
    keys.input[0] = norm.input[0]
    before = logits(crossed, 2)
    assert merge_attention(crossed) == 0
    assert np.array_equal(logits(crossed, 2), before)


def test_a_norm_that_something_else_reads_too_is_not_folded() -> None:
    rng = np.random.default_rng(0)
    values = {"gain": rng.random(4), "shift": rng.random(4), "weights": rng.random((4, 4)), "bias": rng.random(4)}
    nodes = [
        helper.make_node("LayerNormalization", ["pixel_values", "gain", "shift"], ["normed"]),
        helper.make_node("MatMul", ["normed", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["added"]),
        helper.make_node("Add", ["added", "normed"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["N", 3, 48, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3, 48, 4])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    before = logits(model, 3)
    assert fold_layer_norms(model) == 0
    assert np.array_equal(logits(model, 3), before)
