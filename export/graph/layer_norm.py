"""Folds what LayerNorm multiplies and adds into the products that follow it.

    ((x - mean) / std * gain + shift) W + b  =  ((x - mean) / std) (diag(gain) W) + (shift W + b)

It is exact but for rounding, and a low precision has two roundings less in each. int8 does not gain: without the gain
the activations' range over all channels is wider in proportion (docs/performance.md).
"""

import numpy as np
import onnx

from export.graph.index import BiasedProduct, GraphIndex, add_constant, remove_unused


def fold_layer_norms(model: onnx.ModelProto) -> int:
    """Folds every LayerNormalization of which nothing but products with constants is computed, in place.

    Returns:
        How many were folded.
    """
    index = GraphIndex(model.graph)
    found = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    folded = sum(_fold(index, node, f"layer_norm_{number}") for number, node in enumerate(found))
    remove_unused(model.graph)
    return folded


def _fold(index: GraphIndex, norm: onnx.NodeProto, name: str) -> bool:
    gain, shift = (index.constant(parameter) for parameter in norm.input[1:3]) if len(norm.input) == 3 else (None, None)
    takers = [node for node in index.consumers(norm.output[0]) if node.op_type != "Shape"]
    linears = [_linear(index, node, norm.output[0]) for node in takers]
    known = [linear for linear in linears if linear is not None]
    if gain is None or shift is None or gain.ndim != 1 or not known or len(known) < len(linears):
        return False
    for number, linear in enumerate(known):
        weights = linear.weights.astype(np.float64)
        scaled = (weights * gain[:, None]).astype(np.float32)
        moved = (linear.bias + shift.astype(np.float64) @ weights).astype(np.float32)
        linear.product.input[1] = add_constant(index.graph, f"{name}_weights_{number}", scaled)
        bias = add_constant(index.graph, f"{name}_bias_{number}", moved)
        linear.added.input[:] = [linear.product.output[0], bias]
    norm.input[1] = add_constant(index.graph, f"{name}_gain", np.ones_like(gain))
    norm.input[2] = add_constant(index.graph, f"{name}_shift", np.zeros_like(shift))
    return True


def _linear(index: GraphIndex, product: onnx.NodeProto, source: str) -> BiasedProduct | None:
    """`source @ weights + bias`, if a product is used for nothing else."""
    takers = index.consumers(product.output[0])
    if product.op_type != "MatMul" or product.input[0] != source or len(takers) != 1:
        return None
    return index.biased_product(takers[0])
