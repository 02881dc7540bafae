"""What the ways of running MediaPipe's face models have in common."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from preprocessing.crop import Box
from preprocessing.icc import ToSrgb

FULL_RANGE_MODEL = "face_detection_full_range_sparse.tflite"
SHORT_RANGE_MODEL = "face_detection_short_range.tflite"


@dataclass(frozen=True)
class Face:
    """A detected face: its box in pixels and the detector's score (0-1)."""

    box: Box
    score: float


class FaceModel(Protocol):
    """One of the two models, loaded. It belongs to one thread."""

    def faces(self, pixels: NDArray[np.uint8], profile: ToSrgb | None = None) -> list[Face]:
        """The faces this model finds, the best score first; boxes in whole pixels, not clipped to the image.

        Args:
            pixels: (H, W, 3) uint8, RGB, 0-255, C-contiguous, each side 16 to 16,384 px.
            profile: What makes sRGB of the pixels; None where they are.
        """

    def close(self) -> None:
        """Frees it."""
