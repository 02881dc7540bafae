"""Bounds on what an image costs to decode, read from its structure before any pixel is decoded.

Pixels alone do not bound the cost: a progressive JPEG may visit every pixel once per scan and hold thousands of scans
of a few bytes, and Pillow walks the chunks of a PNG and the runs of a BMP in Python. Times in this module are of one
core of a Xeon server, with Pillow 13.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from preprocessing.status import ImageRejectedError, Status

MAX_SIDE_PX = 65_535
"""Pillow keeps a pointer for each row: 1 x 50,000,000 pixels take 1.4 GiB. No JPEG or WebP has a longer side."""

MAX_JPEG_SCANS = 100
"""Ordinary progressive files have 6 to 18; the format needs no more than some 50 for one component."""

MAX_JPEG_SCANNED_PIXELS = 1_200_000_000
"""Limit of scans x pixels: 18 scans of 64 megapixels, 100 of 12. A scan that says nothing costs 0.6 ms per megapixel,
so repeated empty scans add 0.7 s; the worst accepted file found, 48 scans of noise in 56 MiB, takes 3 to 4 s."""

MAX_JPEG_SEGMENTS = 10_000
"""Markers with a length of their own. Metadata of 64 MiB in whole segments are 1,024."""

MAX_PNG_CHUNKS = 100_000
"""Each costs 2 microseconds. An encoder that writes 8 KiB at a time makes 8,192 of 64 MiB."""

MAX_GIF_BLOCKS = 300_000
"""Before and in the first picture, which Pillow reads in Python: 75 MB in whole blocks."""

MAX_TIFF_VALUES = 100_000
"""Of one tag that holds numbers, such as the places of strips. 65,535 rows are as many strips at most."""

MAX_BMP_RLE_WORK = 10_000_000
"""Limit of bytes + pixels of a run-length coded BMP: 0.1 to 0.2 microseconds each, 2 s in all."""

# Arithmetic coding packs many decisions into a bit, so that a scan may cost far more than its bytes let expect.
_ARITHMETIC_SCAN_WEIGHT = 10
_ARITHMETIC_FRAMES = frozenset({0xC9, 0xCA, 0xCD, 0xCE})

_FRAMES = frozenset({0xC0, 0xC1, 0xC2}) | _ARITHMETIC_FRAMES
_SOS, _EOI = 0xDA, 0xD9
# SOF, DHT, DAC; then SOS, DQT, DNL, DRI; APPn; COM: what libjpeg skips or reads by its length. It refuses all others.
_WITH_LENGTH = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xDE), *range(0xE0, 0xF0), 0xFE})
# Neither a stuffed zero, a fill byte nor a restart marker: the same bytes that end a scan for libjpeg.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


@dataclass(frozen=True)
class Structure:
    """What a file's structure says.

    Attributes:
        scans: How often a decoder visits each pixel, the JPEG's scans; 1 for other formats.
        lacks_end: Whether it is a JPEG that begins all the scans it needs and has no end marker.
    """

    scans: int = 1
    lacks_end: bool = False


def check_structure(encoded: bytes) -> Structure:
    """Refuses a file of any format whose structure makes it costly; walks over it without decoding.

    Raises:
        ImageRejectedError: With `TOO_COMPLEX`.
    """
    if encoded.startswith(b"\xff\xd8"):
        return _check_segments(encoded)
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_chunks(encoded)
    elif encoded.startswith(b"BM"):
        _check_runs(encoded)
    elif encoded.startswith(b"GIF8"):
        _check_blocks(encoded)
    elif encoded.startswith((b"II*\0", b"MM\0*")):
        _check_tags(encoded)
    return Structure()


def check_work(scans: int, width: int, height: int) -> None:
    """Refuses an extremely long image, and a JPEG that visits too many pixels in all its scans.

    Raises:
        ImageRejectedError: With `TOO_COMPLEX`.
    """
    if max(width, height) > MAX_SIDE_PX:
        raise ImageRejectedError(Status.TOO_COMPLEX, f"{width} x {height} pixels; a side may have {MAX_SIDE_PX}")
    if scans > 1 and scans * width * height > MAX_JPEG_SCANNED_PIXELS:
        raise ImageRejectedError(
            Status.TOO_COMPLEX,
            f"{scans} scans of {width} x {height} pixels; the limit is {MAX_JPEG_SCANNED_PIXELS} together",
        )


def _check_segments(encoded: bytes) -> Structure:
    """Counts up to the end of the first image, where libjpeg stops; previews lie within segments and do not count."""
    scans, weight = 0, 1
    coverage = _Coverage()
    for segments, (marker, start) in enumerate(_segments(encoded), start=1):
        if marker == _EOI:
            return Structure(scans)
        if marker in _ARITHMETIC_FRAMES:
            weight = _ARITHMETIC_SCAN_WEIGHT
        if marker == _SOS:
            scans += weight
        if scans > MAX_JPEG_SCANS or segments > MAX_JPEG_SEGMENTS:
            raise ImageRejectedError(Status.TOO_COMPLEX, f"over {MAX_JPEG_SCANS} scans or {MAX_JPEG_SEGMENTS} segments")
        coverage.add(marker, encoded[start : start + 8 + 3 * 4])
    # Of arithmetic coding libjpeg does not say where data are missing.
    return Structure(scans, lacks_end=weight == 1 and coverage.is_complete)


def _segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Each marker that has a length, and the place of that length; last the end of the image, if there is one."""
    position = 2
    while match := _MARKER.search(encoded, position):
        marker = match[1][0]
        position = match.end()
        if marker in _WITH_LENGTH or marker == _EOI:
            yield marker, position
            if marker == _EOI:
                return
            position += max(int.from_bytes(encoded[position : position + 2], "big"), 2)


class _Coverage:
    """Which coefficients of which components the scans of a JPEG bring, to their last bit (ITU-T T.81, B.2 and G.1)."""

    def __init__(self) -> None:
        self._missing: dict[int, set[int]] = {}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return bool(self._missing) and not any(self._missing.values())

    def add(self, marker: int, content: bytes) -> None:
        """Takes note of a segment: its length in two bytes, and what follows."""
        if marker in _FRAMES:
            components = content[8::3][: int.from_bytes(content[7:8], "big")]
            self._missing = {component: set(range(64)) for component in components}
        elif marker == _SOS and len(content) > 5 and len(content) >= (end := 3 + 2 * content[2]) + 3:
            first, last, bits = content[end : end + 3]
            for component in content[3:end:2]:
                if bits & 15 == 0:
                    self._missing.get(component, set()).difference_update(range(first, last + 1))


def _check_chunks(encoded: bytes) -> None:
    position, chunks = 8, 0
    while position + 12 <= len(encoded):
        chunks += 1
        if chunks > MAX_PNG_CHUNKS:
            raise ImageRejectedError(Status.TOO_COMPLEX, f"over {MAX_PNG_CHUNKS} chunks")
        position += 12 + int.from_bytes(encoded[position : position + 4], "big")


def _check_blocks(encoded: bytes) -> None:
    """Up to the end of the first picture (GIF89a, sections 15 to 25)."""

    def colours_bytes(at: int) -> int:
        packed = encoded[at] if at < len(encoded) else 0
        return 3 << (packed & 7) + 1 if packed & 0x80 else 0

    position, blocks, kind = 13 + colours_bytes(10), 0, b"!"
    while kind == b"!" and (kind := encoded[position : position + 1]) in (b"!", b","):
        position += 2 if kind == b"!" else 11 + colours_bytes(position + 9)
        while position < len(encoded) and encoded[position]:
            position += 1 + encoded[position]
            blocks += 1
        position, blocks = position + 1, blocks + 1
        if blocks > MAX_GIF_BLOCKS:
            raise ImageRejectedError(Status.TOO_COMPLEX, f"over {MAX_GIF_BLOCKS} blocks")


def _check_tags(encoded: bytes) -> None:
    """Of the first page (TIFF 6.0, section 2). Pillow refuses tags that hold more than the file together."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(encoded[at : at + size], "little" if encoded[:1] == b"I" else "big")

    page = number(4, 4)
    for entry in range(page + 2, page + 2 + 12 * number(page, 2), 12):
        holds_bytes = number(entry + 2, 2) in (1, 2, 6, 7)
        if not holds_bytes and number(entry + 4, 4) > MAX_TIFF_VALUES:
            raise ImageRejectedError(Status.TOO_COMPLEX, f"over {MAX_TIFF_VALUES} values in one tag")


def check_tiles(width: int, height: int, tile: tuple[int, int]) -> None:
    """Refuses a TIFF whose tiles are far larger than the picture that they are cut to.

    Raises:
        ImageRejectedError: With `TOO_COMPLEX`.
    """
    if tile[0] * tile[1] > max(4 * width * height, 2**20):
        raise ImageRejectedError(Status.TOO_COMPLEX, f"tiles of {tile[0]} x {tile[1]} pixels")


def _check_runs(encoded: bytes) -> None:
    compression = int.from_bytes(encoded[30:34], "little")
    if int.from_bytes(encoded[14:18], "little") < 40 or compression not in (1, 2):
        return
    width, height = (abs(int.from_bytes(encoded[i : i + 4], "little", signed=True)) for i in (18, 22))
    if len(encoded) + width * height > MAX_BMP_RLE_WORK:
        raise ImageRejectedError(
            Status.TOO_COMPLEX, f"run-length coded with over {MAX_BMP_RLE_WORK} bytes and pixels; save it uncompressed"
        )
