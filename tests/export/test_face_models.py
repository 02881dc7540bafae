"""The face models as ONNX compute what the .tflite files compute."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest

from assets import FACE_MODELS, fetch_assets
from export.errors import ExportError
from export.graph.face_models import _Graph, face_model_to_onnx
from runtime.openvino_core import openvino_core
from tests.face_pictures import face_pictures


@pytest.mark.parametrize("model", fetch_assets(FACE_MODELS).values(), ids=lambda path: path.stem)
def test_onnxruntime_gives_what_the_tflite_file_gives(model: Path) -> None:
    session = onnxruntime.InferenceSession(face_model_to_onnx(model).SerializeToString())
    (given,) = session.get_inputs()
    reference = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    side_px = int(reference.input().shape[1])
    pictures = [np.resize(picture, (side_px, side_px, 3)) for picture in face_pictures(4)]
    batch = np.stack(pictures).astype(np.float32) / 127.5 - 1

    together = session.run(None, {given.name: batch})
    for number, one in enumerate(batch):
        expected = reference(one[None])
        for index, output in enumerate(together):
            assert output.shape[1:] == expected[index].shape[1:]
            np.testing.assert_allclose(output[number : number + 1], expected[index], atol=1e-4, rtol=1e-5)


def test_an_unknown_operation_is_named() -> None:
    parameter = openvino.opset13.parameter([1, 4], np.float32)
    with pytest.raises(ExportError, match="Erf"):
        _Graph().add(openvino.opset13.erf(parameter))


def test_the_command_writes_both(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "export.graph.face_models", str(tmp_path / "made")]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent.parent)
    names = {path.stem for path in fetch_assets(FACE_MODELS).values()}
    assert {path.stem for path in (tmp_path / "made").glob("*.onnx")} == names
