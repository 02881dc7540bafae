"""The fixed list of images on which the drift of an export is measured, made from openly licensed photos.

`drift_images.json` holds a recipe for each. Every step is Pillow's or integer arithmetic on pixels, in a fixed order:
crop, second photo beside it, mirror, turn, resize, light, grey, blur, noise. Drift is measured between two readings of
the same file, so a pixel that another version of Pillow rounds differently does not show up in it.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from pydantic import TypeAdapter

from assets import DRIFT_PHOTOS, SAMPLE_PHOTOS, fetch_assets

LIST = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Recipe:
    """What becomes of a photo.

    Attributes:
        source: Name of the photo in the catalogue.
        crop: Left, top, right, bottom in the photo's pixels.
        width_px: Width of the result; the height follows.
        beside: A second photo, whole, put to the right at the same height; "" for none.
        mirror: Whether left and right change places.
        turn_degrees: Counterclockwise. Multiples of 90 keep every pixel; other angles keep the size and fill with grey.
        brightness: 1 leaves it, as for the next two.
        contrast: Around the mean grey level.
        colour: 0 is grey.
        blur_px: Standard deviation of the Gaussian, 0 for none.
        noise: Uniform within +- so many grey levels, per channel, 0 for none.
        seed: Of the noise.
        format: `JPEG`, `PNG` or `WEBP`.
        quality: Of JPEG and WebP.
    """

    source: str
    crop: tuple[int, int, int, int]
    width_px: int
    beside: str = ""
    mirror: bool = False
    turn_degrees: int = 0
    brightness: float = 1.0
    contrast: float = 1.0
    colour: float = 1.0
    blur_px: float = 0.0
    noise: int = 0
    seed: int = 0
    format: str = "JPEG"
    quality: int = 90


def read_list() -> list[Recipe]:
    """The recipes, in order."""
    return TypeAdapter(list[Recipe]).validate_python(json.loads(LIST.read_text(encoding="utf-8")))


def make_images(folder: Path, recipes: Sequence[Recipe]) -> list[Path]:
    """Writes the image of each recipe into a file named by its number and photo.

    Raises:
        AssetError: A photo cannot be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {name for recipe in recipes for name in (recipe.source, recipe.beside) if name}
    assets = [asset for asset in (*SAMPLE_PHOTOS, *DRIFT_PHOTOS) if asset.name in names]
    photos = {name: Image.open(path).convert("RGB") for name, path in fetch_assets(assets).items()}
    paths = []
    for number, recipe in enumerate(recipes):
        path = folder / f"{number:03}-{Path(recipe.source).stem}.{recipe.format.lower()}"
        path.write_bytes(render(recipe, photos))
        paths.append(path)
    return paths


def render(recipe: Recipe, photos: Mapping[str, Image.Image]) -> bytes:
    """The file of a recipe.

    Args:
        recipe: What to do.
        photos: RGB images by their name in the catalogue.
    """
    image = photos[recipe.source].crop(recipe.crop)
    if recipe.beside:
        image = _side_by_side(image, photos[recipe.beside])
    if recipe.mirror:
        image = ImageOps.mirror(image)
    whole, grey = recipe.turn_degrees % 90 == 0, (128, 128, 128)
    image = image.rotate(recipe.turn_degrees, Image.Resampling.BICUBIC, expand=whole, fillcolor=grey)
    height_px = max(round(image.height * recipe.width_px / image.width), 1)
    image = image.resize((recipe.width_px, height_px), Image.Resampling.BICUBIC)
    for enhancer, factor in (
        (ImageEnhance.Brightness, recipe.brightness),
        (ImageEnhance.Contrast, recipe.contrast),
        (ImageEnhance.Color, recipe.colour),
    ):
        if factor != 1:
            image = enhancer(image).enhance(factor)
    if recipe.blur_px:
        image = image.filter(ImageFilter.GaussianBlur(recipe.blur_px))
    if recipe.noise:
        image = _with_noise(image, recipe.noise, recipe.seed)
    stream = io.BytesIO()
    image.save(stream, recipe.format, quality=recipe.quality)
    return stream.getvalue()


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    right = right.resize((max(round(right.width * left.height / right.height), 1), left.height))
    return Image.fromarray(np.hstack([np.asarray(left), np.asarray(right)]))


def _with_noise(image: Image.Image, amplitude: int, seed: int) -> Image.Image:
    # RandomState's stream is frozen for good; that of numpy's newer generators may change between versions.
    noise = np.random.RandomState(seed).randint(-amplitude, amplitude + 1, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image).astype(np.int16) + noise, 0, 255).astype(np.uint8))
