"""Types a graph for TensorRT: the body's matrix products in bf16 or fp16, everything else in fp32.

    before   MatMul(x, W)
    after    Cast to fp32(MatMul(Cast to bf16(x), W in bf16))

TensorRT takes the types from the graph: its networks are strongly typed, always so since version 11, and the switches
that let it choose a precision by itself are gone. What SigLIP2 loses accuracy in stays in fp32: LayerNorm, softmax,
residual sums, activation functions, the patch embedding and the head. Casts cost no pass of their own: TensorRT fuses
them into the operators beside them.
"""

import copy

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError
from export.graph.index import GraphIndex, remove_unused

_TYPES = {"bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16), "fp16": (TensorProto.FLOAT16, np.float16)}
_LOGITS = "logits"
_HEAD_STEPS = ("Add", "Reshape", "Squeeze", "Identity", "Flatten")


def type_products(model: onnx.ModelProto, number_format: str) -> onnx.ModelProto:
    """A copy of a served graph whose matrix products are computed in a low precision; inputs and outputs stay.

    Args:
        model: The served graph in fp32.
        number_format: `bf16` or `fp16`.

    Raises:
        ExportError: The graph has no matrix product outside its head, or a weight that the format cannot hold.
    """
    typed = copy.deepcopy(model)
    index = GraphIndex(typed.graph)
    products = [node for node in typed.graph.node if node.op_type == "MatMul" and not _is_head(index, node)]
    if not products:
        raise ExportError(f"{number_format} has nothing to offer for this model: it has no matrix products; take fp32")
    wanted = {node.output[0] for node in products}
    writer = _Writer(typed.graph, index, number_format)
    for node in typed.graph.node:
        if node.output[0] in wanted:
            writer.add_product(node)
        else:
            writer.nodes.append(node)
    del typed.graph.node[:]
    typed.graph.node.extend(writer.nodes)
    remove_unused(typed.graph)
    return typed


def _is_head(index: GraphIndex, product: onnx.NodeProto) -> bool:
    """Whether the logits are made of a product by nothing but a sum with the bias and changes of shape."""
    name = product.output[0]
    while name != _LOGITS:
        takers = index.consumers(name)
        if len(takers) != 1 or takers[0].op_type not in _HEAD_STEPS:
            return False
        name = takers[0].output[0]
    return True


class _Writer:
    """Writes the nodes again in their order, each tensor and weight converted once."""

    def __init__(self, graph: onnx.GraphProto, index: GraphIndex, number_format: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = graph
        self._index = index
        self._format = number_format
        self._code, self._dtype = _TYPES[number_format]
        self._converted: dict[str, str] = {}

    def add_product(self, node: onnx.NodeProto) -> None:
        low = f"{node.output[0]}_{self._format}"
        inputs = [self._convert(name) for name in node.input]
        self.nodes.append(helper.make_node("MatMul", inputs, [low], name=node.name))
        self.nodes.append(helper.make_node("Cast", [low], [node.output[0]], to=TensorProto.FLOAT))

    def _convert(self, name: str) -> str:
        if name not in self._converted:
            self._converted[name] = f"{name}_as_{self._format}"
            values = self._index.constant(name)
            if values is None:
                self.nodes.append(helper.make_node("Cast", [name], [self._converted[name]], to=self._code))
            else:
                self._add_weight(name, np.asarray(values))
        return self._converted[name]

    def _add_weight(self, name: str, values: np.ndarray) -> None:  # type: ignore[type-arg]
        with np.errstate(over="ignore"):
            low = values.astype(self._dtype)
        if not np.isfinite(low.astype(np.float32)).all():
            raise ExportError(f"the weights {name} hold values that {self._format} cannot: take bf16 or fp32")
        self._graph.initializer.append(numpy_helper.from_array(low, self._converted[name]))
