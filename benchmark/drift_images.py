"""The fixed list of images on which the drift of an export is measured: `make` writes them and checks each.

The list is `drift_images.json`: for each image its recipe and two fingerprints of its RGB pixels before they are
encoded (encoded bytes differ between builds of libjpeg and libwebp, these pixels hardly do). The SHA-256 is equal where
the same Pillow made it. Where another version or processor rounds a few pixels differently, the second fingerprint
decides: means over a 4 x 4 grid within `GRID_TOLERANCE` grey levels. Such an image is still the same picture, is used,
and is counted, so that a report can say how many are exact; anything else is refused. Drift itself is measured between
two readings of the same file, so a rounded pixel cannot show up in it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from assets import DRIFT_PHOTOS, SAMPLE_PHOTOS, fetch_assets
from benchmark.drift_recipes import FORMATS, Recipe, encode, render

MANIFEST = Path(__file__).with_suffix(".json")
GRID_TOLERANCE = 2.0
_GRID = 4


class DriftImageError(Exception):
    """An image did not become what the list says, or the list cannot be read."""


@dataclass(frozen=True)
class DriftImage:
    """One row of the list.

    Attributes:
        number: Position in the list.
        recipe: How it is made.
        has_face: Whether the product's face detection found a face in it when the list was written.
        sha256: Over width, height and RGB bytes.
        grid: Hex of the 4 x 4 x 3 rounded cell means.
    """

    number: int
    recipe: Recipe
    has_face: bool
    sha256: str
    grid: str

    @property
    def file_name(self) -> str:
        """Number, photos and format."""
        sources = "+".join(Path(source).stem for source in self.recipe.sources)
        return f"{self.number:03}-{sources}{FORMATS[self.recipe.format]}"

    @property
    def overlaps_samples(self) -> bool:
        """Whether a sample photo is in it: an export calibrates on other crops of those."""
        return not _SAMPLE_NAMES.isdisjoint(self.recipe.sources)

    def to_dict(self) -> dict[str, Any]:
        """The row of the list."""
        return {
            **self.recipe.to_dict(),
            "face": self.has_face,
            "overlaps_samples": self.overlaps_samples,
            "sha256": self.sha256,
            "grid": self.grid,
        }

    @classmethod
    def from_dict(cls, number: int, values: dict[str, Any]) -> "DriftImage":
        """The inverse of `to_dict`."""
        own = {"face", "overlaps_samples", "sha256", "grid"}
        recipe = Recipe.from_dict({key: value for key, value in values.items() if key not in own})
        return cls(number, recipe, bool(values["face"]), str(values["sha256"]), str(values["grid"]))


@dataclass(frozen=True)
class MadeImages:
    """What `make_checked` wrote.

    Attributes:
        paths: In the order of the list.
        exact: How many have exactly the pixels of the list.
    """

    paths: list[Path]
    exact: int


def read_manifest(path: Path = MANIFEST) -> list[DriftImage]:
    """The list.

    Raises:
        DriftImageError: It cannot be read.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["images"]
        return [DriftImage.from_dict(number, row) for number, row in enumerate(rows)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DriftImageError(f"{path} is no list of drift images: {error}") from error


def make(folder: Path, images: Sequence[DriftImage] | None = None) -> list[Path]:
    """Writes the images and checks them; see `make_checked`."""
    return make_checked(folder, images).paths


def make_checked(folder: Path, images: Sequence[DriftImage] | None = None) -> MadeImages:
    """Writes the images, each under a temporary name first.

    All of them are rendered, checked and written again at each call, so nothing that lay there before is measured.

    Args:
        folder: Where they go.
        images: Rows of the list; all by default.

    Raises:
        DriftImageError: An image is not what the list says.
        AssetError: A photo cannot be fetched.
    """
    wanted = read_manifest() if images is None else list(images)
    folder.mkdir(parents=True, exist_ok=True)
    photos = load_photos({source for image in wanted for source in image.recipe.sources})
    paths, exact = [], 0
    for image in wanted:
        picture = render(image.recipe, photos)
        exact += _check(image, picture)
        path = folder / image.file_name
        partial = path.with_suffix(path.suffix + ".partial")
        partial.write_bytes(encode(image.recipe, picture))
        partial.replace(path)
        paths.append(path)
    return MadeImages(paths, exact)


def load_photos(names: Iterable[str]) -> dict[str, Image.Image]:
    """Photos of the catalogue as RGB images by name; fetched if need be.

    Raises:
        DriftImageError: The catalogue has no such photo.
        AssetError: A photo cannot be fetched.
    """
    known = {asset.name: asset for asset in (*SAMPLE_PHOTOS, *DRIFT_PHOTOS)}
    wanted = sorted(set(names))
    if unknown := [name for name in wanted if name not in known]:
        raise DriftImageError(f"the catalogue has no photo {', '.join(unknown)}")
    return {name: _open(path) for name, path in fetch_assets([known[name] for name in wanted]).items()}


def pixel_sha256(picture: Image.Image) -> str:
    """SHA-256 over width, height and RGB bytes."""
    return hashlib.sha256(f"{picture.width}x{picture.height}\n".encode() + picture.tobytes()).hexdigest()


def pixel_grid(picture: Image.Image) -> str:
    """Means of 4 x 4 cells, rounded, as hex: 48 grey levels, row by row, RGB."""
    return bytes(np.rint(_cell_means(picture)).astype(np.uint8).tobytes()).hex()


def _check(image: DriftImage, picture: Image.Image) -> bool:
    """Whether the pixels are exactly those of the list; raises if they are another picture."""
    if pixel_sha256(picture) == image.sha256:
        return True
    listed = np.frombuffer(bytes.fromhex(image.grid), np.uint8).astype(np.float64)
    difference = float(np.abs(_cell_means(picture).ravel() - listed).max())
    if difference > GRID_TOLERANCE:
        raise DriftImageError(
            f"{image.file_name} differs from the list by {difference:.1f} grey levels (Pillow {PIL.__version__})"
        )
    return False


def _cell_means(picture: Image.Image) -> Any:
    pixels = np.asarray(picture, dtype=np.float64)
    rows = np.linspace(0, pixels.shape[0], _GRID + 1).astype(int)
    columns = np.linspace(0, pixels.shape[1], _GRID + 1).astype(int)
    cells = [
        pixels[rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean((0, 1))
        for i in range(_GRID)
        for j in range(_GRID)
    ]
    return np.stack(cells)


@cache
def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


_SAMPLE_NAMES = {asset.name for asset in SAMPLE_PHOTOS}
