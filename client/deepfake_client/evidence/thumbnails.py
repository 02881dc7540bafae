"""Small JPEG pictures of frames, for people to look at: pure functions from an encoded frame to a thumbnail.

Make them only of frames whose status is `OK`: those the service has already checked and decoded.
"""

import io
import math
from dataclasses import dataclass

from PIL import Image

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
    encoded: bytes,
    face_box_px: Box | None = None,
    crop_factor: float | None = None,
    *,
    max_side_px: int = 320,
    max_pixels: int = MAX_PIXELS,
) -> Thumbnail:
    """A whole frame, or the square around its face that was given to the classifier, made smaller (never larger).

    Args:
        encoded: One frame as sent to Triton: a JPEG, PNG, BMP or WebP file.
        face_box_px: `FrameScore.face_box_px` of the frame: pixels after EXIF orientation, or None.
        crop_factor: Side of the square over the longer side of the box: the release's own. None: the whole frame.
        max_side_px: Longest side of the thumbnail.
        max_pixels: Limit of width x height of the whole frame, checked on the header before any pixel is decoded.

    Raises:
        MediaDecodeError: The bytes are no such image, or cannot be decoded.
        MediaTooLargeError: The image has more than `max_pixels`.
    """
    with open_picture(encoded, max_pixels) as image:
        frame = upright_size_px(image)
        left, top, width, height = 0, 0, *frame
        if face_box_px is not None and crop_factor is not None:
            left, top, width = crop_square(face_box_px, *frame, crop_factor)
            height = width
        scale = min(max_side_px / max(width, height), 1.0)
        pixels = decode_upright(image, (math.ceil(scale * image.width), math.ceil(scale * image.height)))
    # Pixels of the decoded picture for each pixel of the frame: below 1 where the JPEG was decoded smaller.
    x_scale, y_scale = pixels.width / frame[0], pixels.height / frame[1]
    source = (left * x_scale, top * y_scale, (left + width) * x_scale, (top + height) * y_scale)
    out = max(round(width * scale), 1), max(round(height * scale), 1)
    small = pixels.resize(out, Image.Resampling.LANCZOS, box=source)
    box = None
    if face_box_px is not None:
        x0, y0, x1, y1 = face_box_px
        x_out, y_out = out[0] / width, out[1] / height
        box = ((x0 - left) * x_out, (y0 - top) * y_out, (x1 - left) * x_out, (y1 - top) * y_out)
    return Thumbnail(_jpeg(small), *out, box, *frame)


def frame_size_px(encoded: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of a frame after EXIF orientation, from its header.

    Raises:
        MediaDecodeError: The bytes are no JPEG, PNG, BMP or WebP file.
        MediaTooLargeError: The image has more than `max_pixels`.
    """
    with open_picture(encoded, max_pixels) as image:
        return upright_size_px(image)


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


def _jpeg(image: Image.Image) -> bytes:
    image.info.clear()  # Pillow would write the frame's comment again
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0", optimize=True, exif=b"", icc_profile=None)
    return buffer.getvalue()
