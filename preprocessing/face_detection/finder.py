"""The rules of face detection, whichever way its models are run."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.crop import Box
from preprocessing.face_detection.model import FULL_RANGE_MODEL, SHORT_RANGE_MODEL, Face, FaceModel
from preprocessing.icc import ToSrgb
from preprocessing.params import FaceDetector

_MIN_SIDE_PX = 16  # below this no face is found, and degenerate tensors are never built
_MAX_SIDE_PX = 16_384  # MediaPipe aborts the process at 32,767; longer images are searched in a reduced copy


class FaceFinder:
    """Finds faces with MediaPipe's two models, loaded once and kept.

    The full-range model runs first (faces down to some 23 px in a 720p frame); it misses faces that fill the frame,
    so the short-range model runs when it found none. One finder belongs to one thread.
    """

    def __init__(self, models_dir: Path, min_score: float = 0.5, detector: FaceDetector = FaceDetector.DIRECT) -> None:
        """Loads both models.

        Args:
            models_dir: Folder with the two .tflite files.
            min_score: Detections below this score (0-1) are dropped.
            detector: What runs the models.

        Raises:
            FileNotFoundError: A model file is missing.
        """
        paths = [models_dir / name for name in (FULL_RANGE_MODEL, SHORT_RANGE_MODEL)]
        self._models = [_load(path, min_score, detector) for path in paths]

    def largest_face(self, pixels: NDArray[np.uint8]) -> Face | None:
        """The first of `faces`, or None."""
        return next(iter(self.faces(pixels)), None)

    def faces(self, pixels: NDArray[np.uint8], profile: ToSrgb | None = None) -> list[Face]:
        """All faces that one of the models finds, the largest first, their boxes clipped to the image.

        Args:
            pixels: (H, W, 3) uint8, RGB, 0-255, C-contiguous (a strided view would be misread).
            profile: What makes sRGB of the pixels; None where they are. The result is the same as if it had been done.

        Raises:
            ValueError: The array has another shape, type or layout; no model ever sees it.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.flags.c_contiguous:
            raise ValueError(f"need contiguous (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}")
        height, width = pixels.shape[:2]
        reduction = -(-max(height, width) // _MAX_SIDE_PX)
        if reduction > 1:
            if profile is not None:
                pixels, profile = profile.converted(pixels), None
            pixels = np.array(Image.fromarray(pixels).reduce(reduction))
        if min(pixels.shape[:2]) < _MIN_SIDE_PX:
            return []
        for model in self._models:
            faces = [_in_image(face, reduction, width, height) for face in model.faces(pixels, profile)]
            faces = [face for face in faces if face.box.area > 0]
            if faces:
                return sorted(faces, key=lambda face: -face.box.area)
        return []

    def close(self) -> None:
        """Frees the models."""
        for model in self._models:
            model.close()


def _load(path: Path, min_score: float, detector: FaceDetector) -> FaceModel:
    if detector is FaceDetector.MEDIAPIPE:
        from preprocessing.face_detection.mediapipe_model import MediaPipeModel

        return MediaPipeModel(path, min_score)
    from preprocessing.face_detection.direct_model import DirectModel

    return DirectModel(path, min_score)


def _in_image(face: Face, reduction: int, width_px: int, height_px: int) -> Face:
    box = face.box
    whole = Box(*(corner * reduction for corner in (box.x0, box.y0, box.x1, box.y1)))
    return Face(whole.clipped(width_px, height_px), face.score)
