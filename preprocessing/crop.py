"""The geometry of the face crop: pure functions of boxes in pixels."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: x0 <= x < x1, y0 <= y < y1, origin at the top left."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Horizontal extent in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Vertical extent in pixels."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    def clipped(self, width_px: int, height_px: int) -> "Box":
        """The part inside an image of the given size; its area is 0 when there is none."""
        x0, x1 = (min(max(x, 0.0), float(width_px)) for x in (self.x0, self.x1))
        y0, y1 = (min(max(y, 0.0), float(height_px)) for y in (self.y0, self.y1))
        return Box(x0, y0, x1, y1)


WHOLE_PICTURE = Box(0.0, 0.0, 0.0, 0.0)
"""Stands for a face box where the whole picture is to be given to the classifier."""


@dataclass(frozen=True)
class Square:
    """A square of whole pixels: its top left corner and its side."""

    x0: int
    y0: int
    side: int


def crop_square(face: Box, width_px: int, height_px: int, factor: float) -> Square:
    """The square given to the classifier for a face.

    Its side is `factor` times the longer side of the box, at most the image's shorter side; it is centred on the box
    and moved, not shrunk, to lie inside the image. Halves round up.

    Args:
        face: The detector's box, clipped to the image.
        width_px: Image width.
        height_px: Image height.
        factor: 1.3 unless the checkpoint says otherwise.
    """
    side = min(max(_round(factor * max(face.width, face.height)), 1), width_px, height_px)
    x0 = _round((face.x0 + face.x1) / 2 - side / 2)
    y0 = _round((face.y0 + face.y1) / 2 - side / 2)
    return Square(min(max(x0, 0), width_px - side), min(max(y0, 0), height_px - side), side)


def _round(value: float) -> int:
    return math.floor(value + 0.5)
