"""Exact rewrites of a graph, but for rounding, which low precisions do less of afterwards.

Attention: one product of the three that give queries, keys and values.

    before   Q = (x Wq + bq) s, K = (x Wk + bk) s, V = x Wv + bv, each reshaped and transposed on its own
    after    x [Wq s^2, Wk, Wv] + [bq s^2, bk, bv], reshaped and transposed once, then split

s^2 is 1 / sqrt(head size), the scale of the dot products. One wide product keeps matrix units busier. An attention of
any other form stays as it is.

LayerNorm: what it multiplies and adds is folded into the products that follow it.

    ((x - mean) / std * gain + shift) W + b  =  ((x - mean) / std) (diag(gain) W) + (shift W + b)

int8 does not gain: without the gain the activations' range over all channels is wider in proportion
(docs/performance.md).
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from export.graph.index import BiasedProduct, GraphIndex, add_constant, permutation, remove_unused

_HEADS_FIRST = [0, 2, 1, 3]  # (N, tokens, heads, size) -> (N, heads, tokens, size)
_KEYS_TURNED = [0, 2, 3, 1]  # the same, each head's keys transposed


@dataclass(frozen=True)
class _Projection:
    """One of q, k and v: a product and bias, reshaped to heads, transposed and multiplied by a factor."""

    linear: BiasedProduct
    heads: int
    perm: list[int]
    factor: float

    @property
    def source(self) -> str:
        return str(self.linear.product.input[0])

    @property
    def width(self) -> int:
        return int(self.linear.weights.shape[1])


@dataclass(frozen=True)
class _Attention:
    """The two products of an attention and what goes into them."""

    scores: onnx.NodeProto
    mixture: onnx.NodeProto
    q: _Projection
    k: _Projection
    v: _Projection


def merge_attention(model: onnx.ModelProto) -> int:
    """Merges the projections of every attention of the known form, in place.

    Returns:
        How many were merged.
    """
    index = GraphIndex(model.graph)
    found = [_attention(index, node) for node in model.graph.node if node.op_type == "Softmax"]
    merged = [attention for attention in found if attention is not None]
    for number, attention in enumerate(merged):
        _merge(index, attention, f"attention_{number}")
    remove_unused(model.graph)
    return len(merged)


def _attention(index: GraphIndex, softmax: onnx.NodeProto) -> _Attention | None:
    scores = index.producer(softmax.input[0], "MatMul")
    takers = index.consumers(softmax.output[0])
    if scores is None or len(takers) != 1 or takers[0].op_type != "MatMul" or takers[0].input[0] != softmax.output[0]:
        return None
    q, k, v = (_projection(index, name) for name in (*scores.input, takers[0].input[1]))
    if q is None or k is None or v is None:
        return None
    alike = len({(p.source, p.width, p.heads) for p in (q, k, v)}) == 1
    turned = [q.perm, k.perm, v.perm] == [_HEADS_FIRST, _KEYS_TURNED, _HEADS_FIRST]
    return _Attention(scores, takers[0], q, k, v) if alike and turned else None


def _projection(index: GraphIndex, name: str) -> _Projection | None:
    factor = 1.0
    if scaled := index.producer(name, "Mul"):
        value = index.scalar(scaled.input[1])
        if value is None:
            return None
        name, factor = scaled.input[0], value
    transposed = index.producer(name, "Transpose")
    reshaped = index.producer(transposed.input[0], "Reshape") if transposed else None
    linear = index.biased_product(index.producer(reshaped.input[0])) if reshaped else None
    if transposed is None or reshaped is None or linear is None:
        return None
    heads = _heads(index, reshaped.input[1], linear.weights.shape[1])
    return _Projection(linear, heads, permutation(transposed), factor) if heads else None


def _heads(index: GraphIndex, shape: str, width: int) -> int:
    """The number of heads that a (N, tokens, width) tensor is reshaped to; 0 if it cannot be told."""
    values = index.constant(shape)
    if values is not None:
        last = [int(v) for v in values]
    else:
        joined = index.producer(shape, "Concat")
        parts = [index.scalar(name) for name in joined.input] if joined else []
        last = [0 if value is None else int(value) for value in parts]
    heads = last[2] if len(last) == 4 else 0
    known = heads > 0 and width % heads == 0 and last[3] in (-1, width // heads)
    return heads if known else 0


def _merge(index: GraphIndex, attention: _Attention, name: str) -> None:
    graph, q, k, v = index.graph, attention.q, attention.k, attention.v
    factors = (q.factor * k.factor, 1.0, v.factor)
    linears = [(projection.linear, factor) for projection, factor in zip((q, k, v), factors, strict=True)]
    weights = np.concatenate([linear.weights.astype(np.float64) * factor for linear, factor in linears], axis=1)
    bias = np.concatenate([linear.bias.astype(np.float64) * factor for linear, factor in linears])
    constants = [
        add_constant(graph, f"{name}_weights", weights.astype(np.float32)),
        add_constant(graph, f"{name}_bias", bias.astype(np.float32)),
        add_constant(graph, f"{name}_shape", np.array([0, 0, 3, q.heads, q.width // q.heads], np.int64)),
        add_constant(graph, f"{name}_axis", np.array([0], np.int64)),
    ]
    first = min(list(graph.node).index(projection.linear.product) for projection in (q, k, v))
    for offset, node in enumerate(_merged_nodes(q.source, name, constants)):
        graph.node.insert(first + offset, node)
    attention.scores.input[:] = [f"{name}_q", f"{name}_k_turned"]
    attention.mixture.input[1] = f"{name}_v"
    _join_heads(index, attention.mixture, q.width, f"{name}_joined")


def _merged_nodes(source: str, name: str, constants: list[str]) -> list[onnx.NodeProto]:
    weights, bias, shape, axis = constants
    return [
        helper.make_node("MatMul", [source, weights], [f"{name}_product"]),
        helper.make_node("Add", [f"{name}_product", bias], [f"{name}_qkv"]),
        helper.make_node("Reshape", [f"{name}_qkv", shape], [f"{name}_heads"]),
        helper.make_node("Transpose", [f"{name}_heads"], [f"{name}_heads_first"], perm=[2, 0, 3, 1, 4]),
        helper.make_node("Split", [f"{name}_heads_first"], [f"{name}_{i}" for i in range(3)], axis=0, num_outputs=3),
        *(helper.make_node("Squeeze", [f"{name}_{i}", axis], [f"{name}_{'qkv'[i]}"]) for i in range(3)),
        helper.make_node("Transpose", [f"{name}_k"], [f"{name}_k_turned"], perm=[0, 1, 3, 2]),
    ]


def _join_heads(index: GraphIndex, mixture: onnx.NodeProto, width: int, name: str) -> None:
    """Gives the heads' way back to (N, tokens, width) a constant shape, where it has a computed one."""
    takers = index.consumers(mixture.output[0])
    if len(takers) == 1 and takers[0].op_type == "Transpose" and permutation(takers[0]) == _HEADS_FIRST:
        for reshaped in index.consumers(takers[0].output[0]):
            if reshaped.op_type == "Reshape" and index.constant(reshaped.input[1]) is None:
                reshaped.input[1] = add_constant(index.graph, name, np.array([0, 0, width], np.int64))


def fold_layer_norms(model: onnx.ModelProto) -> int:
    """Folds every LayerNormalization of which nothing but products with constants is computed, in place.

    Returns:
        How many were folded.
    """
    index = GraphIndex(model.graph)
    found = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    folded = sum(_fold_norm(index, node, f"layer_norm_{number}") for number, node in enumerate(found))
    remove_unused(model.graph)
    return folded


def _fold_norm(index: GraphIndex, norm: onnx.NodeProto, name: str) -> bool:
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
