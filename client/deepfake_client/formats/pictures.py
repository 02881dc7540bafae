"""How many pictures an image file holds: walks over PNG chunks, GIF blocks and TIFF pages."""

from collections.abc import Iterator
from itertools import islice, takewhile
from typing import BinaryIO

_MOST_PNG_CHUNKS = 100_000  # the service refuses pictures with more
_MOST_GIF_BLOCKS = 300_000  # 75 MB in whole blocks


def has_several_pictures(stream: BinaryIO, format_name: str) -> bool:
    """Whether a PNG or GIF is animated, or a TIFF has several pages; False for other formats."""
    if format_name == "png":
        return b"acTL" in takewhile(lambda chunk: chunk != b"IDAT", png_chunks(stream))
    walk = {"gif": _gif_pictures, "tiff": _tiff_pages}.get(format_name)
    return walk is not None and len(list(islice(walk(stream), 2))) == 2


def png_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The names of a PNG file's chunks, in order."""
    position = 8
    for _ in range(_MOST_PNG_CHUNKS):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            return
        yield header[4:]
        position += 12 + int.from_bytes(header[:4], "big")


def _gif_pictures(stream: BinaryIO) -> Iterator[int]:
    """The place of each picture (GIF89a, section 20)."""
    stream.seek(10)
    _skip(stream, 2 + _colours_bytes(stream.read(1)))
    blocks = 0
    while (kind := stream.read(1)) in (b",", b"!") and blocks < _MOST_GIF_BLOCKS:
        if kind == b",":
            yield stream.tell()
            _skip(stream, 8)
            _skip(stream, _colours_bytes(stream.read(1)))
        _skip(stream, 1)  # the picture's code size, the extension's label
        while (length := stream.read(1)) not in (b"", b"\0") and blocks < _MOST_GIF_BLOCKS:
            _skip(stream, length[0])
            blocks += 1
        blocks += 1


def _colours_bytes(packed: bytes) -> int:
    """Length of a colour table, from the byte that announces it."""
    return 3 << (packed[0] & 7) + 1 if packed and packed[0] & 0x80 else 0


def _skip(stream: BinaryIO, length: int) -> None:
    stream.seek(stream.tell() + length)


def _tiff_pages(stream: BinaryIO) -> Iterator[int]:
    """The place of each page's directory (TIFF 6.0, section 2); a chain that turns back is without end."""
    stream.seek(0)
    order = "little" if stream.read(4)[:1] == b"I" else "big"
    while position := int.from_bytes(stream.read(4), order):  # type: ignore[arg-type]
        stream.seek(position)
        if len(entries := stream.read(2)) < 2:
            return
        yield position
        _skip(stream, 12 * int.from_bytes(entries, order))  # type: ignore[arg-type]
