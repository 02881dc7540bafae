"""fp16 for onnxruntime's CUDA provider: the whole body of a graph, but for what loses accuracy in it."""

import onnx
from onnx import TensorProto, helper

from export.errors import ExportError
from export.graph.index import GraphIndex, remove_unused

_SENSITIVE = ["LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "Clip", "Where", "Cast", "Sub"]
_PRODUCTS = ("Conv", "MatMul", "Gemm")


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in fp16, but for LayerNorm, softmax, and both ends with the product of each; inputs and outputs stay.

    The first product takes whole pixels. Probabilities near 0 or 1 need more digits than fp16 has.

    Args:
        model: The served graph in fp32; it is consumed.

    Raises:
        ExportError: The graph has no matrix product, or onnxruntime cannot convert it.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    nodes = model.graph.node
    products = [i for i, node in enumerate(nodes) if node.op_type in _PRODUCTS]
    if not products:
        raise ExportError("fp16 has nothing to offer for this model: it has no matrix products; take fp32")
    for i, node in enumerate(nodes):
        node.name = f"{node.op_type}_{i}"
    ends = [node.name for node in (*nodes[: products[0] + 1], *nodes[products[-1] :])]
    converted = convert_float_to_float16(model, keep_io_types=True, op_block_list=_SENSITIVE, node_block_list=ends)
    if not isinstance(converted, onnx.ModelProto):
        raise ExportError("onnxruntime could not convert the graph to fp16")
    # It adds the cast of a constant once for each operator that takes it, always under the same name.
    once = {node.output[0]: node for node in reversed(converted.graph.node)}
    del converted.graph.node[:]
    converted.graph.node.extend(reversed(once.values()))
    OnnxModel.graph_topological_sort(converted.graph)  # it adds its casts at the end
    _drop_round_trips(converted.graph)
    return converted


def _drop_round_trips(graph: onnx.GraphProto) -> None:
    """Removes casts from fp32 to fp16 and back: between two operators in fp32 they only round."""
    index = GraphIndex(graph)
    outputs = {output.name for output in graph.output}
    source: dict[str, str] = {}
    for node in graph.node:
        narrow = index.producer(node.input[0]) if _casts_to(node, TensorProto.FLOAT) else None
        if narrow is None or not _casts_to(narrow, TensorProto.FLOAT16):
            continue
        if node.output[0] in outputs:
            node.CopyFrom(helper.make_node("Identity", [narrow.input[0]], [node.output[0]], name=node.name))
        else:
            source[node.output[0]] = narrow.input[0]
    for node in graph.node:
        node.input[:] = [source.get(name, name) for name in node.input]
    remove_unused(graph)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return bool(node.op_type == "Cast" and node.attribute[0].i == kind)
