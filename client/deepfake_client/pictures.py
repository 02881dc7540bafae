"""Frames as upright RGB pictures, for people to look at and for evaluation.

The service's own decoding is the preprocessing package's, which clients need not install. Only frames that the service
has scored come here, so it has checked and decoded them before.
"""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError

MAX_PIXELS = 50_000_000
"""Default limit of width x height, that of a release's preprocessing."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_OVERSAMPLING = 2  # a JPEG is decoded at twice the wanted size or more, so that the resize can filter
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


@contextmanager
def open_picture(encoded: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its pixels not yet decoded.

    Args:
        encoded: A JPEG, PNG, BMP or WebP file.
        max_pixels: Limit of width x height, checked on the header before any pixel is decoded.

    Raises:
        MediaDecodeError: The bytes are no such image, or cannot be decoded, also in the block that uses it.
        MediaTooLargeError: The image has more than `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise MediaTooLargeError(
                    f"the frame is too large: {image.width} x {image.height} pixels, the limit is {max_pixels}"
                )
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaTooLargeError(f"the frame is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, struct.error) as error:
        raise MediaDecodeError(f"the frame cannot be decoded ({type(error).__name__})") from error


def upright_size_px(image: Image.Image) -> tuple[int, int]:
    """Width and height after EXIF orientation."""
    try:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        sideways = False  # its EXIF block cannot be read
    return (image.height, image.width) if sideways else image.size


def decode_upright(image: Image.Image, least_px: tuple[int, int] | None = None) -> Image.Image:
    """The upright pixels as RGB.

    Args:
        image: From `open_picture`.
        least_px: Width and height that are wanted, before orientation: a JPEG is decoded at a fraction of its size
            where that is at least twice as large. None: the full size.
    """
    if least_px is not None:
        image.draft(None, (_OVERSAMPLING * least_px[0], _OVERSAMPLING * least_px[1]))
    image.load()
    try:
        upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        upright = image
    if upright.mode.startswith("I"):  # 16-bit grey, which Pillow would clip to white
        grey = (np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    upright.info.pop("transparency", None)  # Pillow warns about some palettes that have it
    return upright.convert("RGB")


def canary_image() -> bytes:
    """A PNG file of (64, 64, 3) random RGB values: no cache has the answer, so scoring it proves a real inference."""
    pixels = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG")
    return buffer.getvalue()
