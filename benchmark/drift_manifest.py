"""Writes the list of drift images: `python -m benchmark.drift_manifest`, run once, its result is committed.

Recipes are drawn at random with a fixed seed; what was drawn stands in the list, which alone counts from then on.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from assets import SAMPLE_PHOTOS
from benchmark.drift_images import MANIFEST, DriftImage, load_photos, pixel_grid, pixel_sha256
from benchmark.drift_recipes import Recipe, encode, render
from benchmark.face_crops import face_cropper

COUNTS = {
    "grace_hopper.jpg": 50, "luispedro.jpg": 50, "astronaut.png": 20, "camera.png": 10,
    "china.jpg": 8, "flower.jpg": 8, "Wall.jpg": 8, "Bubbles.jpg": 6, "Ill1.jpg": 6, "retina.jpg": 6,
    "hubble_deep_field.jpg": 6, "brick.png": 5, "grass.png": 5, "gravel.png": 5, "ihc.png": 6, "coins.png": 6,
    "chelsea.png": 5, "coffee.png": 5, "rocket.jpg": 5,
}  # fmt: skip
"""How many images each photo gives."""

_PORTRAITS = ("grace_hopper.jpg", "luispedro.jpg", "astronaut.png")
_MIN_WIDTH_PX, _MAX_WIDTH_PX = 96, 1920
_MAX_PNG_WIDTH_PX = 720  # larger ones would be megabytes each


def propose(counts: dict[str, int], seed: int = 2026) -> list[DriftImage]:
    """Draws the recipes, renders them and notes fingerprints and faces."""
    photos = load_photos(counts)
    random = np.random.default_rng(seed)
    recipes = [
        _draw(source, photos[source], random, seed=number)
        for number, source in enumerate(name for name, count in counts.items() for _ in range(count))
    ]
    return [DriftImage(number, *facts) for number, facts in enumerate(_facts(recipes, photos))]


def write_manifest(images: list[DriftImage], path: Path = MANIFEST) -> None:
    """One row a line, so that differences can be read."""
    head = {
        "about": "Images for measuring drift; see drift_images.py. Pixels are those before encoding.",
        "overlapping_sources": sorted(asset.name for asset in SAMPLE_PHOTOS),
        "pillow": PIL.__version__,
    }
    lines = ",\n".join("  " + json.dumps(image.to_dict()) for image in images)
    text = json.dumps(head, indent=1).removesuffix("\n}") + f',\n "images": [\n{lines}\n ]\n}}\n'
    path.write_text(text, encoding="utf-8")


def _facts(recipes: list[Recipe], photos: dict[str, Image.Image]) -> list[tuple[Recipe, bool, str, str]]:
    facts = []
    with face_cropper() as cropper:
        for recipe in recipes:
            picture = render(recipe, photos)
            has_face = cropper.crop(encode(recipe, picture)).has_face
            facts.append((recipe, has_face, pixel_sha256(picture), pixel_grid(picture)))
    return facts


def _draw(source: str, photo: Image.Image, random: np.random.Generator, seed: int) -> Recipe:
    def chance(share: float) -> bool:
        return bool(random.random() < share)

    share = random.uniform(0.45, 1.0)
    width, height = round(photo.width * share), round(photo.height * random.uniform(share * 0.8, min(share * 1.2, 1)))
    # Faces are in the upper half of the portraits.
    left = int(random.integers(photo.width - width + 1))
    top = int(random.integers((photo.height - height) // (2 if source in _PORTRAITS else 1) + 1))
    width_px = round(_MIN_WIDTH_PX * (_MAX_WIDTH_PX / _MIN_WIDTH_PX) ** random.random())
    recipe = Recipe(source, (left, top, left + width, top + height), width_px)
    if source in _PORTRAITS and chance(0.12):
        recipe = replace(recipe, beside=str(random.choice([p for p in _PORTRAITS[:2] if p != source])))
    if chance(0.4):
        recipe = replace(recipe, mirror=True)
    if chance(0.25):
        recipe = replace(recipe, turn_degrees=int(random.choice([90, 180, 270, *random.integers(-25, 26, 9)])))
    if chance(0.6):
        light = [round(float(v), 2) for v in random.uniform((0.45, 0.6, 0.3), (1.6, 1.5, 1.8))]
        recipe = replace(recipe, brightness=light[0], contrast=light[1], colour=light[2])
    if chance(0.1):
        recipe = replace(recipe, colour=0.0)
    if chance(0.2):
        recipe = replace(recipe, blur_px=round(float(random.uniform(0.5, 3.0)), 1))
    noise = int(random.integers(4, 41)) if chance(0.25) else 0
    format_, quality = _encoding(random, width_px)
    return replace(recipe, noise=noise, seed=seed if noise else 0, format=format_, quality=quality)


def _encoding(random: np.random.Generator, width_px: int) -> tuple[str, int]:
    drawn = random.random()
    if drawn < 0.25 and width_px <= _MAX_PNG_WIDTH_PX:
        return "PNG", Recipe.quality
    quality = int(random.integers(25, 97))
    return "WEBP" if drawn > 0.92 else "JPEG", quality


if __name__ == "__main__":
    write_manifest(propose(COUNTS))
