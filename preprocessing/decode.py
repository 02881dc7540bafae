"""Encoded bytes to RGB pixels: structure and header first, then decode, sRGB, EXIF orientation.

The result is what people see of an image. transformers' image pipelines load something else (Pillow, `exif_transpose`,
`convert("RGB")`), deliberately departed from here:

- Colours are made sRGB by the image's profile, as browsers do; the pipelines ignore it.
- What is transparent lies on white, as viewers show it: `convert("RGB")` would give the colours that nobody sees.
- 16-bit grey, which Pillow clips, is scaled.
- A JPEG that lacks nothing but its end marker is decoded; Pillow refuses it.

All other images have the pipelines' pixels. `pipeline_pixels` gives them for the first three kinds as well.
"""

import io
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageChops, TiffImagePlugin, UnidentifiedImageError

from preprocessing.complexity import check_structure, check_tiles, check_work
from preprocessing.heif import as_picture, check_heif, is_heif
from preprocessing.icc import ToSrgb, to_srgb
from preprocessing.jpeg import decode_jpeg, decode_jpeg_without_end
from preprocessing.orientation import read_orientation, upright
from preprocessing.status import ImageRejectedError, Status

ACCEPTED_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF")
"""Those that Pillow decodes; HEIC is pillow-heif's."""

# Formats worth naming to a caller; anything else is "not an image".
_KNOWN_BUT_REFUSED = {
    b"II+\x00": "BigTIFF",
    b"MM\x00+": "BigTIFF",
    b"\x00\x00\x01\x00": "ICO",
    b"8BPS": "PSD",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
}
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")
_STRIP_PX = 256
_OLD_JPEG_IN_TIFF = 6  # has no agreed meaning
_NEW_SUBFILE_TYPE, _REDUCED_IMAGE = 254, 1

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError, RuntimeError)

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # images are decoded side by side


def decode_rgb(encoded: bytes, *, max_bytes: int, max_pixels: int, pipeline_pixels: bool = False) -> NDArray[np.uint8]:
    """Decodes one image: (H, W, 3) uint8, sRGB. For arguments and errors see `decode_as_stored`."""
    pixels, profile = decode_as_stored(
        encoded, max_bytes=max_bytes, max_pixels=max_pixels, pipeline_pixels=pipeline_pixels
    )
    if profile is not None:
        profile.convert_pixels(pixels)
    return pixels


def decode_as_stored(
    encoded: bytes, *, max_bytes: int, max_pixels: int, pipeline_pixels: bool = False
) -> tuple[NDArray[np.uint8], ToSrgb | None]:
    """Decodes one image, and leaves its colours to the caller: to convert them takes longer than all the rest.

    Args:
        encoded: A JPEG, PNG, BMP, WebP, GIF, TIFF, HEIC or AVIF file; of an animation the first frame counts, of a
            TIFF the first page, of a HEIC or AVIF file its primary picture.
        max_bytes: Limit of `len(encoded)`.
        max_pixels: Limit of width x height, enforced on the header before any pixel is decoded.
        pipeline_pixels: Whether colour profiles and transparency are ignored, as transformers' pipelines do.

    Returns:
        (H, W, 3) uint8, RGB, 0-255, C-contiguous, after EXIF orientation; and what makes sRGB of any part of it, None
        where it is sRGB.

    Raises:
        ImageRejectedError: With the status of the first rule that the image breaks.
    """
    if not encoded:
        raise ImageRejectedError(Status.EMPTY)
    if len(encoded) > max_bytes:
        raise ImageRejectedError(Status.TOO_MANY_BYTES, f"{len(encoded)} bytes; the limit is {max_bytes}")
    _check_webp_header(encoded, max_pixels)
    structure = check_structure(encoded)
    image = _open_header(encoded, max_pixels)
    with image:
        _check_pixels(image.width, image.height, max_pixels)
        check_work(structure.scans, image.width, image.height)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _check_page(image)
        try:
            profile = None if pipeline_pixels else to_srgb(image)
            pixels = (decode_jpeg_without_end if structure.lacks_end else decode_jpeg)(image, encoded)
            if pixels is None:
                pixels = _plain_rgb(image, encoded)
            if pixels is None:
                pixels, profile = (_rgb(image), None) if pipeline_pixels else _load_rgb(image, profile)
            return upright(pixels, read_orientation(image)), profile
        except _DAMAGE as error:
            raise ImageRejectedError(Status.DECODE_FAILED, f"{type(error).__name__}: {error}") from error


def _open_header(encoded: bytes, max_pixels: int) -> Image.Image:
    """Reads the header only; Pillow decodes pixels at the first access."""
    try:
        if not is_heif(encoded):
            return Image.open(io.BytesIO(encoded), formats=ACCEPTED_FORMATS)
        if check_heif(encoded, max_pixels) == b"av01":
            return Image.open(io.BytesIO(as_picture(encoded)), formats=("AVIF",))
        return _open_heic(encoded)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejectedError(Status.TOO_MANY_PIXELS, str(error)) from error
    except UnidentifiedImageError as error:
        raise _rejection_of_unidentified(encoded) from error
    except _DAMAGE as error:
        raise ImageRejectedError(Status.DECODE_FAILED, f"{type(error).__name__}: {error}") from error


def _open_heic(encoded: bytes) -> Image.Image:
    import pillow_heif  # its libraries take 30 MB, which most servers never need

    pillow_heif.options.DECODE_THREADS = 1
    image: Image.Image = pillow_heif.HeifImageFile(io.BytesIO(encoded))  # type: ignore[no-untyped-call]
    return image


def _check_page(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuses a TIFF page that libtiff or Pillow decodes at any price, or wrongly."""
    tags = image.tag_v2
    if tags.get(TiffImagePlugin.COMPRESSION) == _OLD_JPEG_IN_TIFF:
        raise ImageRejectedError(Status.UNSUPPORTED_FORMAT, "TIFF with old-style JPEG is not accepted")
    if tags.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED_IMAGE:
        raise ImageRejectedError(Status.UNSUPPORTED_FORMAT, "the first page is a preview, as in raw photographs")
    if image.mode in ("I", "F"):
        raise ImageRejectedError(Status.UNSUPPORTED_FORMAT, "TIFF with 32 bits for each value is not accepted")
    sides = [tags.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)]
    check_tiles(image.width, image.height, (sides[0] or 1, sides[1] or 1))


def _rejection_of_unidentified(encoded: bytes) -> ImageRejectedError:
    for magic, name in _KNOWN_BUT_REFUSED.items():
        if encoded.startswith(magic):
            return ImageRejectedError(Status.UNSUPPORTED_FORMAT, f"{name} is not accepted")
    # A file cut inside its header starts like an image but opens as none.
    if encoded.startswith(_STARTS) or _is_webp(encoded) or is_heif(encoded):
        return ImageRejectedError(Status.DECODE_FAILED, "the header is incomplete")
    return ImageRejectedError(Status.NOT_AN_IMAGE)


def _is_webp(encoded: bytes) -> bool:
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"


def _check_webp_header(encoded: bytes, max_pixels: int) -> None:
    """Pillow's WebP plugin allocates whole canvases on open, so its size is read here first (RFC 9649, section 2)."""
    if not _is_webp(encoded) or len(encoded) < 30:
        return
    chunk = encoded[12:16]
    if chunk == b"VP8X":
        width = 1 + int.from_bytes(encoded[24:27], "little")
        height = 1 + int.from_bytes(encoded[27:30], "little")
    elif chunk == b"VP8L":
        bits = int.from_bytes(encoded[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif chunk == b"VP8 ":
        width = int.from_bytes(encoded[26:28], "little") & 0x3FFF
        height = int.from_bytes(encoded[28:30], "little") & 0x3FFF
    else:
        return
    _check_pixels(width, height, max_pixels)


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageRejectedError(
            Status.TOO_MANY_PIXELS, f"{width} x {height} = {width * height} pixels; the limit is {max_pixels}"
        )


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pipelines' pixels."""
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _plain_rgb(image: Image.Image, encoded: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a TIFF that holds them as they are, in one strip, as a video's frames are sent; None of any other.

    Pillow copies them four times.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    match image.tile:
        case [("raw", (0, 0, width, height), start, ("RGB", 0, 1))] if (width, height) == image.size:
            shape = (height, width, 3)
            if start + math.prod(shape) <= len(encoded):
                return np.ndarray(shape, np.uint8, encoded, start).copy()
    return None


def _load_rgb(image: Image.Image, profile: ToSrgb | None) -> tuple[NDArray[np.uint8], ToSrgb | None]:
    """As `decode_as_stored` returns them, but for the orientation."""
    if "RGB;16B" in [tile.args for tile in getattr(image, "tile", ())]:
        image.info.pop("transparency", None)  # a colour of 16 bits, which Pillow compares with pixels of 8
    image.load()
    if image.mode.startswith("I"):
        values = np.asarray(image)
        grey = (values >> 8).clip(0, 255).astype(np.uint8)
        if (clear := image.info.get("transparency")) is not None:
            grey[values == clear] = 255
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2)), profile
    if image.mode.upper().endswith("A") or "transparency" in image.info:
        return _on_white(image, profile), None
    if profile is not None and profile.mode == "CMYK":
        return np.vstack([np.asarray(profile.convert(strip)) for strip in _strips(image)]), None
    return _rgb(image), profile


def _on_white(image: Image.Image, profile: ToSrgb | None) -> NDArray[np.uint8]:
    """What viewers show; opaque pixels keep their values exactly. By strips, which take little memory."""
    shown = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in zip(range(0, image.height, _STRIP_PX), _strips(image), strict=True):
        strip = strip.convert("RGBA")
        colours = strip.convert("RGB")
        if profile is not None:
            profile.convert_pixels(pixels := np.array(colours))
            colours = Image.fromarray(pixels)
        colours.paste("white", mask=ImageChops.invert(strip.getchannel("A")))
        shown[top : top + _STRIP_PX] = np.asarray(colours)
    return shown


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    for top in range(0, image.height, _STRIP_PX):
        yield image.crop((0, top, image.width, min(top + _STRIP_PX, image.height)))
