"""The images of the gate: generated ones, and for low precisions photographs, the same ones at every call.

Generated images need no download and judge every precision. Low precisions round according to what they see, and noise
and chessboards say little about photographs: they are calibrated and judged on crops of open photographs, fetched by
checksum, and on crops of faces as they are served. No photograph serves both purposes.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from assets import GATE_FACES, GATE_PHOTOS, fetch_assets
from preprocessing import Preparer

_CALIBRATE_ON = ("chelsea.png", "rocket.jpg", "camera.png")
_CALIBRATE_ON_FACES = ("grace_hopper.jpg",)
_JUDGE_ON_FACES = ("astronaut.png", "luispedro.jpg")
_JUDGE_ON = ("astronaut.png", "coffee.png", "retina.jpg", "coins.png", "ihc.png", "hubble_deep_field.jpg")


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


def calibration_photos(
    count: int, cache_dir: Path | None = None, preparer: Preparer | None = None
) -> Iterator[Image.Image]:
    """RGB images to calibrate with, the same ones at every call.

    Args:
        count: How many.
        cache_dir: Where photos are kept; the assets' own default if None.
        preparer: Of the release. Where it looks for faces, half of the images are crops of faces, cut as it cuts them.

    Raises:
        AssetError: The photos cannot be fetched.
    """
    return _photos(_CALIBRATE_ON, _CALIBRATE_ON_FACES, count, cache_dir, preparer, seed=11)


def judging_photos(
    count: int, cache_dir: Path | None = None, preparer: Preparer | None = None
) -> Iterator[Image.Image]:
    """RGB images to judge with, as `calibration_photos`."""
    return _photos(_JUDGE_ON, _JUDGE_ON_FACES, count, cache_dir, preparer, seed=12)


def _photos(
    names: Sequence[str], of_faces: Sequence[str], count: int, cache_dir: Path | None, preparer: Preparer | None,
    seed: int,
) -> Iterator[Image.Image]:  # fmt: skip
    scenes = _opened(names, cache_dir)
    faces = _opened(of_faces, cache_dir) if preparer is not None and preparer.params.face_detection else []
    rng = np.random.default_rng(seed)
    for i in range(count):
        if preparer is not None and faces and i % 2:
            yield _served(_retouched(_smaller(faces[i // 2 % len(faces)], rng), rng), preparer)
        else:
            yield _retouched(_part(scenes[i % len(scenes)], rng), rng)


def _opened(names: Sequence[str], cache_dir: Path | None) -> list[Image.Image]:
    wanted = [asset for asset in GATE_PHOTOS + GATE_FACES if asset.name in names]
    return [Image.open(path).convert("RGB") for path in fetch_assets(wanted, cache_dir).values()]


def _served(picture: Image.Image, preparer: Preparer) -> Image.Image:
    """Cut to its face; the whole picture where none is found."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return Image.fromarray(np.ascontiguousarray(preparer.crop(stream.getvalue())[0]))


def _smaller(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """At 30-100% of its size."""
    share = float(rng.uniform(0.3, 1.0))
    return photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.LANCZOS)


def _part(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A crop of 30-100% of each side."""
    width, height = (round(side * rng.uniform(0.3, 1.0)) for side in photo.size)
    left, top = (int(rng.integers(whole - part + 1)) for whole, part in zip(photo.size, (width, height), strict=True))
    return photo.crop((left, top, left + width, top + height))


def _retouched(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Mirrored, lighter or darker, and every other time blurred or compressed."""
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
