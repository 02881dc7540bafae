"""Frames to measure with: 1280 x 720 JPEG files with a face in each, all different, the same every time."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from assets import SAMPLE_PHOTOS, fetch_assets

SIZE_PX = (1280, 720)

_FACES_PX = {"astronaut.png": (173, 67, 276, 170), "camera.png": (200, 122, 277, 199)}
"""Where the photos' faces are: x0, y0, x1, y1, as MediaPipe finds them."""

# The frame's height: a face takes a third to a half of it, as in an interview.
_MIN_HEIGHT_IN_FACES, _MAX_HEIGHT_IN_FACES = 1.9, 2.8


def make_face_frames(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Writes JPEG files of 1280 x 720 px, quality 90; files that are there stay.

    Args:
        folder: Where; made if it is not there.
        count: How many.
        first: Number of the first. A frame's content depends on its number alone.

    Returns:
        Their paths, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = fetch_assets(SAMPLE_PHOTOS)
    sources = [(Image.open(paths[name]).convert("RGB"), face) for name, face in _FACES_PX.items()]
    return [
        _write(folder / f"{number:06}.jpg", *sources[number % len(sources)], number)
        for number in range(first, first + count)
    ]


def _write(path: Path, source: Image.Image, face: tuple[int, int, int, int], number: int) -> Path:
    if not path.exists():
        partial = path.with_suffix(f".{number}.partial")
        _varied(source, face, np.random.default_rng(number)).save(partial, "JPEG", quality=90)
        partial.replace(path)
    return path


def _varied(source: Image.Image, face: tuple[int, int, int, int], random: np.random.Generator) -> Image.Image:
    """A random crop of 16:9 around the face, of random brightness, mirrored or not."""
    x0, y0, x1, y1 = face
    height = round(random.uniform(_MIN_HEIGHT_IN_FACES, _MAX_HEIGHT_IN_FACES) * (y1 - y0))
    width = round(height * SIZE_PX[0] / SIZE_PX[1])
    margin = (y1 - y0) // 4
    left = _between(random, x1 + margin - width, x0 - margin, source.width - width)
    top = _between(random, y1 + margin - height, y0 - margin, source.height - height)
    crop = source.crop((left, top, left + width, top + height)).resize(SIZE_PX, Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return ImageEnhance.Brightness(crop).enhance(float(random.uniform(0.8, 1.2)))


def _between(random: np.random.Generator, low: int, high: int, limit: int) -> int:
    """A position from low to high that keeps the crop within the photo."""
    return int(random.integers(max(low, 0), min(high, limit) + 1))
