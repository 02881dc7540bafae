"""A face with its surroundings, as training keeps it in memory, and a forgery made of one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing import Box


@dataclass(frozen=True)
class FaceImage:
    """A square cut around the largest face of a frame, wide enough for every crop that training draws.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, 0-255; at most 512 px a side.
        box: The detector's box in these pixels; the whole image where no face was found.
        person: Whose face, or which source: never on two sides of a split.
        source: The file, for messages.
    """

    pixels: NDArray[np.uint8]
    box: Box
    person: str
    source: str

    @property
    def shape_px(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Forgery:
    """A manipulated face.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, 0-255: as large as the face's.
        mask: (H, W) float32, 0-1: how much of each pixel is foreign.
        method: How it was made, for tables of results.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.float32]
    method: str
