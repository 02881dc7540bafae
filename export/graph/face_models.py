"""MediaPipe's face models as ONNX: `python -m export.graph.face_models FOLDER`, for runtimes that read no .tflite.

OpenVINO reads the files, whose weights are sparse, and each of its operations has one like it in ONNX. The graphs take
(N, side, side, 3) float32, RGB, -1 to 1, and give (N, anchors, 16) boxes and (N, anchors, 1) logits. tf2onnx needs
TensorFlow, and neither it nor tflite2onnx knows sparse weights.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import typer
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from assets import FACE_MODELS, fetch_assets
from export.errors import ExportError
from runtime.openvino_core import openvino_core

_OPSET, _IR_VERSION = 18, 9  # what onnxruntime 1.14 and TensorRT 8.6 read already


def face_model_to_onnx(model: Path) -> onnx.ModelProto:
    """One of the two models, for batches of any size.

    Args:
        model: The .tflite file.

    Raises:
        ExportError: It has an operation that is not known here.
    """
    source, graph = openvino_core().read_model(model), _Graph()
    for operation in source.get_ordered_ops():
        graph.add(operation)
    inputs = [_described(parameter.output(0)) for parameter in source.get_parameters()]
    outputs = [_described(result.input_value(0)) for result in source.get_results()]
    weights = [numpy_helper.from_array(values, name) for name, values in graph.weights.items()]
    made = helper.make_model(
        helper.make_graph(graph.nodes, model.stem, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


class _Graph:
    """The nodes and weights of the ONNX graph. Values are named by the operation they come from."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self._constants: dict[str, NDArray[Any]] = {}

    def add(self, operation: Any) -> None:
        """Adds an operation of OpenVINO. What depends on constants alone is computed at once."""
        kind, name = operation.get_type_name(), operation.get_friendly_name()
        inputs = [value.get_node().get_friendly_name() for value in operation.input_values()]
        constants = [self._constants[one] for one in inputs if one in self._constants]
        if kind == "Constant":
            self._constants[name] = np.array(operation.data)
        elif inputs and len(constants) == len(inputs):
            self._constants[name] = _computed(kind, constants)
        elif kind not in ("Parameter", "Result"):
            self._append_like(operation, kind, name, inputs, constants)

    def _append_like(
        self, operation: Any, kind: str, name: str, inputs: list[str], constants: list[NDArray[Any]]
    ) -> None:
        """Adds the node of an operation; all its constants follow its first input."""
        options = operation.get_attributes()
        if kind == "Add":
            self.weights |= {one: self._constants[one] for one in inputs if one in self._constants}
            self._append(kind, name, inputs)
        elif kind in ("Relu", "Concat"):
            self._append(kind, name, inputs, **options)
        elif kind == "Convert":
            self._append("Cast", name, inputs, to=TensorProto.FLOAT)
        elif kind == "Transpose":
            self._append(kind, name, inputs[:1], perm=constants[0].tolist())
        elif kind == "Pad":
            self._append(kind, name, inputs[:1], np.concatenate(constants[:2]))
        elif kind == "Reshape":
            self._append(kind, name, inputs[:1], np.array([0, *constants[0][1:]]))  # 0: the batch stays
        elif kind == "Interpolate":
            made, given = (
                np.array(list(shape), np.float32)
                for shape in (operation.get_output_shape(0), operation.get_input_shape(0))
            )
            self._append("Resize", name, [inputs[0], ""], made / given, mode="linear")
        elif kind == "DepthToSpace":
            self._append(kind, name, inputs, blocksize=options["block_size"], mode="DCR")
        elif kind == "MaxPool":
            self._append(kind, name, inputs, kernel_shape=options["kernel"], **_window(options))
        elif kind == "Convolution":
            self._append("Conv", name, inputs[:1], constants[0], **_window(options))
        elif kind == "GroupConvolution":
            groups, *shape = constants[0].shape
            weights = constants[0].reshape(groups * shape[0], *shape[1:])
            self._append("Conv", name, inputs[:1], weights, group=groups, **_window(options))
        else:
            raise ExportError(f"the face model has an operation {kind}, which is not known here")

    def _append(
        self, kind: str, name: str, inputs: list[str], weights: NDArray[Any] | None = None, **attributes: Any
    ) -> None:
        """Adds a node whose last input are the weights, where there are any."""
        if weights is not None:
            inputs = [*inputs, f"{name}.weights"]
            self.weights[inputs[-1]] = weights
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))


def _window(options: dict[str, Any]) -> dict[str, Any]:
    """Strides and padding of a convolution or pooling."""
    padding = {"auto_pad": options["auto_pad"].upper()}
    if options["auto_pad"] == "explicit":
        padding = {"pads": [*options["pads_begin"], *options["pads_end"]]}
    return {"strides": options["strides"], "dilations": options["dilations"], **padding}


def _computed(kind: str, values: list[NDArray[Any]]) -> NDArray[Any]:
    first, *others = values
    if kind == "Convert":
        return first.astype(np.float32)  # weights are stored in 16 bits
    if kind == "Unsqueeze":
        return np.expand_dims(first, tuple(others[0].tolist()))
    if kind == "Transpose":
        return first.transpose(others[0])
    if kind == "Reshape":
        return first.reshape([side or first.shape[i] for i, side in enumerate(others[0].tolist())])
    raise ExportError(f"the face model has an operation {kind} on constants, which is not known here")


def _described(value: Any) -> onnx.ValueInfoProto:
    name, shape = value.get_node().get_friendly_name(), list(value.get_shape())
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape[1:]])


def main(folder: Path) -> None:
    """Writes both models into a folder, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in fetch_assets(FACE_MODELS).values():
        onnx.save(face_model_to_onnx(path), folder / f"{path.stem}.onnx")


if __name__ == "__main__":
    typer.run(main)
