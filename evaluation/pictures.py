"""Encoded frames to pixels and back, with Pillow: the pixels that the server sees."""

import io
import struct

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from evaluation.errors import FrameDecodeError, FrameTooLargeError

MAX_PIXELS = 50_000_000
"""Largest width x height that is decoded here, as in the server's own default."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(encoded: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An RGB image, upright after EXIF orientation.

    Args:
        encoded: A JPEG, PNG, BMP or WebP file.
        max_pixels: Limit of width x height, checked on the header.

    Raises:
        FrameTooLargeError: There are more pixels.
        FrameDecodeError: It is no such file, or a broken one.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise FrameTooLargeError(f"{image.width} x {image.height} pixels; at most {max_pixels} are degraded")
            image.load()
            return _rgb(_upright(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FrameTooLargeError(str(error)) from error
    except UnidentifiedImageError as error:
        raise FrameDecodeError("not a JPEG, PNG, BMP or WebP image") from error
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error) as error:
        raise FrameDecodeError(f"{type(error).__name__}: {error}") from error


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """A baseline JPEG with Pillow's tables for `quality` and 4:2:0 chroma subsampling.

    Raises:
        FrameTooLargeError: A side is longer than JPEG allows.
    """
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
    except OSError as error:
        raise FrameTooLargeError(f"{image.width} x {image.height} pixels are too many for a JPEG: {error}") from error
    return buffer.getvalue()


def encode_lossless(image: Image.Image) -> bytes:
    """A PNG, which changes no pixel."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return image  # an EXIF block that cannot be read says nothing
    method = _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    image.info.pop("transparency", None)  # changes no colour, but Pillow warns about some palettes that have it
    return image.convert("RGB")
