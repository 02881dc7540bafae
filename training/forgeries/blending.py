"""Ways of putting one picture into another: both (H, W, 3) uint8, RGB, 0-255; the mask (H, W) float32, 0-1."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]


def alpha_blend(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """Weighted mean: foreground x mask + background x (1 - mask)."""
    weight = mask[..., None]
    return _to_uint8(foreground * weight + background * (1 - weight))


def multiband_blend(foreground: Pixels, background: Pixels, mask: Mask, levels: int = 4) -> Pixels:
    """Each octave of frequency is blended over a width of its own.

    Laplacian pyramids (Burt and Adelson, "A multiresolution spline with application to image mosaics", ACM TOG 1983).

    Args:
        foreground: What is put in.
        background: What it is put into.
        mask: Where.
        levels: Octaves; fewer where the picture is small.
    """
    levels = max(1, min(levels, int(np.log2(min(mask.shape))) - 3))
    a, b, weights = foreground.astype(np.float32), background.astype(np.float32), [mask]
    for _ in range(levels):
        weights.append(np.asarray(cv2.pyrDown(weights[-1]), np.float32))
    bands = [
        band_a * w[..., None] + band_b * (1 - w[..., None])
        for band_a, band_b, w in zip(_laplacian(a, levels), _laplacian(b, levels), weights, strict=True)
    ]
    blended = bands[-1]
    for band in reversed(bands[:-1]):
        blended = cv2.pyrUp(blended, dstsize=(band.shape[1], band.shape[0])) + band
    return _to_uint8(blended)


def gradient_blend(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """Keeps the foreground's gradients and takes the background's colours along the edge.

    Poisson image editing (Perez, Gangnet and Blake, SIGGRAPH 2003), as OpenCV has it: solved for the mask's rectangle,
    of which a little beside the mask changes, too. The mask counts from 0.5 on.
    """
    binary = np.asarray((mask >= 0.5) * 255, np.uint8)
    binary[[0, -1], :] = 0
    binary[:, [0, -1]] = 0  # the solver needs a rim of background
    rows, columns = np.flatnonzero(binary.any(axis=1)), np.flatnonzero(binary.any(axis=0))
    if len(rows) < 3 or len(columns) < 3:
        return background.copy()
    centre = (int(columns[0] + columns[-1]) // 2, int(rows[0] + rows[-1]) // 2)
    return np.asarray(cv2.seamlessClone(foreground, background, binary, centre, cv2.NORMAL_CLONE), np.uint8)


def _laplacian(values: NDArray[np.float32], levels: int) -> list[NDArray[np.float32]]:
    bands = []
    for _ in range(levels):
        smaller = cv2.pyrDown(values)
        bands.append(values - cv2.pyrUp(smaller, dstsize=(values.shape[1], values.shape[0])))
        values = np.asarray(smaller, np.float32)
    return [*bands, values]


def _to_uint8(values: NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
