"""A clip of two people side by side, one of them forged: two portraits that sway."""

from pathlib import Path

import numpy as np

from preprocessing import Box
from tests.media import photo_pixels
from tests.obvious_fakes import write_clip
from training.data.faces import FaceImage
from training.forgeries.self_blend import STRONG, SelfBlender

_SIDE_PX = 320
_SWAY_PX = 24
_PAN = {"astronaut.png": (64, 0), "camera.png": (80, 30)}
"""Left and top edge of the square of a photo that shows its face, in the middle of its sway."""

_CAMERA_FACE = Box(200, 122, 277, 199)


def write_two_people(path: Path, frames: int = 15) -> Path:
    """A real astronaut on the left, the larger face, and a forged photographer on the right, 5 frames a second."""
    sources = {"astronaut.png": photo_pixels("astronaut.png"), "camera.png": _forged_photographer()}
    return write_clip(path, [np.hstack([_part(name, sources[name], i) for name in sources]) for i in range(frames)])


def _forged_photographer() -> np.ndarray:
    face = FaceImage(photo_pixels("camera.png"), _CAMERA_FACE, "photographer", "camera.png")
    return SelfBlender(STRONG).forge(face, np.random.default_rng(2)).pixels


def _part(name: str, pixels: np.ndarray, i: int) -> np.ndarray:
    left, top = _PAN[name]
    turn = 2 * np.pi * i / 12 * (1 if name == "camera.png" else -0.7)
    left, top = left + round(_SWAY_PX * np.sin(turn)), top + round(_SWAY_PX / 2 * (1 + np.cos(turn)))
    return pixels[top : top + _SIDE_PX, left : left + _SIDE_PX]
