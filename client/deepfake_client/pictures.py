"""Frames as upright RGB pictures and small JPEGs, for people to look at and for evaluation.

The service's own decoding is the preprocessing package's, which clients need not install. Only frames that the service
has scored come here, so it has checked and decoded them before.
"""

import io
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageOps

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError
from deepfake_client.formats.icc import ToSrgb, to_srgb
from deepfake_client.media import SNIFF_BYTES, sniff
from deepfake_client.release import Preprocess

MAX_PIXELS = 64_000_000
"""Default limit of width x height, that of a release's preprocessing."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, origin at the top left."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF")
_JPEG_QUALITY = 82
_JPEG_END = b"\xff\xd9"
_OVERSAMPLING = 2  # a JPEG is decoded at twice the wanted size or more, so that the resize can filter
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def with_end(encoded: bytes) -> bytes:
    """A frame that the service has scored. An end marker may be all that a JPEG lacks, and Pillow insists on it."""
    whole = not encoded.startswith(b"\xff\xd8") or encoded.endswith(_JPEG_END)
    return encoded if whole else encoded + _JPEG_END


@contextmanager
def open_picture(encoded: bytes | BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its pixels not yet decoded.

    Args:
        encoded: An image file, or its stream. HEIC needs pillow-heif, the extra `heic`.
        max_pixels: Limit of width x height, checked on the header before any pixel is decoded.

    Raises:
        MediaDecodeError: The bytes are no such image, or cannot be decoded, also in the block that uses it.
        MediaTooLargeError: The image has more than `max_pixels`.
    """
    try:
        with _open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            if image.width * image.height > max_pixels:
                raise MediaTooLargeError(
                    f"the frame is too large: {image.width} x {image.height} pixels, the limit is {max_pixels}"
                )
            if "RGB;16B" in [tile.args for tile in getattr(image, "tile", ())]:
                image.info.pop("transparency", None)  # a colour of 16 bits, which Pillow compares with pixels of 8
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaTooLargeError(f"the frame is too large: {error}") from error
    except _DAMAGE as error:
        raise MediaDecodeError(f"the frame cannot be decoded ({type(error).__name__})") from error


_DAMAGE = (
    OSError, SyntaxError, ValueError, LookupError, TypeError, OverflowError, EOFError, RuntimeError, struct.error,
)  # fmt: skip


def _open(stream: BinaryIO) -> Image.Image:
    head = stream.read(SNIFF_BYTES)
    stream.seek(0)
    format_ = sniff(head)
    if format_ is None or format_.name != "heic":
        return Image.open(stream, formats=_FORMATS)
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise MediaDecodeError("a HEIC picture is shown only with pillow-heif, the client's extra heic") from error
    image: Image.Image = HeifImageFile(stream)  # type: ignore[no-untyped-call]
    return image


def upright_size_px(image: Image.Image) -> tuple[int, int]:
    """Width and height after EXIF orientation."""
    try:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        sideways = False  # its EXIF block cannot be read
    return (image.height, image.width) if sideways else image.size


def decode_upright(image: Image.Image, least_px: tuple[int, int] | None = None) -> Image.Image:
    """The upright pixels as sRGB, on white where they are transparent: what the service scores.

    Args:
        image: From `open_picture`.
        least_px: Width and height that are wanted, before orientation: a JPEG is decoded at a fraction of its size
            where that is at least twice as large. None: the full size.
    """
    if least_px is not None and image.format in ("JPEG", "MPO"):  # others may give a preview, another picture
        image.draft(None, (_OVERSAMPLING * least_px[0], _OVERSAMPLING * least_px[1]))
    image.load()
    profile = to_srgb(image)
    try:
        upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        upright = image
    if upright.mode.startswith("I"):  # 16-bit grey, which Pillow would clip to white
        values = np.asarray(upright)
        grey = (values >> 8).clip(0, 255).astype(np.uint8)
        if (clear := upright.info.get("transparency")) is not None:
            grey[values == clear] = 255
        return _rgb(Image.fromarray(grey), profile)
    if not _has_alpha(upright):
        return _rgb(upright, profile)
    covered = upright.convert("RGBA")
    shown = _rgb(covered.convert("RGB"), profile)
    shown.paste("white", mask=ImageChops.invert(covered.getchannel("A")))
    return shown


def scored_picture(encoded: bytes, preprocess: Preprocess) -> Image.Image:
    """A frame as a release scores it: upright RGB pixels without metadata; raises as `open_picture`."""
    with open_picture(with_end(encoded), preprocess.max_pixels) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB") if preprocess.pipeline_pixels else decode_upright(image)
    upright.info.clear()  # a colour profile would be written with a part of it, and applied twice
    return upright


def _rgb(image: Image.Image, profile: ToSrgb | None) -> Image.Image:
    return image.convert("RGB") if profile is None else profile.convert(image.convert(profile.mode))


def is_transparent(encoded: bytes, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether a background shows through any pixel of an image file; raises as `open_picture`."""
    with open_picture(encoded, max_pixels) as image:
        if image.mode.startswith("I"):
            return "transparency" in image.info
        if not _has_alpha(image):
            return False
        with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")  # a copy takes as much memory again
        return with_alpha.getchannel("A").getextrema() != (255, 255)


def _has_alpha(image: Image.Image) -> bool:
    """Pillow's `has_transparency_data` fails where a palette is missing."""
    return image.mode.upper().endswith("A") or "transparency" in image.info


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a frame, upright.

    Attributes:
        jpeg: A JPEG file, RGB, without any metadata; the same input gives the same bytes with the same Pillow.
        width_px: Its width.
        height_px: Its height.
        face_box_px: The face box in pixels of the thumbnail; None without a face.
        scale: Pixels of the thumbnail for each pixel of the frame, at most 1.
    """

    jpeg: bytes
    width_px: int
    height_px: int
    face_box_px: Box | None
    scale: float = 1.0


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
        encoded: One frame as sent to Triton.
        face_box_px: `FrameScore.face_box_px` of the frame: pixels after EXIF orientation, or None.
        crop_factor: Side of the square over the longer side of the box: the release's own. None: the whole frame.
        max_side_px: Longest side of the thumbnail.
        max_pixels: See `open_picture`, which says what is raised.
    """
    with open_picture(with_end(encoded), max_pixels) as image:
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
    return Thumbnail(small_jpeg(small), *out, box, scale)


def frame_size_px(encoded: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of a frame after EXIF orientation, from its header; raises as `open_picture`."""
    with open_picture(encoded, max_pixels) as image:
        if image.format == "PNG" and "exif" not in image.info:
            return image.size  # Pillow would decode all pixels to look for an orientation behind them
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


def small_jpeg(image: Image.Image) -> bytes:
    """A JPEG file without any metadata."""
    image.info.clear()  # Pillow would write the frame's comment again
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:0", optimize=True, exif=b"", icc_profile=None)
    return buffer.getvalue()


def canary_image() -> bytes:
    """A PNG file of (64, 64, 3) random RGB values: no cache has the answer, so scoring it proves a real inference."""
    pixels = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG")
    return buffer.getvalue()
