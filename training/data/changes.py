"""Changes to whole pictures that leave traces: of colour, of frequency and of geometry.

All take and give (H, W, 3) uint8, RGB, 0-255, and draw what they do from the generator they are given.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB, 0-255."""
Change = Callable[[Pixels, np.random.Generator, float], Pixels]


def change_colour(pixels: Pixels, rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Shifts channels, brightness, contrast, saturation or gamma: one to three of them.

    Args:
        pixels: The picture.
        rng: Source of randomness.
        strength: 1: barely to plainly visible; 2: twice that.
    """
    changed = pixels.astype(np.float32)
    kinds = (_shift_channels, _change_contrast, _change_saturation, _change_gamma)
    for k in rng.permutation(len(kinds))[: rng.integers(1, 4)]:
        changed = kinds[k](changed, rng, strength)
    return to_uint8(changed)


def change_frequency(pixels: Pixels, rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Blurs, sharpens, resamples, compresses or adds noise: one or two of them.

    Args:
        pixels: The picture.
        rng: Source of randomness.
        strength: 1 for what a second encoder or a resampled source leaves, 2 for coarser traces.
    """
    kinds = (_blur, _sharpen, _resample, _compress, _add_noise)
    for k in rng.permutation(len(kinds))[: rng.integers(1, 3)]:
        pixels = kinds[k](pixels, rng, strength)
    return pixels


def change_geometry(pixels: Pixels, rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """Scales by some 4%, shifts by some 2% of the side and turns by some 2 degrees about the middle."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D(
        (width / 2, height / 2), strength * rng.uniform(-2, 2), 1 + strength * rng.uniform(-0.04, 0.04)
    )
    matrix[:, 2] += strength * rng.uniform(-0.02, 0.02, 2) * (width, height)
    border = cv2.BORDER_REFLECT_101
    return _as_uint8(cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border))


def compress(pixels: Pixels, quality: int) -> Pixels:
    """Through JPEG and back, at a quality of 1-100."""
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]).astype(np.uint8, copy=False)


def resample(pixels: Pixels, factor: float, down: int = cv2.INTER_AREA, up: int = cv2.INTER_LINEAR) -> Pixels:
    """Reduced by a factor above 1 and enlarged to the old size, by two of OpenCV's interpolations."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (max(8, round(width / factor)), max(8, round(height / factor))), interpolation=down)
    return _as_uint8(cv2.resize(small, (width, height), interpolation=up))


def blur(pixels: Pixels, sigma_px: float) -> Pixels:
    """By a Gaussian."""
    return _as_uint8(cv2.GaussianBlur(pixels, (0, 0), sigma_px))


def add_noise(pixels: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
    """Gaussian noise of its own in every value; sigma in grey levels."""
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(sigma)
    return to_uint8(pixels.astype(np.float32) + noise)


def to_uint8(values: NDArray[Any]) -> Pixels:
    """Rounded, within 0-255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _shift_channels(values: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    shift = rng.uniform(-20, 20, 3) * strength
    return np.asarray(values + shift.astype(np.float32), np.float32)


def _change_contrast(values: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    gain, lift = 1 + rng.uniform(-0.2, 0.2) * strength, rng.uniform(-15, 15) * strength
    mean = values.mean(dtype=np.float64)
    return np.asarray((values - mean) * gain + mean + lift, np.float32)


def _change_saturation(values: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    grey = values @ np.asarray([0.299, 0.587, 0.114], np.float32)
    gain = 1 + rng.uniform(-0.4, 0.4) * strength
    return np.asarray(grey[..., None] + (values - grey[..., None]) * np.float32(gain), np.float32)


def _change_gamma(values: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    gamma = np.exp(rng.uniform(-0.3, 0.3) * strength)
    return np.asarray(255 * (np.clip(values, 0, 255) / 255) ** np.float32(gamma), np.float32)


def _blur(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    return blur(pixels, rng.uniform(0.6, 1.6) * strength)


def _sharpen(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    values = pixels.astype(np.float32)
    smooth = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.8, 2.0))
    return to_uint8(values + np.float32(rng.uniform(0.5, 1.2) * strength) * (values - smooth))


def _resample(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    factor = 1 + rng.uniform(0.4, 1.6) * strength
    down = [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST][rng.integers(4)]
    up = [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4][rng.integers(3)]
    return resample(pixels, factor, down, up)


def _compress(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    return compress(pixels, int(np.clip(rng.uniform(30, 75) / strength, 10, 95)))


def _add_noise(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    return add_noise(pixels, rng, rng.uniform(3, 9) * strength)


def _as_uint8(values: object) -> Pixels:
    return np.asarray(values, np.uint8)
