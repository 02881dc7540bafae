"""Decodes JPEG with libjpeg-turbo, which Pillow uses too, straight into an array of three bytes per pixel.

Pillow decodes into four bytes per pixel, is fed 64 KiB at a time, and copies twice to make such an array. It still
decides what is an image: strict decoding here gives exactly its pixels, or nothing.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

_MAX_BYTES = 16 * 2**20
"""Damage shows only when all is decoded, and then Pillow decodes again. Larger files would take seconds twice."""

_END = b"\xff\xd9"


def decode_jpeg(header: Image.Image, encoded: bytes) -> NDArray[np.uint8] | None:
    """Decodes a colour or grey JPEG as stored, before EXIF orientation.

    Args:
        header: Pillow's image of the same bytes, not loaded; its size bounds what is decoded.
        encoded: The file.

    Returns:
        (H, W, 3) uint8, RGB, C-contiguous, equal to Pillow's; None where Pillow must decide: another format, CMYK, and
        whatever libjpeg refuses or warns about.
    """
    return _decode(header, encoded) if len(encoded) <= _MAX_BYTES else None


def decode_jpeg_without_end(header: Image.Image, encoded: bytes) -> NDArray[np.uint8] | None:
    """As `decode_jpeg`, for a JPEG of any size that lacks nothing but its end marker; None for any other damage.

    The pixels are Pillow's with LOAD_TRUNCATED_IMAGES, which puts such a marker behind any file. Here libjpeg must miss
    nothing, and it must miss the last byte: zeros that stand for a part of a picture are data, too, but too many.
    """
    data = encoded.rstrip(b"\xff")
    if _decode(header, data[:-1] + _END) is not None:
        return None
    return _decode(header, data + _END)


def _decode(header: Image.Image, encoded: bytes) -> NDArray[np.uint8] | None:
    if not isinstance(header, JpegImageFile) or header.mode not in ("L", "RGB"):
        return None
    import simplejpeg  # only what decodes needs it: settings and --help do without

    pixels = np.empty((header.height, header.width, 3), np.uint8)
    try:
        # The buffer is also the limit: a size other than the checked one raises or shows in the shape.
        decoded = simplejpeg.decode_jpeg(encoded, "RGB", fastdct=False, fastupsample=False, buffer=pixels, strict=True)
    except (ValueError, RuntimeError):
        return None
    return pixels if decoded.shape == pixels.shape else None
