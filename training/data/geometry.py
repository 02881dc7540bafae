"""Where a training view is cut from a face: the served crop, jittered, turned and mirrored."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocessing import Box, crop_square
from training.data.cutting import is_whole

_SCALE = (0.9, 1.15)
_SHIFT = 0.04
_TURN_DEG = 7.0
_TURN_SHARE = 0.5
_WHOLE_SHARE = 0.88


@dataclass(frozen=True)
class Placement:
    """A rectangle of a face image, turned about its centre.

    Attributes:
        x0: Left edge in pixels.
        y0: Upper edge in pixels.
        width: In pixels.
        height: In pixels.
        turn_deg: Counterclockwise; 0 copies pixels as they are.
        mirrored: Left and right change places.
    """

    x0: int
    y0: int
    width: int
    height: int
    turn_deg: float
    mirrored: bool

    def cut(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The part of a picture or of its mask, (H, W) or (H, W, 3), C-contiguous; mirrored at the picture's edges."""
        import cv2

        if self.turn_deg:
            centre = (self.x0 + self.width / 2 - 0.5, self.y0 + self.height / 2 - 0.5)
            matrix = cv2.getRotationMatrix2D(centre, self.turn_deg, 1.0)
            matrix = matrix - [[0, 0, self.x0], [0, 0, self.y0]]
            part = cv2.warpAffine(
                picture, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
            )
        else:
            part = picture[self.y0 : self.y0 + self.height, self.x0 : self.x0 + self.width]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)


def draw_placement(box: Box, width_px: int, height_px: int, crop_factor: float, rng: np.random.Generator) -> Placement:
    """A crop near the one that serving makes.

    Args:
        box: The face's box; all of the image without a face.
        width_px: Image width.
        height_px: Image height.
        crop_factor: Of serving.
        rng: Source of everything random.
    """
    scale = rng.uniform(*_SCALE)
    shift_x, shift_y = rng.uniform(-_SHIFT, _SHIFT, 2)
    turn_deg = rng.uniform(-_TURN_DEG, _TURN_DEG) if rng.random() < _TURN_SHARE else 0.0
    mirrored = bool(rng.random() < 0.5)
    if is_whole(box, width_px, height_px):
        width, height = (max(round(side * rng.uniform(_WHOLE_SHARE, 1)), 1) for side in (width_px, height_px))
        x0, y0 = (int(rng.integers(0, room + 1)) for room in (width_px - width, height_px - height))
        return Placement(x0, y0, width, height, turn_deg, mirrored)
    side = crop_factor * max(box.width, box.height)
    moved = Box(box.x0 + shift_x * side, box.y0 + shift_y * side, box.x1 + shift_x * side, box.y1 + shift_y * side)
    square = crop_square(moved, width_px, height_px, crop_factor * scale)
    return Placement(square.x0, square.y0, square.side, square.side, turn_deg, mirrored)


def patch_shares(mask: NDArray[np.float32], grid: int) -> NDArray[np.float32]:
    """The mean of a mask over each cell of a square grid.

    Args:
        mask: (H, W) float32, 0-1.
        grid: Cells a side.

    Returns:
        (grid * grid,) float32, 0-1, row by row.
    """
    import cv2

    side = math.ceil(max(mask.shape) / grid) * grid
    if mask.shape != (side, side):
        mask = np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    cells = mask.reshape(grid, side // grid, grid, side // grid).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(cells.ravel(), np.float32)
