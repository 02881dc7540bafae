"""How training pictures vary: where they are cut from a face, and what cameras and platforms do to them.

A detector that has not seen degradations mistakes compression for forgery. A pair of a real face and its forgery gets
the same draws, so that nothing but the forgery tells them apart.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.degradation import Kind, coded_frame
from preprocessing import Box, crop_square
from training.data.changes import Pixels, blur, compress, resample
from training.data.faces import is_whole

_ZOOM = (0.9, 1.15)
_SHIFT = 0.04
_TURN_DEG = 7.0
_TURN_SHARE = 0.5
_WHOLE_SHARE = 0.88
_LIGHT, _BLUR, _SCALE, _NOISE, _JPEG = 0.5, 0.15, 0.25, 0.15, 0.5
"""How often each step happens at full strength."""


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
        crop_factor: Side of the served crop over the longer side of the box.
        rng: Source of everything random.
    """
    scale = rng.uniform(*_ZOOM)
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
    side = math.ceil(max(mask.shape) / grid) * grid
    if mask.shape != (side, side):
        mask = np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    cells = mask.reshape(grid, side // grid, grid, side // grid).mean(axis=(1, 3), dtype=np.float32)
    return np.asarray(cells.ravel(), np.float32)


def degrade(pixels: Pixels, strength: float, rng: np.random.Generator, video_coding: float = 0.0) -> Pixels:
    """Applies each step at random, in the order of cameras and platforms.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255.
        strength: 0: nothing happens; 1: each step as often as usual.
        rng: Source of everything random; the same state gives the same steps for any pixels of the same size.
        video_coding: Share of the pictures that are coded as a frame of a video in the end (0-1).

    Returns:
        (H, W, 3) uint8, RGB, 0-255.
    """
    steps: tuple[tuple[float, Callable[[Pixels, np.random.Generator], Pixels]], ...] = (
        (_LIGHT, _relight), (_BLUR, _blur), (_SCALE, _rescale), (_NOISE, _add_noise), (_JPEG, _compress),
    )  # fmt: skip
    for share, step in steps:
        if rng.random() < share * strength:
            pixels = step(pixels, rng)
    return _code(pixels, rng) if rng.random() < video_coding else pixels


def _relight(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Changes brightness, contrast, saturation and white balance as much as cameras do."""
    brightness, contrast, saturation = rng.uniform(-25, 25), rng.uniform(0.8, 1.25), rng.uniform(0.7, 1.3)
    balance = rng.uniform(0.93, 1.07, 3)
    grey_weights = np.array([0.299, 0.587, 0.114])
    # One linear map of colours: about their grey, then about middle grey.
    matrix = (saturation * np.eye(3) + (1 - saturation) * grey_weights) * contrast * balance[:, None]
    offset = (128 + brightness - 128 * contrast) * balance
    return np.asarray(cv2.transform(pixels, np.hstack([matrix, offset[:, None]])), np.uint8)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return blur(pixels, rng.uniform(0.3, 1.6))


def _rescale(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Scales down and up again, as platforms and messengers do."""
    share = rng.uniform(0.35, 0.9)
    down = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(3)]
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(2)]
    return resample(pixels, 1 / share, down, up)


def _add_noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 7))
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


def _code(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """What platforms make of videos; a high rate factor is a low rate."""
    kind = (Kind.H264, Kind.HEVC)[rng.integers(2)]
    return coded_frame(pixels, kind, int(rng.integers(23, 41)))


def _compress(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return compress(pixels, int(rng.integers(40, 96)))
