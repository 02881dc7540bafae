"""Golden images made by code: textures as they are, and the same with a part that is of another kind."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing import Box
from training.calibration.golden import GoldenPicture
from training.data.face_image import FaceImage
from training.forgeries import ForgeryRecipe, SelfBlender

_SIDE_PX = 224
_OBVIOUS = ForgeryRecipe(strength=2.0, colour=1.0, frequency=1.0, multiband=0.0, min_opacity=1.0)


def golden_candidates(count: int, seed: int) -> list[tuple[GoldenPicture, GoldenPicture]]:
    """Pairs of a real and a fake picture; whoever takes some of them as golden asks the model which are clear.

    Args:
        count: How many pairs.
        seed: Of everything drawn.
    """
    pairs = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        face = FaceImage(_texture(rng), Box(45.0, 40.0, 180.0, 190.0), f"texture {number}", "")
        forged = SelfBlender(_OBVIOUS).forge(face, rng).pixels
        pairs.append(
            (
                GoldenPicture(f"real-{number}.png", "real", _png(face.pixels)),
                GoldenPicture(f"fake-{number}.png", "fake", _png(forged)),
            )
        )
    return pairs


def _texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(S, S, 3) uint8: noise whose power falls with frequency as in photographs (Field, JOSA A 4, 1987), tinted."""
    frequency = np.hypot(np.fft.fftfreq(_SIDE_PX)[:, None], np.fft.rfftfreq(_SIDE_PX)[None])
    amplitude = 1 / np.maximum(frequency, 1 / _SIDE_PX) ** rng.uniform(1.1, 1.4)
    spectrum = amplitude * np.exp(2j * np.pi * rng.random(frequency.shape))
    spectrum[0, 0] = 0
    grey = np.fft.irfft2(spectrum, s=(_SIDE_PX, _SIDE_PX))
    grey *= 45 / grey.std()
    tint = rng.uniform(0.7, 1.1, 3)
    values = 128 + rng.uniform(-20, 20, 3) + grey[..., None] * tint
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
