"""Labelled pictures of people that nothing was trained on.

They are written in the layout that `deepfake-evaluate` and `deepfake-calibrate` take: real/, fake/, and people.csv with
who is on each picture. The names of the fakes say how they were made.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.face_image import FaceImage
from training.embedded.held_out_forgeries import inpaint_face, swap_face
from training.embedded.recipe import SEEN
from training.forgeries import STRONG, SelfBlender

SIDE_PX = 512
"""Pictures hold a face with its surroundings at no more than this."""

METHODS = ("filtered", "seen", "strong", "swap", "inpainting")
"""Of a real picture the first, of fakes the others; the last two are never trained on."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledPicture:
    """A picture to write.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, 0-255.
        label: The folder.
        method: How it was made: "untouched" or "filtered" of real ones.
        person: Whose head it is.
        name: File name without its ending; no other picture has it.
    """

    pixels: Pixels
    label: Literal["real", "fake"]
    method: str
    person: str
    name: str


def held_out_pictures(faces: Sequence[FaceImage], variants: int, seed: int) -> Iterator[LabelledPicture]:
    """Real and fake pictures of each face: as many of each method.

    Real: untouched, and changed as a whole in the ways in which parts of the fakes are. Fake: the seen methods, strong
    ones, and the two that are never trained on. A swap takes another person's face.

    Args:
        faces: Of people that nothing was trained on; two people at least.
        variants: Pictures of each method and face; the untouched one is there once.
        seed: Of everything drawn.
    """
    for number, face in enumerate(faces):
        donors = [other for other in faces if other.person != face.person]
        stem = f"{face.person}-{number}"
        yield LabelledPicture(face.pixels, "real", "untouched", face.person, f"untouched-{stem}")
        for kind, method in enumerate(METHODS):
            for variant in range(variants):
                pixels = _make(method, face, donors, np.random.default_rng([seed, number, kind, variant]))
                label: Literal["real", "fake"] = "real" if method == "filtered" else "fake"
                yield LabelledPicture(pixels, label, method, face.person, f"{method}-{stem}-{variant}")


def _make(method: str, face: FaceImage, donors: Sequence[FaceImage], rng: np.random.Generator) -> Pixels:
    match method:
        case "filtered":
            return SelfBlender(replace(SEEN, global_change=1.0)).real(face, rng)
        case "seen":
            return SelfBlender(SEEN).forge(face, rng).pixels
        case "strong":
            return SelfBlender(STRONG).forge(face, rng).pixels
        case "swap":
            return swap_face(face, donors[rng.integers(len(donors))], rng).pixels
        case "inpainting":
            return inpaint_face(face, rng).pixels
    raise ValueError(f"no method {method}")


def write_pictures(pictures: Iterator[LabelledPicture], folder: Path) -> int:
    """Writes them as PNG with people.csv.

    Returns:
        How many.

    Raises:
        FileExistsError: There is something in the folder's place.
    """
    rows = []
    for label in ("real", "fake"):
        (folder / label).mkdir(parents=True)
    for picture in pictures:
        name = f"{picture.label}/{picture.name}.png"
        Image.fromarray(picture.pixels).save(folder / name)
        rows.append((name, picture.person, picture.method))
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "person", "method"))
        writer.writerows(rows)
    return len(rows)
