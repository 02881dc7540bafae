"""Frames to measure with: 1280 x 720 JPEG files with a face in each, the same pictures every time.

A frame may be sent once only, or a score cache would answer in place of the model. `fresh_frames` gives each use of a
picture a JPEG comment of its own: other bytes, the same pixels, the same cost.
"""

import itertools
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from assets import SAMPLE_PHOTOS, fetch_assets

SIZE_PX = (1280, 720)

_FACES_PX = {"astronaut.png": (173, 67, 276, 170), "camera.png": (200, 122, 277, 199)}
"""Where the photos' faces are: x0, y0, x1, y1, as MediaPipe finds them."""

# The frame's height: a face takes a third to a half of it, as in an interview.
_MIN_HEIGHT_IN_FACES, _MAX_HEIGHT_IN_FACES = 1.9, 2.8

_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_BOUNDARY = "deepfake-bench-boundary"


def make_face_frames(folder: Path, count: int) -> list[Path]:
    """Writes JPEG files of 1280 x 720 px, quality 90; files that are there stay.

    Args:
        folder: Where; made if it is not there.
        count: How many. A frame's content depends on its number alone.

    Returns:
        Their paths, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photos = fetch_assets(SAMPLE_PHOTOS)
    sources = [(Image.open(photos[name]).convert("RGB"), face) for name, face in _FACES_PX.items()]
    paths = []
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        paths.append(path)
        if not path.exists():
            partial = path.with_suffix(".partial")
            _varied(*sources[number % len(sources)], np.random.default_rng(number)).save(partial, "JPEG", quality=90)
            partial.replace(path)
    return paths


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture with a comment segment (T.81, B.2.4.5).

    Raises:
        ValueError: It is no JPEG file.
    """
    if not jpeg.startswith(_START_OF_IMAGE):
        raise ValueError("not a JPEG file")
    content = text.encode("ascii")
    return _START_OF_IMAGE + _COMMENT + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def image_body(route: str, image: bytes) -> tuple[bytes, str]:
    """The body of a request for one image, and its content type: a form for `/detect`, the bytes for any other."""
    if route != "/detect":
        return image, "application/octet-stream"
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="frame.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={_BOUNDARY}"


def fresh_frames(pool: Sequence[Path], folder: Path, count: int) -> list[Path]:
    """Writes frames with comments never used before, in turn from the pool, each into a new file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{secrets.token_hex(8)}.jpg" for _ in range(count)]
    for path, picture in zip(paths, itertools.cycle(pool), strict=False):
        path.write_bytes(with_comment(picture.read_bytes(), path.stem))
    return paths


def _varied(source: Image.Image, face: tuple[int, int, int, int], random: np.random.Generator) -> Image.Image:
    """A random crop of 16:9 around the face, of random brightness, mirrored or not."""
    x0, y0, x1, y1 = face
    height = round(random.uniform(_MIN_HEIGHT_IN_FACES, _MAX_HEIGHT_IN_FACES) * (y1 - y0))
    width = round(height * SIZE_PX[0] / SIZE_PX[1])
    margin = (y1 - y0) // 4
    left = _between(random, x1 + margin - width, x0 - margin, source.width - width)
    top = _between(random, y1 + margin - height, y0 - margin, source.height - height)
    crop = source.crop((left, top, left + width, top + height)).resize(SIZE_PX, Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return ImageEnhance.Brightness(crop).enhance(float(random.uniform(0.8, 1.2)))


def _between(random: np.random.Generator, low: int, high: int, limit: int) -> int:
    """A position from low to high that keeps the crop within the photo."""
    return int(random.integers(max(low, 0), min(high, limit) + 1))
