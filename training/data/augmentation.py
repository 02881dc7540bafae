"""What happens to pictures on their way: light and colour, blur, scaling, noise and JPEG, alike for both classes.

A detector that has not seen them mistakes compression for forgery. A pair of a real face and its forgery gets the same
draw, so that nothing but the forgery tells them apart.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_LIGHT, _BLUR, _SCALE, _NOISE, _JPEG = 0.5, 0.15, 0.25, 0.15, 0.5
"""How often each step happens at full strength."""


def degrade(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Applies each step with its own chance, in the order in which cameras and platforms would.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255.
        strength: 0: nothing happens; 1: each step as often as usual.
        rng: Source of everything random; the same state gives the same steps for any pixels of the same size.

    Returns:
        (H, W, 3) uint8, RGB, 0-255.
    """
    steps: tuple[tuple[float, Callable[[Pixels, np.random.Generator], Pixels]], ...] = (
        (_LIGHT, _relight), (_BLUR, _blur), (_SCALE, _rescale), (_NOISE, _add_noise), (_JPEG, _compress),
    )  # fmt: skip
    for share, step in steps:
        if rng.random() < share * strength:
            pixels = step(pixels, rng)
    return pixels


def _relight(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Brightness, contrast, saturation and white balance within what cameras do."""
    brightness, contrast, saturation = rng.uniform(-25, 25), rng.uniform(0.8, 1.25), rng.uniform(0.7, 1.3)
    balance = rng.uniform(0.93, 1.07, 3)
    grey_weights = np.array([0.299, 0.587, 0.114])
    # One linear map of colours: about their grey, then about middle grey.
    matrix = (saturation * np.eye(3) + (1 - saturation) * grey_weights) * contrast * balance[:, None]
    offset = (128 + brightness - 128 * contrast) * balance
    import cv2

    return np.asarray(cv2.transform(pixels, np.hstack([matrix, offset[:, None]])), np.uint8)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    import cv2

    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.6)), np.uint8)


def _rescale(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Smaller and back, as platforms and messengers do."""
    import cv2

    share = rng.uniform(0.35, 0.9)
    down = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(3)]
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(2)]
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (max(round(width * share), 8), max(round(height * share), 8)), interpolation=down)
    return np.asarray(cv2.resize(small, (width, height), interpolation=up), np.uint8)


def _add_noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 7))
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


def _compress(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    import cv2

    quality = int(rng.integers(40, 96))
    _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1])
