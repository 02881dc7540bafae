"""Small JPEG pictures of frames, for people to look at: pure functions from an encoded frame to a thumbnail.

Decoding untrusted images costs time. Make thumbnails of frames whose status is `OK`: those the service has already
checked and decoded; here only the pixel limit is checked again.
"""

import io
import math
from dataclasses import dataclass

from PIL import Image

from deepfake_client.errors import ConfigurationError
from deepfake_client.pictures import MAX_PIXELS, decode_upright, open_picture, upright_size_px

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, origin at the top left."""

_JPEG_QUALITY = 82


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
    with open_picture(encoded, max_pixels) as (image, orientation):
        frame = upright_size_px(image, orientation)
        scale = min(max_side_px / max(frame), 1.0)
        width, height = (max(round(side * scale), 1) for side in frame)
        pixels = decode_upright(image, orientation, scale)
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
    with open_picture(encoded, max_pixels) as (image, orientation):
        frame = upright_size_px(image, orientation)
        x0, y0, side = crop_square(face_box_px, *frame, crop_factor)
        pixels = decode_upright(image, orientation, min(max_side_px / side, 1.0))
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
    with open_picture(encoded, max_pixels) as (image, orientation):
        return upright_size_px(image, orientation)


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


def _jpeg(image: Image.Image) -> bytes:
    image.info.clear()  # Pillow would write the frame's comment again
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0", optimize=True, exif=b"", icc_profile=None)
    return buffer.getvalue()
