"""Photographs to measure with: crops of the sample photos as JPEG files, each different, the same every time."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from assets import SAMPLE_PHOTOS, fetch_assets

SIZE_PX = (1280, 720)


def make_photos(folder: Path, count: int) -> list[Path]:
    """Writes `count` JPEG files of 1280 x 720 px, quality 90; files that are there stay.

    Returns:
        Their paths, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = [Image.open(path).convert("RGB") for path in fetch_assets(SAMPLE_PHOTOS).values()]
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        paths.append(path)
        picture = _varied(sources[number % len(sources)], random)
        if not path.exists():
            partial = path.with_suffix(".partial")
            picture.save(partial, "JPEG", quality=90)
            partial.replace(path)
    return paths


def _varied(source: Image.Image, random: np.random.Generator) -> Image.Image:
    """A random crop of at least 70% of each side, of random brightness."""
    share = random.uniform(0.7, 1.0)
    width, height = round(source.width * share), round(source.height * share)
    left, top = int(random.integers(source.width - width + 1)), int(random.integers(source.height - height + 1))
    crop = source.crop((left, top, left + width, top + height)).resize(SIZE_PX)
    return ImageEnhance.Brightness(crop).enhance(float(random.uniform(0.8, 1.2)))
