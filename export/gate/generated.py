"""The images of the parity gate: generated, so that the gate needs no files and is the same everywhere."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def varied_images(count: int, seed: int = 7) -> Iterator[Image.Image]:
    """RGB images of many sizes, shapes and textures, the same ones at every call."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        width, height = (int(v) for v in rng.integers(48, 900, 2))
        yield _KINDS[i % len(_KINDS)](rng, width, height)


def _noise(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _blurred_noise(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return _noise(rng, width // 16 + 2, height // 16 + 2).resize((width, height), Image.Resampling.BICUBIC)


def _gradient(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    corners = _noise(rng, 2, 2)
    return corners.resize((width, height), Image.Resampling.BILINEAR)


def _flat(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return Image.new("RGB", (width, height), (red, green, blue))


def _shapes(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _gradient(rng, width, height)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x0, x1 = sorted(int(v) for v in rng.integers(0, width, 2))
        y0, y1 = sorted(int(v) for v in rng.integers(0, height, 2))
        red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x0, y0, x1, y1), fill=(red, green, blue))
    return image


def _soft_shapes(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return _shapes(rng, width, height).filter(ImageFilter.GaussianBlur(float(rng.uniform(1, 9))))


def _checkerboard(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    cell = int(rng.integers(1, 40))
    board = (np.add.outer(np.arange(height) // cell, np.arange(width) // cell) % 2).astype(bool)
    colours = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    return Image.fromarray(np.where(board[..., None], colours[0], colours[1]))


_KINDS = (_shapes, _blurred_noise, _soft_shapes, _gradient, _noise, _checkerboard, _flat, _shapes)
