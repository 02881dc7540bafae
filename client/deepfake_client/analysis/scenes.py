"""Which sampled frames of a video show the same scene, by tiny pictures of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepfake_client.pictures import decode_upright, open_picture, with_end

SKETCH_SIDE_PX = 8
SKETCH_BYTES = 3 * SKETCH_SIDE_PX**2

CUT_DIFFERENCE = 30.0
"""Mean difference of two sketches, in grey levels of 255, from which on they show two scenes. Of the project's sample
photographs 96% of the pairs lie above it, and the same picture shown a tenth to the side or a fifth darker below it."""

_SAMPLED_PX = 64  # of a large picture not every pixel is looked at


def sketch(pixels: NDArray[np.uint8]) -> bytes:
    """A tiny copy of a picture, in some 0.1 ms.

    Args:
        pixels: (H, W, 3) uint8, RGB.

    Returns:
        (8, 8, 3) uint8, RGB.
    """
    rows, columns = (max(length // _SAMPLED_PX, 1) for length in pixels.shape[:2])
    return _reduced(Image.fromarray(np.ascontiguousarray(pixels[::rows, ::columns])))


def sketch_of_file(encoded: bytes, max_pixels: int = 4096 * 2160) -> bytes:
    """The same from an image file that the service has scored; raises as `open_picture`."""
    with open_picture(with_end(encoded), max_pixels) as image:
        return _reduced(decode_upright(image, (SKETCH_SIDE_PX, SKETCH_SIDE_PX)))


def number_scenes(sketches: Sequence[bytes]) -> list[int]:
    """The scene of each frame, from 0.

    A frame belongs to the scene of the frame before it, or else to the earlier scene whose last frame it resembles
    most: dialogues are cut from one person to the other and back. Otherwise it begins a new scene.

    Args:
        sketches: Of the frames, in order; a frame with an empty one belongs to the scene before it.
    """
    scenes: list[int] = []
    last: list[NDArray[np.int16]] = []  # frame of each scene
    current = 0
    for one in sketches:
        if one:
            picture = np.frombuffer(one, np.uint8).astype(np.int16)
            differences = [float(np.abs(picture - other).mean()) for other in last]
            if not last or differences[current] >= CUT_DIFFERENCE:
                nearest = int(np.argmin(differences)) if last else 0
                current = nearest if last and differences[nearest] < CUT_DIFFERENCE else len(last)
            last[current : current + 1] = [picture]
        scenes.append(current)
    return scenes


def _reduced(picture: Image.Image) -> bytes:
    return picture.resize((SKETCH_SIDE_PX, SKETCH_SIDE_PX), Image.Resampling.BOX).tobytes()
