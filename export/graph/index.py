"""An index of an ONNX graph: which node makes a tensor, which nodes take it, and what is constant."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


@dataclass(frozen=True)
class BiasedProduct:
    """`x @ weights + bias`, with both constant.

    Attributes:
        product: The MatMul of x.
        added: The Add of the bias.
        weights: (in, out) float.
        bias: (out,) float.
    """

    product: onnx.NodeProto
    added: onnx.NodeProto
    weights: NDArray[Any]
    bias: NDArray[Any]


class GraphIndex:
    """A graph's nodes by tensor name, as they were when it was built; build another after moving nodes."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Reads the graph once."""
        self.graph = graph
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {output: node for node in graph.node for output in node.output}
        self._consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._consumers[name].append(node)

    def producer(self, name: str, kind: str | None = None) -> onnx.NodeProto | None:
        """The node that makes a tensor, or None; None too if it is not of this kind."""
        node = self._producers.get(name)
        return node if node is not None and kind in (None, node.op_type) else None

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that take a tensor, once for every input."""
        return self._consumers[name]

    def constant(self, name: str) -> NDArray[Any] | None:
        """A tensor's values, if they are an initializer's or a Constant's; None otherwise."""
        tensor = self._initializers.get(name)
        node = self.producer(name, "Constant")
        if node is not None and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
        return np.asarray(numpy_helper.to_array(tensor)) if tensor is not None else None

    def scalar(self, name: str) -> float | None:
        """A constant of one element, or None."""
        values = self.constant(name)
        return float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None

    def biased_product(self, added: onnx.NodeProto | None) -> BiasedProduct | None:
        """What an Add is, if it is `x @ weights + bias` with constants."""
        if added is None or added.op_type != "Add":
            return None
        for product_name, bias_name in (tuple(added.input), tuple(added.input)[::-1]):
            product, bias = self.producer(product_name, "MatMul"), self.constant(bias_name)
            weights = self.constant(product.input[1]) if product else None
            if product is None or weights is None or bias is None:
                continue
            if weights.ndim == 2 and bias.shape == (weights.shape[1],):
                return BiasedProduct(product, added, weights, bias)
        return None


def permutation(node: onnx.NodeProto) -> list[int]:
    """The `perm` of a Transpose; empty if it has none."""
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])


def add_constant(graph: onnx.GraphProto, name: str, values: NDArray[Any]) -> str:
    """Adds an initializer and gives its name back."""
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    return name


def remove_unused(graph: onnx.GraphProto) -> None:
    """Removes nodes and initializers from which no output of the graph is computed."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
