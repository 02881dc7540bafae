"""Face detection with MediaPipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.crop import Box
from preprocessing.quiet import quiet_native_code

FULL_RANGE_MODEL = "face_detection_full_range_sparse.tflite"
SHORT_RANGE_MODEL = "face_detection_short_range.tflite"

_MIN_SIDE_PX = 16  # below this no face is found, and degenerate tensors are never built
_WARM_UP_PX = 64
_MAX_SIDE_PX = 16_384  # MediaPipe aborts the process at 32,767; longer images are searched in a reduced copy


@dataclass(frozen=True)
class Face:
    """A detected face: its box in pixels, clipped to the image, and the detector's score (0-1)."""

    box: Box
    score: float


class FaceFinder:
    """Finds faces with two MediaPipe models, loaded once and kept.

    The full-range model runs first (faces down to some 23 px in a 720p frame); it misses faces that fill the frame,
    so the short-range model runs when it found none. One finder belongs to one thread.
    """

    def __init__(self, models_dir: Path, min_score: float = 0.5) -> None:
        """Loads both models.

        Args:
            models_dir: Folder with the two .tflite files.
            min_score: Detections below this score (0-1) are dropped.

        Raises:
            FileNotFoundError: A model file is missing.
        """
        with quiet_native_code():
            self._detectors = [
                _create_detector(models_dir / name, min_score) for name in (FULL_RANGE_MODEL, SHORT_RANGE_MODEL)
            ]
            self.faces(np.zeros((_WARM_UP_PX, _WARM_UP_PX, 3), np.uint8))  # the first search says something too

    def largest_face(self, pixels: NDArray[np.uint8]) -> Face | None:
        """The first of `faces`, or None."""
        return next(iter(self.faces(pixels)), None)

    def faces(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """All faces that one of the models finds, the largest first.

        Args:
            pixels: (H, W, 3) uint8, RGB, 0-255, C-contiguous (a strided view would be misread).

        Raises:
            ValueError: The array has another shape, type or layout; MediaPipe never sees it.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.flags.c_contiguous:
            raise ValueError(f"need contiguous (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}")
        height, width = pixels.shape[:2]
        reduction = -(-max(height, width) // _MAX_SIDE_PX)
        if reduction > 1:
            pixels = np.array(Image.fromarray(pixels).reduce(reduction))
        if min(pixels.shape[:2]) < _MIN_SIDE_PX:
            return []
        image = _mp_image(pixels)
        for detector in self._detectors:
            faces = [_to_face(d, reduction, width, height) for d in detector.detect(image).detections]
            faces = [face for face in faces if face.box.area > 0]
            if faces:
                return sorted(faces, key=lambda face: -face.box.area)
        return []

    def close(self) -> None:
        """Frees the native detectors."""
        with quiet_native_code():
            for detector in self._detectors:
                detector.close()


def _create_detector(model: Path, min_score: float) -> Any:
    import mediapipe as mp

    options = mp.tasks.vision.FaceDetectorOptions(
        base_options=mp.tasks.BaseOptions(model_asset_buffer=model.read_bytes()),
        min_detection_confidence=min_score,
    )
    return mp.tasks.vision.FaceDetector.create_from_options(options)


def _mp_image(pixels: NDArray[np.uint8]) -> Any:
    import mediapipe as mp

    return mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels)


def _to_face(detection: Any, reduction: int, width_px: int, height_px: int) -> Face:
    box = detection.bounding_box
    corners = (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
    raw = Box(*(float(corner * reduction) for corner in corners))
    return Face(raw.clipped(width_px, height_px), float(detection.categories[0].score))
