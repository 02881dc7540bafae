"""The photographs on which low precisions are calibrated and judged: crops of open ones, fetched by checksum.

Generated images (generated.py) need no download and judge every precision. Low ones round according to what they
see, and noise and chessboards would say little about photographs. No photo serves both purposes.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from assets import GATE_PHOTOS, fetch_assets

_CALIBRATE_ON = ("chelsea.png", "rocket.jpg", "camera.png")
_JUDGE_ON = ("astronaut.png", "coffee.png", "retina.jpg", "coins.png", "ihc.png", "hubble_deep_field.jpg")


def calibration_photos(count: int, cache_dir: Path | None = None) -> Iterator[Image.Image]:
    """RGB images to calibrate with, the same ones at every call.

    Raises:
        AssetError: The photos cannot be fetched.
    """
    return _crops(_fetch(_CALIBRATE_ON, cache_dir), count, seed=11)


def judging_photos(count: int, cache_dir: Path | None = None) -> Iterator[Image.Image]:
    """RGB images to judge with, the same ones at every call.

    Raises:
        AssetError: The photos cannot be fetched.
    """
    return _crops(_fetch(_JUDGE_ON, cache_dir), count, seed=12)


def _fetch(names: Sequence[str], cache_dir: Path | None) -> list[Image.Image]:
    wanted = [asset for asset in GATE_PHOTOS if asset.name in names]
    return [Image.open(path).convert("RGB") for path in fetch_assets(wanted, cache_dir).values()]


def _crops(photos: Sequence[Image.Image], count: int, seed: int) -> Iterator[Image.Image]:
    rng = np.random.default_rng(seed)
    for i in range(count):
        yield _varied(photos[i % len(photos)], rng)


def _varied(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A crop of 30-100% of each side, mirrored, lighter or darker, and every other time blurred or compressed."""
    width, height = (round(side * rng.uniform(0.3, 1.0)) for side in photo.size)
    left, top = (int(rng.integers(whole - part + 1)) for whole, part in zip(photo.size, (width, height), strict=True))
    image = photo.crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.5, 1.4)))
    image = ImageEnhance.Color(image).enhance(float(rng.uniform(0.0, 1.5)))
    choice = rng.random()
    if choice < 0.25:
        return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 4))))
    return _compressed(image, int(rng.integers(20, 90))) if choice < 0.5 else image


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    stream.seek(0)
    return Image.open(stream).convert("RGB")
