"""Where a forgery lies in a face, and how it is put there."""

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing import Box
from training.data.changes import Pixels, to_uint8

Mask = NDArray[np.float32]
"""(H, W), 0-1: how much of each pixel is replaced."""

# Of the box: where the parts lie and how large they are (centre x, centre y, half width, half height).
_EYES = (0.5, 0.33, 0.42, 0.14)
_MOUTH = (0.5, 0.76, 0.28, 0.15)
_NOSE = (0.5, 0.52, 0.2, 0.24)


def draw_mask(shape_px: tuple[int, int], box: Box, rng: np.random.Generator) -> Mask:
    """A mask of random shape: the whole face (an ellipse or a hull) or one part of it, bent and with a soft edge.

    Args:
        shape_px: Height and width of the picture.
        box: The face in it.
        rng: Source of randomness.
    """
    kind = rng.choice(3, p=[0.4, 0.4, 0.2])
    if kind == 0:
        mask = ellipse(shape_px, box, rng)
    elif kind == 1:
        mask = hull(shape_px, box, rng)
    else:
        mask = part(shape_px, box, rng)
    mask = bend(mask, rng, amplitude_px=rng.uniform(0, 0.06) * box.width)
    return soften(mask, sigma_px=float(np.exp(rng.uniform(np.log(0.004), np.log(0.05)))) * max(box.width, box.height))


def ellipse(shape_px: tuple[int, int], box: Box, rng: np.random.Generator) -> Mask:
    """The face as an ellipse of random size, turned a little."""
    centre = (0.5 + rng.uniform(-0.05, 0.05), 0.5 + rng.uniform(-0.05, 0.08))
    half = (rng.uniform(0.34, 0.52), rng.uniform(0.4, 0.62))
    return _filled_ellipse(shape_px, box, (*centre, *half), rng.uniform(-12, 12))


def hull(shape_px: tuple[int, int], box: Box, rng: np.random.Generator) -> Mask:
    """The convex hull of points about the face's outline."""
    angles = rng.uniform(0, 2 * np.pi, 14)
    radii = rng.uniform(0.75, 1.15, 14)
    x = box.x0 + box.width * (0.5 + 0.45 * radii * np.cos(angles))
    y = box.y0 + box.height * (0.5 + 0.52 * radii * np.sin(angles))
    points = np.rint(np.stack([x, y], axis=1)).astype(np.int32)
    mask = np.zeros(shape_px, np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points), 1.0)
    return mask


def part(shape_px: tuple[int, int], box: Box, rng: np.random.Generator) -> Mask:
    """The eyes, the nose or the mouth, or two of them."""
    parts = rng.permutation(np.asarray([_EYES, _MOUTH, _NOSE]))[: rng.integers(1, 3)]
    masks = [_filled_ellipse(shape_px, box, tuple(p * rng.uniform(0.95, 1.15, 4)), rng.uniform(-8, 8)) for p in parts]
    return np.asarray(np.maximum.reduce(masks), np.float32)


def bend(mask: Mask, rng: np.random.Generator, amplitude_px: float) -> Mask:
    """Moves every point by a smooth random field (elastic deformation, Simard et al., ICDAR 2003)."""
    if amplitude_px < 0.5:
        return mask
    height, width = mask.shape
    coarse = rng.uniform(-1, 1, (2, 6, 6)).astype(np.float32) * np.float32(amplitude_px)
    dx, dy = (cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in coarse)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(cv2.remap(mask, x + dx, y + dy, cv2.INTER_LINEAR), np.float32)


def soften(mask: Mask, sigma_px: float) -> Mask:
    """Blurs the edge with a Gaussian; half of the height stays where the edge was."""
    if sigma_px < 0.3:
        return mask
    return np.asarray(np.minimum(cv2.GaussianBlur(mask, (0, 0), sigma_px), 1), np.float32)


def _filled_ellipse(shape_px: tuple[int, int], box: Box, place: tuple[float, ...], angle_degrees: float) -> Mask:
    cx, cy, half_width, half_height = place
    centre = (round(box.x0 + cx * box.width), round(box.y0 + cy * box.height))
    axes = (max(2, round(half_width * box.width)), max(2, round(half_height * box.height)))
    mask = np.zeros(shape_px, np.float32)
    cv2.ellipse(mask, centre, axes, angle_degrees, 0, 360, 1.0, thickness=-1)
    return mask


def alpha_blend(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """Weighted mean: foreground x mask + background x (1 - mask)."""
    weight = mask[..., None]
    return to_uint8(foreground * weight + background * (1 - weight))


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
    return to_uint8(blended)


def _laplacian(values: NDArray[np.float32], levels: int) -> list[NDArray[np.float32]]:
    bands = []
    for _ in range(levels):
        smaller = cv2.pyrDown(values)
        bands.append(values - cv2.pyrUp(smaller, dstsize=(values.shape[1], values.shape[0])))
        values = np.asarray(smaller, np.float32)
    return [*bands, values]
