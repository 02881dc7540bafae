"""Small JPEG pictures of frames, for people to look at: pure functions from an encoded frame to a thumbnail.

Decoding untrusted images costs time. Make thumbnails of frames whose status is `OK`: those the service has already
checked and decoded; here only the pixel limit is checked again.
"""

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from client.errors import ConfigurationError, MediaDecodeError, MediaTooLargeError

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, origin at the top left."""

MAX_PIXELS = 50_000_000
"""Default limit of width x height, that of a release's preprocessing."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_JPEG_QUALITY = 82
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


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a frame, upright.

    Attributes:
        jpeg: A JPEG file, RGB, without any metadata; the same input gives the same bytes with the same Pillow.
        width_px: Its width.
        height_px: Its height.
        face_box_px: The face box in pixels of the thumbnail; None without a face.
        frame_width_px: Width of the frame itself, after EXIF orientation.
        frame_height_px: Height of the frame itself.
    """

    jpeg: bytes
    width_px: int
    height_px: int
    face_box_px: Box | None
    frame_width_px: int
    frame_height_px: int


def make_thumbnail(
    encoded: bytes, face_box_px: Box | None = None, *, max_side_px: int = 320, max_pixels: int = MAX_PIXELS
) -> Thumbnail:
    """A whole frame, made smaller (never larger).

    Args:
        encoded: One frame as sent to Triton: a JPEG, PNG, BMP or WebP file.
        face_box_px: `FrameScore.face_box_px` of the frame: pixels after EXIF orientation, or None.
        max_side_px: Longest side of the thumbnail.
        max_pixels: Limit of width x height, checked on the header before any pixel is decoded.

    Raises:
        MediaDecodeError: The bytes are no such image, or cannot be decoded.
        MediaTooLargeError: The image has more than `max_pixels`.
        ConfigurationError: A limit is not at least 1.
    """
    _require_positive(max_side_px=max_side_px, max_pixels=max_pixels)
    with _open(encoded, max_pixels) as (image, orientation):
        frame = _upright_size(image, orientation)
        scale = min(max_side_px / max(frame), 1.0)
        width, height = (max(round(side * scale), 1) for side in frame)
        pixels = _decode(image, orientation, scale)
    small = pixels.resize((width, height), Image.Resampling.LANCZOS)
    box = None
    if face_box_px is not None:
        x0, y0, x1, y1 = face_box_px
        x_scale, y_scale = width / frame[0], height / frame[1]
        box = (x0 * x_scale, y0 * y_scale, x1 * x_scale, y1 * y_scale)
    return Thumbnail(_jpeg(small), width, height, box, *frame)


def make_crop_thumbnail(
    encoded: bytes,
    face_box_px: Box,
    crop_factor: float,
    *,
    max_side_px: int = 224,
    max_pixels: int = MAX_PIXELS,
) -> Thumbnail:
    """The square around the face that was given to the classifier, made smaller (never larger).

    Args:
        encoded: One frame as sent to Triton.
        face_box_px: Its face box: pixels after EXIF orientation.
        crop_factor: Side of the square over the longer side of the box: the release's own.
        max_side_px: Longest side of the thumbnail.
        max_pixels: Limit of width x height of the whole frame.

    Raises:
        MediaDecodeError: The bytes are no such image, or cannot be decoded.
        MediaTooLargeError: The image has more than `max_pixels`.
        ConfigurationError: A limit is not at least 1.
    """
    _require_positive(max_side_px=max_side_px, max_pixels=max_pixels)
    with _open(encoded, max_pixels) as (image, orientation):
        frame = _upright_size(image, orientation)
        x0, y0, side = crop_square(face_box_px, *frame, crop_factor)
        pixels = _decode(image, orientation, min(max_side_px / side, 1.0))
    # Pixels of the decoded picture for each pixel of the frame: below 1 where the JPEG was decoded smaller.
    x_scale, y_scale = pixels.width / frame[0], pixels.height / frame[1]
    source = (x0 * x_scale, y0 * y_scale, (x0 + side) * x_scale, (y0 + side) * y_scale)
    out = min(side, max_side_px)
    small = pixels.resize((out, out), Image.Resampling.LANCZOS, box=source)
    f0, f1, f2, f3 = face_box_px
    box = ((f0 - x0) * out / side, (f1 - y0) * out / side, (f2 - x0) * out / side, (f3 - y0) * out / side)
    return Thumbnail(_jpeg(small), out, out, box, *frame)


def frame_size_px(encoded: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of a frame after EXIF orientation, from its header.

    Raises:
        MediaDecodeError: The bytes are no JPEG, PNG, BMP or WebP file.
        MediaTooLargeError: The image has more than `max_pixels`.
    """
    with _open(encoded, max_pixels) as (image, orientation):
        return _upright_size(image, orientation)


def crop_square(face_box_px: Box, width_px: int, height_px: int, crop_factor: float) -> tuple[int, int, int]:
    """The square given to the classifier for a face, as the service cuts it.

    Returns:
        x0, y0 and the side in whole pixels of the frame. Centred on the box and moved, not shrunk, to lie inside the
        frame; at most the frame's shorter side.
    """
    x0, y0, x1, y1 = face_box_px
    side = min(max(_half_up(crop_factor * max(x1 - x0, y1 - y0)), 1), width_px, height_px)
    left, top = _half_up((x0 + x1) / 2 - side / 2), _half_up((y0 + y1) / 2 - side / 2)
    return min(max(left, 0), width_px - side), min(max(top, 0), height_px - side), side


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)


def _require_positive(**limits: int) -> None:
    for name, value in limits.items():
        if value < 1:
            raise ConfigurationError(f"{name} must be at least 1, not {value}")


@contextmanager
def _open(encoded: bytes, max_pixels: int) -> Iterator[tuple[Image.Image, int]]:
    """The image, its pixels not yet decoded, and its EXIF orientation; maps Pillow's errors, the body's too."""
    _check_webp_canvas(encoded, max_pixels)
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            _check_pixels(image.width, image.height, max_pixels)
            yield image, _orientation(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaTooLargeError(f"the frame is too large for a thumbnail: {error}") from error
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, struct.error) as error:
        raise MediaDecodeError(f"no thumbnail: the frame cannot be decoded ({type(error).__name__})") from error


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
        raise MediaTooLargeError(
            f"the frame is too large for a thumbnail: {width} x {height} pixels, the limit is {max_pixels}"
        )


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return 1  # an EXIF block that cannot be read says nothing
    return value if isinstance(value, int) else 1


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def _decode(image: Image.Image, orientation: int, scale: float) -> Image.Image:
    """The upright pixels as RGB; a JPEG is decoded at a fraction of its size where `scale` lets it be."""
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


def _jpeg(image: Image.Image) -> bytes:
    image.info.clear()  # Pillow would write the frame's comment again
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0", optimize=True, exif=b"", icc_profile=None)
    return buffer.getvalue()
