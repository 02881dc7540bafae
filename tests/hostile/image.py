"""What a hostile image is, and the small images that hostile ones are made from."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pillow_heif import HeifImageFile

from preprocessing import Status
from tests.hostile.media_structure import jpeg_segment
from tests.media import on_white

Pixels = NDArray[np.uint8]

DECODED = Status.OK

BROKEN = frozenset({Status.DECODE_FAILED})
NO_IMAGE = frozenset({Status.NOT_AN_IMAGE})
REFUSED = frozenset({Status.UNSUPPORTED_FORMAT})
TOO_LARGE = frozenset({Status.TOO_MANY_PIXELS})
TOO_COMPLEX = frozenset({Status.TOO_COMPLEX})
GOOD = frozenset({DECODED})
EITHER = frozenset({DECODED, Status.DECODE_FAILED})


@dataclass(frozen=True)
class HostileImage:
    """One file.

    Attributes:
        name: What it is.
        make: Makes it.
        outcomes: The statuses that are right; `OK` stands for the right pixels.
        like: Makes a plain file of the right pixels; by default they are what Pillow makes of the file itself.
    """

    name: str
    make: Callable[[], bytes]
    outcomes: frozenset[Status]
    like: Callable[[], bytes] | None = None

    def right_pixels(self, encoded: bytes) -> Pixels:
        """(H, W, 3) uint8 RGB."""
        return as_pillow_decodes(self.like() if self.like else encoded)


def as_pillow_decodes(encoded: bytes) -> Pixels:
    """What transformers' pipelines load, on white where it is transparent: (H, W, 3) uint8 RGB, upright."""
    opened = HeifImageFile if encoded[8:12] == b"heic" else Image.open
    with opened(io.BytesIO(encoded)) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        has_alpha = upright.mode.endswith("A") or "transparency" in upright.info
        return on_white(upright) if has_alpha else np.asarray(upright.convert("RGB"))


@cache
def picture(width: int = 60, height: int = 44) -> Pixels:
    """A picture with edges, gradients and noise; the same at every call. Do not write to it."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(5).integers(0, 40, (height, width, 3))
    planes = np.stack([x * 4 % 216, y * 5 % 216, (x // 8 + y // 8) % 2 * 200], axis=2)
    pixels: Pixels = (planes + noise).astype(np.uint8)
    return pixels


def saved(format_: str, image: Image.Image | None = None, **options: object) -> bytes:
    """The picture as a file of Pillow's format name."""
    buffer = io.BytesIO()
    (image or Image.fromarray(picture())).save(buffer, format_, **options)
    return buffer.getvalue()


def png_rows(width: int, height: int, bytes_a_pixel: int = 3) -> bytes:
    """Unfiltered rows of a PNG."""
    values = np.arange(width * height * bytes_a_pixel, dtype=np.uint8).reshape(height, -1)
    return np.hstack([np.zeros((height, 1), np.uint8), values]).tobytes()


def interlaced_rows(width: int, height: int) -> bytes:
    """Rows of the seven passes of Adam7 (PNG 1.2, section 2.6)."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    out = b""
    for x, y, dx, dy in passes:
        columns, rows = len(range(x, width, dx)), len(range(y, height, dy))
        out += png_rows(columns, rows) if columns and rows else b""
    return out


def grey16() -> Image.Image:
    """A ramp of 16-bit grey."""
    return Image.fromarray(np.linspace(0, 65535, 60 * 44).astype(np.uint16).reshape(44, 60))


def exif_of(orientation: int) -> Image.Exif:
    """EXIF of an orientation alone."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def jpeg_with_segment(marker: int, body: bytes, times: int = 1) -> bytes:
    """The picture as a JPEG file with a segment in front, so many times."""
    plain = saved("JPEG")
    return plain[:2] + jpeg_segment(marker, body) * times + plain[2:]


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG file that says it is of another size."""
    content = bytearray(saved("JPEG", Image.new("RGB", (16, 16))))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def run_length_bmp(runs: bytes, side: int = 4) -> bytes:
    """A run-length coded grey BMP file of any runs."""
    palette = b"".join(struct.pack("<I", grey * 0x010101) for grey in range(256))
    start = 54 + len(palette)
    information = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + information + palette + runs
