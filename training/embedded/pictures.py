"""Pictures made to measure the embedded model and to check its exports."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing import Box
from training.calibration.golden import GoldenPicture
from training.data.changes import Pixels, to_uint8
from training.data.faces import FaceImage, Forgery
from training.embedded.stages import SEEN
from training.forgeries import STRONG, ForgeryRecipe, SelfBlender
from training.forgeries.blending import Mask, alpha_blend, bend, ellipse, part, soften

SIDE_PX = 512
"""Pictures hold a face with its surroundings at no more than this."""

METHODS = ("filtered", "seen", "strong", "swap", "inpainting")
"""The first gives real pictures, the others give fakes. The last two are never trained on."""

_GOLDEN_SIDE_PX = 224
_OBVIOUS = ForgeryRecipe(strength=2.0, colour=1.0, frequency=1.0, multiband=0.0, min_opacity=1.0)


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
    """Real and fake pictures of each face, as many of each method.

    Real ones are untouched, or changed as a whole in the ways in which parts of the fakes are. Fakes are made by the
    seen methods, by strong ones, and by two that are never trained on. A swap takes another person's face.

    Args:
        faces: Faces of at least two people that nothing was trained on.
        variants: Pictures of each method and face; the untouched one is there once.
        seed: Seed of everything random.
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


def write_pictures(pictures: Iterator[LabelledPicture], folder: Path) -> None:
    """Writes them as PNG into an empty folder, in the layout that `deepfake-evaluate` and `deepfake-calibrate` take.

    people.csv says who is on each picture and how it was made.
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
        writer.writerows([("file", "person", "method"), *rows])


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


def swap_face(target: FaceImage, donor: FaceImage, rng: np.random.Generator) -> Forgery:
    """Another person's face in this one's place, box on box, by a gradient blend with matched mean colour.

    Args:
        target: Whose head and surroundings stay.
        donor: Whose face is put in.
        rng: Source of all randomness.
    """
    height, width = target.pixels.shape[:2]
    placed = cv2.warpAffine(
        donor.pixels, _box_to_box(donor.box, target.box), (width, height), flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    mask = bend(ellipse((height, width), target.box, rng), rng, amplitude_px=0.03 * target.box.width)
    inside = mask >= 0.5
    if inside.any():
        values = placed.astype(np.float32)
        values += target.pixels[inside].mean(axis=0) - values[inside].mean(axis=0)
        placed = to_uint8(values)
    blended = gradient_blend(np.asarray(placed, np.uint8), target.pixels, mask)
    return Forgery(blended, np.asarray(inside, np.float32), "swap")


def inpaint_face(face: FaceImage, rng: np.random.Generator) -> Forgery:
    """The eyes, nose or mouth filled in from their surroundings (Telea's fast marching, 2004), with a soft edge."""
    mask = part(face.shape_px, face.box, rng)
    filled = cv2.inpaint(face.pixels, np.asarray((mask >= 0.5) * 255, np.uint8), 3, cv2.INPAINT_TELEA)
    soft = soften(mask, sigma_px=0.01 * face.box.width)
    return Forgery(alpha_blend(np.asarray(filled, np.uint8), face.pixels, soft), soft, "inpainting")


def gradient_blend(foreground: Pixels, background: Pixels, mask: Mask) -> Pixels:
    """Keeps the foreground's gradients and takes the background's colours along the edge.

    Poisson image editing (Perez, Gangnet and Blake, SIGGRAPH 2003), as OpenCV has it: solved for the mask's rectangle,
    of which a little beside the mask changes, too. The mask counts from 0.5 on.
    """
    binary = np.asarray((mask >= 0.5) * 255, np.uint8)
    binary[[0, -1], :] = 0
    binary[:, [0, -1]] = 0  # the solver needs a rim of background
    rows, columns = np.flatnonzero(binary.any(axis=1)), np.flatnonzero(binary.any(axis=0))
    if len(rows) < 3 or len(columns) < 3:
        return background.copy()
    centre = (int(columns[0] + columns[-1]) // 2, int(rows[0] + rows[-1]) // 2)
    return np.asarray(cv2.seamlessClone(foreground, background, binary, centre, cv2.NORMAL_CLONE), np.uint8)


def _box_to_box(source: Box, target: Box) -> NDArray[np.float64]:
    scale = max(target.width, target.height) / max(source.width, source.height)
    x = (target.x0 + target.x1) / 2 - scale * (source.x0 + source.x1) / 2
    y = (target.y0 + target.y1) / 2 - scale * (source.y0 + source.y1) / 2
    return np.asarray([[scale, 0, x], [0, scale, y]], np.float64)


def golden_candidates(count: int, seed: int) -> list[tuple[GoldenPicture, GoldenPicture]]:
    """Pairs of a real and a fake picture; whoever takes some of them as golden asks the model which are clear.

    Args:
        count: How many pairs.
        seed: Seed of everything random.
    """
    pairs = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        face = FaceImage(_texture(rng), Box(45.0, 40.0, 180.0, 190.0), f"texture {number}", "")
        forged = SelfBlender(_OBVIOUS).forge(face, rng).pixels
        real = GoldenPicture(f"real-{number}.png", "real", _png(face.pixels))
        pairs.append((real, GoldenPicture(f"fake-{number}.png", "fake", _png(forged))))
    return pairs


def _texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(S, S, 3) uint8: noise whose power falls with frequency as in photographs (Field, JOSA A 4, 1987), tinted."""
    frequency = np.hypot(np.fft.fftfreq(_GOLDEN_SIDE_PX)[:, None], np.fft.rfftfreq(_GOLDEN_SIDE_PX)[None])
    amplitude = 1 / np.maximum(frequency, 1 / _GOLDEN_SIDE_PX) ** rng.uniform(1.1, 1.4)
    spectrum = amplitude * np.exp(2j * np.pi * rng.random(frequency.shape))
    spectrum[0, 0] = 0
    grey = np.fft.irfft2(spectrum, s=(_GOLDEN_SIDE_PX, _GOLDEN_SIDE_PX))
    grey *= 45 / grey.std()
    tint = rng.uniform(0.7, 1.1, 3)
    values = 128 + rng.uniform(-20, 20, 3) + grey[..., None] * tint
    return to_uint8(values)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
