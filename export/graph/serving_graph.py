"""Turns the logits graph into the served one: uint8 pixels and a status in, probabilities and an id out.

    PIXELS uint8 (N, S, S, 3) -> float, centred by -128 -> patch embedding with the normalisation folded in -> ...
    ... -> logits -> softmax or sigmoid -> PROBABILITIES, FAKE_PROBABILITY, NaN where STATUS is not 0
    EXPORT_ID constant

Folding: the processor computes g_c x + s_c per channel. With x = c + 128, an unpadded convolution W, b gives
    W' = W g_c                      b' = b + sum(W (128 g_c + s_c))
over its kernel and channels, computed in float64. Centring keeps low precisions accurate at no cost. Where the first
operator is no such convolution, the same affine map stays as two operators of its own. A model whose channels are blue,
green and red has its kernels turned, or its pixels.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.checkpoint.head import Head
from export.checkpoint.load import Checkpoint
from export.checkpoint.processor import Normalisation
from export.errors import ExportError
from export.graph.index import GraphIndex, add_constant

_CENTRE = 128.0


def build_serving_graph(logits_model: onnx.ModelProto, checkpoint: Checkpoint) -> onnx.ModelProto:
    """Builds the served graph, its EXPORT_ID still 0; the given model is consumed.

    Raises:
        ExportError: The graph has other inputs or outputs than pixel_values and logits.
    """
    model, graph = logits_model, logits_model.graph
    if [i.name for i in graph.input] != ["pixel_values"] or "logits" not in [o.name for o in graph.output]:
        raise ExportError("the exported graph is not of the form pixel_values -> logits")
    _inline_identities(graph)
    _drop_input_casts(graph)
    _name_global_pools(graph, checkpoint.resize.size_px)
    size_px, info = checkpoint.resize.size_px, helper.make_tensor_value_info
    del graph.input[:]
    del graph.output[:]
    graph.input.append(info("PIXELS", TensorProto.UINT8, ["N", size_px, size_px, 3]))
    graph.input.append(info("STATUS", TensorProto.INT32, ["N", 1]))
    graph.output.append(info("FAKE_PROBABILITY", TensorProto.FLOAT, ["N", 1]))
    graph.output.append(info("PROBABILITIES", TensorProto.FLOAT, ["N", len(checkpoint.head.labels)]))
    graph.output.append(info("EXPORT_ID", TensorProto.INT32, ["N", 1]))
    entry = _pixel_nodes(graph, checkpoint.normalisation)
    body = list(graph.node)
    del graph.node[:]
    graph.node.extend(entry + body + _head_nodes(graph, checkpoint.head))
    graph.name = "deepfake_classifier"
    model.producer_name = "deepfake-export"
    del graph.value_info[:]
    try:
        onnx.checker.check_model(model, full_check=False)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the serving graph is invalid: {error}") from error
    return model


def with_export_id(model: onnx.ModelProto, export_id: int) -> onnx.ModelProto:
    """Gives a served graph another EXPORT_ID, in place."""
    for tensor in model.graph.initializer:
        if tensor.name == "export_id":
            tensor.CopyFrom(numpy_helper.from_array(np.array([[export_id]], np.int32), "export_id"))
    return model


def _inline_identities(graph: onnx.GraphProto) -> None:
    """Removes the Identity nodes by which the export shares equal weights, so that consumers name the constants."""
    constants = {tensor.name for tensor in graph.initializer}
    source: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Identity" and source.get(node.input[0], node.input[0]) in constants:
            source[node.output[0]] = source.get(node.input[0], node.input[0])
    _replace_tensors(graph, source)


def _drop_input_casts(graph: onnx.GraphProto) -> None:
    """Removes casts of pixel_values to the type it has: the model's `.to(dtype)`."""
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] == "pixel_values"]
    same = [node for node in casts if helper.get_attribute_value(node.attribute[0]) == TensorProto.FLOAT]
    _replace_tensors(graph, {node.output[0]: "pixel_values" for node in same})


def _name_global_pools(graph: onnx.GraphProto, size_px: int) -> None:
    """Makes a pool larger than the picture (EfficientNet's last) the global one that it is, which OpenVINO takes."""
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        whole = node.op_type == "AveragePool" and min(attributes["kernel_shape"]) >= size_px
        if whole and not any(attributes.get("pads", [])):
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]


def _replace_tensors(graph: onnx.GraphProto, source: dict[str, str]) -> None:
    """Has nodes take other tensors in place of these, and removes the nodes that make these."""
    kept = [node for node in graph.node if node.output[0] not in source]
    for node in kept:
        node.input[:] = [source.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend(kept)


def _pixel_nodes(graph: onnx.GraphProto, normalisation: Normalisation) -> list[onnx.NodeProto]:
    """Nodes from PIXELS to `pixel_values`; folds the normalisation where that is exact."""
    centre = add_constant(graph, "pixel_centre", np.array(_CENTRE, np.float32))
    nodes = [
        helper.make_node("Cast", ["PIXELS"], ["pixels_float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels_float", centre], ["pixels_centred"]),
    ]
    scale = np.array(normalisation.gain)
    offset = _CENTRE * scale + np.array(normalisation.shift)
    index = GraphIndex(graph)
    convolution = _foldable_convolution(index)
    if convolution is not None:
        _fold(index, convolution, scale, offset, bgr=normalisation.bgr)
        return [*nodes, helper.make_node("Transpose", ["pixels_centred"], ["pixel_values"], perm=[0, 3, 1, 2])]
    centred = "pixels_centred"
    if normalisation.bgr:
        order, centred = add_constant(graph, "channel_order", np.array([2, 1, 0], np.int64)), "pixels_bgr"
        nodes.append(helper.make_node("Gather", ["pixels_centred", order], [centred], axis=3))
    gain = add_constant(graph, "pixel_gain", scale.astype(np.float32))
    shift = add_constant(graph, "pixel_shift", offset.astype(np.float32))
    return [
        *nodes,
        helper.make_node("Mul", [centred, gain], ["pixels_scaled"]),
        helper.make_node("Add", ["pixels_scaled", shift], ["pixels_normalised"]),
        helper.make_node("Transpose", ["pixels_normalised"], ["pixel_values"], perm=[0, 3, 1, 2]),
    ]


def _foldable_convolution(index: GraphIndex) -> onnx.NodeProto | None:
    """The one consumer of pixel_values, if it is an unpadded convolution over three channels with constant weights."""
    consumers = index.consumers("pixel_values")
    if len(consumers) != 1 or consumers[0].op_type != "Conv":
        return None
    node = consumers[0]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    padded = any(attributes.get("pads", [])) or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    parameters = [index.constant(name) for name in node.input[1:]]
    if padded or attributes.get("group", 1) != 1 or any(values is None for values in parameters):
        return None
    return node if parameters[0] is not None and parameters[0].shape[1] == 3 else None


def _fold(
    index: GraphIndex, node: onnx.NodeProto, scale: NDArray[np.float64], offset: NDArray[np.float64], *, bgr: bool
) -> None:
    weights, *biases = (np.asarray(index.constant(name), np.float64) for name in node.input[1:])
    bias = sum(biases) + (weights * offset[None, :, None, None]).sum(axis=(1, 2, 3))
    weights = (weights * scale[None, :, None, None])[:, :: -1 if bgr else 1]
    node.input[1:] = [
        add_constant(index.graph, "patch_weights_folded", weights.astype(np.float32)),
        add_constant(index.graph, "patch_bias_folded", bias.astype(np.float32)),
    ]


def _head_nodes(graph: onnx.GraphProto, head: Head) -> list[onnx.NodeProto]:
    fake = add_constant(graph, "fake_indices", np.array(head.fake_indices, np.int64))
    zero_status = add_constant(graph, "status_ok", np.array(0, np.int32))
    nan = add_constant(graph, "not_scored", np.array(np.nan, np.float32))
    one = add_constant(graph, "probability_max", np.array(1.0, np.float32))
    zero = add_constant(graph, "probability_min", np.array(0.0, np.float32))
    class_axis = add_constant(graph, "class_axis", np.array([1], np.int64))
    export_id = add_constant(graph, "export_id", np.zeros((1, 1), np.int32))
    together = "ReduceMax" if head.activation == "sigmoid" else "ReduceSum"
    return [
        *_probability_nodes(head),
        helper.make_node("Gather", ["probabilities", fake], ["probabilities_fake"], axis=1),
        helper.make_node(together, ["probabilities_fake", class_axis], ["fake_together"], keepdims=1),
        helper.make_node("Clip", ["fake_together", zero, one], ["fake_clipped"]),
        helper.make_node("Equal", ["STATUS", zero_status], ["is_ok"]),
        helper.make_node("Where", ["is_ok", "fake_clipped", nan], ["FAKE_PROBABILITY"]),
        helper.make_node("Where", ["is_ok", "probabilities", nan], ["PROBABILITIES"]),
        helper.make_node("Shape", ["STATUS"], ["status_shape"]),
        helper.make_node("Expand", [export_id, "status_shape"], ["EXPORT_ID"]),
    ]


def _probability_nodes(head: Head) -> list[onnx.NodeProto]:
    """From `logits` to `probabilities`."""
    if head.activation == "sigmoid":
        return [helper.make_node("Sigmoid", ["logits"], ["probabilities"])]
    if head.outputs > 1:
        return [helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)]
    return [  # the softmax of z and 0 is the sigmoid of z and -z
        helper.make_node("Neg", ["logits"], ["logits_negated"]),
        helper.make_node("Concat", ["logits", "logits_negated"], ["logits_of_both"], axis=1),
        helper.make_node("Sigmoid", ["logits_of_both"], ["probabilities"]),
    ]
