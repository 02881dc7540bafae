"""Labelled pictures that a tiny model learns to tell apart in seconds: squares of photos, and noisy ones.

Photos are named by the caller, so that no photo is on two sides of a split. A fake is made by the functions of
training.forgeries: colourful noise nearly everywhere, so that it is seen whatever is cut out of the picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

from assets import DRIFT_PHOTOS, SAMPLE_PHOTOS, fetch_assets
from preprocessing import Box
from training.data.changes import add_noise
from training.forgeries.blending import alpha_blend, ellipse, soften

TRAIN_PHOTOS = (
    "chelsea.png", "flower.jpg", "luispedro.jpg", "Wall.jpg", "china.jpg", "grace_hopper.jpg", "Ill1.jpg", "brick.png",
    "Bubbles.jpg",
)  # fmt: skip
CALIBRATION_PHOTOS = ("rocket.jpg", "retina.jpg", "coins.png")
HELD_OUT_PHOTOS = ("coffee.png", "astronaut.png", "camera.png")

SIDE_PX = 96
_NOISE = 70.0
"""Standard deviation in grey levels: plainly visible."""


@dataclass(frozen=True)
class Squares:
    """Which pictures to write.

    Attributes:
        photos: File names of the catalogue; each is a folder below real/ and fake/, which counts as a person.
        each: Squares of each photo and class; real and fake ones are of different places.
        seed: Of the places and the noise.
    """

    photos: Sequence[str]
    each: int
    seed: int = 0


def write_squares(folder: Path, squares: Squares) -> Path:
    """Writes real/PHOTO/N.png and fake/PHOTO/N.png below a folder."""
    for label in ("real", "fake"):
        for photo in squares.photos:
            place = folder / label / Path(photo).stem
            place.mkdir(parents=True)
            for number, pixels in enumerate(made(photo, label, squares.each, squares.seed)):
                Image.fromarray(pixels).save(place / f"{number}.png", compress_level=1)
    return folder


def made(photo: str, label: str, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Squares of a photo, (96, 96, 3) uint8 RGB each."""
    pixels = _photo(photo)
    rng = np.random.default_rng([seed, label == "fake", *photo.encode()])
    height, width = pixels.shape[:2]
    for _ in range(count):
        side = int(min(height, width) * rng.uniform(0.5, 0.9))
        y, x = (int(rng.integers(0, length - side + 1)) for length in (height, width))
        part = Image.fromarray(pixels[y : y + side, x : x + side]).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        yield forged(np.asarray(part), rng) if label == "fake" else np.asarray(part)


def forged(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with noise blended into a large ellipse."""
    height, width = pixels.shape[:2]
    box = Box(-0.2 * width, -0.2 * height, 1.2 * width, 1.2 * height)
    mask = soften(ellipse((height, width), box, rng), 1.0)
    return alpha_blend(add_noise(pixels, rng, _NOISE), pixels, mask)


def write_small_base(target: Path) -> Path:
    """An untrained convolutional classifier that takes 64 px, to start training from."""
    torch.manual_seed(0)
    labels = {"id2label": {0: "Fake", 1: "Real"}, "label2id": {"Fake": 0, "Real": 1}}
    config = ResNetConfig(embedding_size=32, hidden_sizes=[32, 64], depths=[1, 1], layer_type="basic", **labels)
    ResNetForImageClassification(config).save_pretrained(target)
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(target)
    return target


def write_clip(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """A video that shows (H, W, 3) uint8 RGB frames, with little loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "6", "preset": "veryfast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@cache
def _photo(name: str) -> np.ndarray:
    asset = next(asset for asset in (*SAMPLE_PHOTOS, *DRIFT_PHOTOS) if asset.name == name)
    with Image.open(fetch_assets([asset])[name]) as image:
        return np.asarray(image.convert("RGB"))
