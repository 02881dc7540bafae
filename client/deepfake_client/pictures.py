"""Encoded images to upright RGB pixels, for what people look at and for evaluation; untrusted files, within limits.

The service's own decoding is the preprocessing package's, which clients need not install.
"""

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError

MAX_PIXELS = 50_000_000
"""Default limit of width x height, that of a release's preprocessing."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_OVERSAMPLING = 2  # JPEGs are decoded at no less than twice the wanted size, so that the filter still has work to do
# How a picture stored with an EXIF orientation becomes upright (EXIF 2.32, tag 0x0112).
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


@contextmanager
def open_picture(encoded: bytes, max_pixels: int) -> Iterator[tuple[Image.Image, int]]:
    """The image, its pixels not yet decoded, and its EXIF orientation.

    Args:
        encoded: A JPEG, PNG, BMP or WebP file.
        max_pixels: Limit of width x height, checked on the header before any pixel is decoded.

    Raises:
        MediaDecodeError: The bytes are no such image, or cannot be decoded, also in the block that uses it.
        MediaTooLargeError: The image has more than `max_pixels`.
    """
    _check_webp_canvas(encoded, max_pixels)
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            _check_pixels(image.width, image.height, max_pixels)
            yield image, _orientation(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaTooLargeError(f"the frame is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, struct.error) as error:
        raise MediaDecodeError(f"the frame cannot be decoded ({type(error).__name__})") from error


def _check_webp_canvas(encoded: bytes, max_pixels: int) -> None:
    """Pillow allocates a WebP's whole canvas when it opens the file, so its size is read here (RFC 9649, section 2)."""
    if encoded[:4] != b"RIFF" or encoded[8:12] != b"WEBP" or len(encoded) < 30:
        return
    if encoded[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(encoded[at : at + 3], "little") for at in (24, 27))
    elif encoded[12:16] == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(encoded[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    _check_pixels(width, height, max_pixels)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise MediaTooLargeError(f"the frame is too large: {width} x {height} pixels, the limit is {max_pixels}")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return 1  # an EXIF block that cannot be read says nothing
    return value if isinstance(value, int) else 1


def upright_size_px(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Width and height once it is turned."""
    width, height = image.size
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def decode_upright(image: Image.Image, orientation: int, scale: float = 1.0) -> Image.Image:
    """The upright pixels as RGB; a JPEG is decoded at a fraction of its size where a `scale` below 1 lets it be."""
    least = math.ceil(scale * _OVERSAMPLING * image.width), math.ceil(scale * _OVERSAMPLING * image.height)
    image.draft(None, least)
    image.load()
    rgb = Image.fromarray(_grey16_to_rgb(image)) if image.mode.startswith("I") else _to_rgb(image)
    method = _TRANSPOSE.get(orientation)
    return rgb if method is None else rgb.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    image.info.pop("transparency", None)  # changes no colour, but Pillow warns about some palettes that have it
    return image.convert("RGB")


def _grey16_to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """16-bit grey, which Pillow would clip to white."""
    grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
