"""Encoded frames to pixels and back, with Pillow: the pixels that the server sees."""

import io

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError
from deepfake_client.pictures import MAX_PIXELS, decode_upright, open_picture
from PIL import Image

from evaluation.errors import FrameDecodeError, FrameTooLargeError


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
        with open_picture(encoded, max_pixels) as (image, orientation):
            return decode_upright(image, orientation)
    except MediaTooLargeError as error:
        raise FrameTooLargeError(str(error)) from error
    except MediaDecodeError as error:
        raise FrameDecodeError(str(error)) from error


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
