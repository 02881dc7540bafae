"""A face model as OpenVINO runs it, for less processor time than MediaPipe takes.

Everything around the model repeats MediaPipe's steps in its order and in float32. Scores then differ only by the
rounding of the two runtimes, and boxes are equal to the pixel (tests/preprocessing/test_face_parity.py).
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.face_detection.boxes import anchors, decode, merge_overlapping, to_pixels
from preprocessing.face_detection.model import FULL_RANGE_MODEL, SHORT_RANGE_MODEL, Face
from preprocessing.icc import ToSrgb
from runtime.openvino_core import openvino_core, shared_tensor

_LAYERS = {FULL_RANGE_MODEL: ((4, 1),), SHORT_RANGE_MODEL: ((8, 2), (16, 6))}
"""Of each model: stride in pixels and anchors a cell."""

_OPTIONS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "NUM_STREAMS": 1,
    "INFERENCE_NUM_THREADS": 1,
    "ENABLE_CPU_PINNING": False,  # a pinned thread would wait for whatever else runs on its core
}


class DirectModel:
    """See `FaceModel`. It uses one core."""

    def __init__(self, model: Path, min_score: float) -> None:
        """Loads it.

        Args:
            model: The .tflite file, under MediaPipe's name for it.
            min_score: Detections below this score (0-1) are dropped.

        Raises:
            FileNotFoundError: The model is missing.
        """
        compiled = openvino_core().compile_model(model.resolve(strict=True), "CPU", _OPTIONS)
        self._side_px = int(compiled.input().shape[1])
        self._input = np.zeros((1, self._side_px, self._side_px, 3), np.float32)
        self._request = compiled.create_infer_request()
        self._request.set_input_tensor(shared_tensor(self._input))
        of_length = {int(output.shape[-1]): index for index, output in enumerate(compiled.outputs)}
        self._boxes, self._scores = (self._request.get_output_tensor(of_length[n]).data[0] for n in (16, 1))
        self._anchors = anchors(self._side_px, _LAYERS[model.name])
        self._min_score = np.float32(min_score)

    def faces(self, pixels: NDArray[np.uint8], profile: ToSrgb | None = None) -> list[Face]:
        """See `FaceModel.faces`."""
        if profile is not None:
            pixels = _converted_where_read(pixels, self._side_px, profile)
        np.multiply(_letterbox(pixels, self._side_px), np.float32(2 / 255), out=self._input[0])
        np.subtract(self._input, np.float32(1), out=self._input)
        self._request.infer()
        corners, scores = decode(self._boxes, self._scores[:, 0], self._anchors, self._side_px, self._min_score)
        height_px, width_px = pixels.shape[:2]
        return [
            Face(to_pixels(box, width_px, height_px), float(score)) for box, score in merge_overlapping(corners, scores)
        ]

    def close(self) -> None:
        """See `FaceModel.close`."""
        self._request = None


def _letterbox(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8: the whole image, scaled to fit into the middle of a black square.

    MediaPipe warps by perspective. A plain resize, or an affine warp, rounds otherwise.
    """
    height, width = pixels.shape[:2]
    half = max(height, width) / 2
    left, top, right, bottom = width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half
    square = np.array([(left, bottom), (left, top), (right, top), (right, bottom)], np.float32)
    wanted = np.array([(0, side_px), (0, 0), (side_px, 0), (side_px, side_px)], np.float32)
    warp = cv2.getPerspectiveTransform(square, wanted)
    return np.asarray(cv2.warpPerspective(pixels, warp, (side_px, side_px), flags=cv2.INTER_LINEAR), np.uint8)


def _converted_where_read(pixels: NDArray[np.uint8], side_px: int, profile: ToSrgb) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: sRGB in the rows and columns that `_letterbox` reads, and nothing in particular elsewhere."""
    longer = max(pixels.shape[:2])
    places = []
    for length in pixels.shape[:2]:
        first = np.floor(np.arange(side_px) * (longer / side_px) + (length - longer) / 2).astype(int)
        read = np.union1d(first, first + 1)
        places.append(read[(read >= 0) & (read < length)])
    where = np.ix_(*places)
    converted = np.empty_like(pixels)
    converted[where] = profile.converted(pixels[where])
    return converted
