"""Encoded bytes to RGB pixels: structure and header first, then decode, RGB, EXIF orientation.

The result equals what transformers' image pipelines load (Pillow, `exif_transpose`, `convert("RGB")`), so that the
service scores the pixels the checkpoint's authors scored. There are three exceptions:

- 16-bit grey, which Pillow clips, is scaled.
- What is transparent lies on white, as viewers show it: `convert("RGB")` would give the colours that nobody sees.
- A JPEG that lacks nothing but its end marker is decoded; Pillow refuses it.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError

from preprocessing.complexity import check_structure, check_work
from preprocessing.jpeg import decode_jpeg, decode_jpeg_without_end
from preprocessing.orientation import read_orientation, upright
from preprocessing.status import ImageRejectedError, Status

ACCEPTED_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")

# Formats worth naming to a caller; anything else is "not an image".
_KNOWN_BUT_REFUSED = {
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"\x00\x00\x01\x00": "ICO",
    b"8BPS": "PSD",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
}
_STRIP_PX = 256
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")


def decode_rgb(encoded: bytes, *, max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decodes one image.

    Args:
        encoded: A JPEG, PNG, BMP or WebP file; of an animation the first frame counts.
        max_bytes: Limit of `len(encoded)`.
        max_pixels: Limit of width x height, enforced on the header before any pixel is decoded.

    Returns:
        (H, W, 3) uint8, RGB, 0-255, C-contiguous, after EXIF orientation.

    Raises:
        ImageRejectedError: With the status of the first rule that the image breaks.
    """
    if not encoded:
        raise ImageRejectedError(Status.EMPTY)
    if len(encoded) > max_bytes:
        raise ImageRejectedError(Status.TOO_MANY_BYTES, f"{len(encoded)} bytes; the limit is {max_bytes}")
    _check_webp_header(encoded, max_pixels)
    structure = check_structure(encoded)
    image = _open_header(encoded)
    with image:
        _check_pixels(image.width, image.height, max_pixels)
        check_work(structure.scans, image.width, image.height)
        try:
            pixels = (decode_jpeg_without_end if structure.lacks_end else decode_jpeg)(image, encoded)
            if pixels is None:
                pixels = _load_rgb(image)
            return upright(pixels, read_orientation(image))
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError) as error:
            raise ImageRejectedError(Status.DECODE_FAILED, f"{type(error).__name__}: {error}") from error


def _open_header(encoded: bytes) -> Image.Image:
    """Reads the header only; Pillow decodes pixels at the first access."""
    try:
        return Image.open(io.BytesIO(encoded), formats=ACCEPTED_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejectedError(Status.TOO_MANY_PIXELS, str(error)) from error
    except UnidentifiedImageError as error:
        raise _rejection_of_unidentified(encoded) from error
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError) as error:
        raise ImageRejectedError(Status.DECODE_FAILED, f"{type(error).__name__}: {error}") from error


def _rejection_of_unidentified(encoded: bytes) -> ImageRejectedError:
    for magic, name in _KNOWN_BUT_REFUSED.items():
        if encoded.startswith(magic):
            return ImageRejectedError(Status.UNSUPPORTED_FORMAT, f"{name} is not accepted")
    if encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS:
        return ImageRejectedError(Status.UNSUPPORTED_FORMAT, "HEIF/AVIF is not accepted")
    # A file cut inside its header starts like an image but opens as none.
    if encoded.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or _is_webp(encoded):
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


def _load_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if "RGB;16B" in [tile.args for tile in getattr(image, "tile", ())]:
        image.info.pop("transparency", None)  # a colour of 16 bits, which Pillow compares with pixels of 8
    image.load()
    if image.mode.startswith("I"):
        values = np.asarray(image)
        grey = (values >> 8).clip(0, 255).astype(np.uint8)
        if (clear := image.info.get("transparency")) is not None:
            grey[values == clear] = 255
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if image.mode.endswith("A") or "transparency" in image.info:
        return _on_white(image)
    return np.ascontiguousarray(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    """What viewers show; opaque pixels keep their values exactly. By strips, which take little memory."""
    shown = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_PX):
        strip = image.crop((0, top, image.width, min(top + _STRIP_PX, image.height))).convert("RGBA")
        colours = strip.convert("RGB")
        colours.paste("white", mask=ImageChops.invert(strip.getchannel("A")))
        shown[top : top + _STRIP_PX] = np.asarray(colours)
    return shown
