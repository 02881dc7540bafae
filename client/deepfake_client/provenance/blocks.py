"""Where a file keeps what it says of itself: its parts are walked by their sizes, and few bytes of it are read.

Sizes are the file's own claims. Each step goes forward, the steps are counted, and no more than a bound is read.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from deepfake_client.media import Media, TextEnum
from deepfake_client.provenance.exif import TiffDirectory

MAX_BLOCK_BYTES = 2**18
_MOST_STEPS = 5000
_MOST_ITEMS = 200


class BlockKind(TextEnum):
    """What a block holds."""

    EXIF = "EXIF"
    """A TIFF structure."""
    IPTC = "IPTC"
    """Photoshop's image resources."""
    XMP = "XMP"
    PNG_TEXT = "PNG text"
    """Keyword, a zero byte, text."""
    C2PA = "C2PA"
    """Manifests; the content is left out."""


@dataclass(frozen=True)
class Block:
    """A part of a file with metadata.

    Attributes:
        kind: What it holds.
        content: The bytes, at most `MAX_BLOCK_BYTES`.
    """

    kind: BlockKind
    content: bytes = b""


def metadata_blocks(media: Media) -> Iterator[Block]:
    """The blocks of a file, in order; none of a format that is not walked (BMP, Matroska, ...)."""
    walk = _WALKS.get(media.format.name)
    if walk is not None:
        yield from walk(media.stream)


_XMP_OF_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_C2PA_OF_ISO = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_OF_ISO = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_TIFF_XMP, _TIFF_IPTC, _TIFF_C2PA = 700, 34377, 52545


def _jpeg(stream: BinaryIO) -> Iterator[Block]:
    position = 2
    for _ in range(_MOST_STEPS):
        head = _read(stream, position, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):  # the pixels, or the end
            return
        if head[1] == 0xFF:  # a filler
            position += 1
            continue
        size = int.from_bytes(head[2:], "big")
        content = stream.read(max(size - 2, 0)) if head[1] in (0xE1, 0xEB, 0xED) else b""
        if head[1] == 0xE1 and content.startswith(b"Exif\0\0"):
            yield Block(BlockKind.EXIF, content[6:])
        elif head[1] == 0xE1 and content.startswith(_XMP_OF_JPEG):
            yield Block(BlockKind.XMP, content[len(_XMP_OF_JPEG) :])
        elif head[1] == 0xED and content.startswith(b"Photoshop 3.0\0"):
            yield Block(BlockKind.IPTC, content[14:])
        elif head[1] == 0xEB and content.startswith(b"JP") and content[12:16] == b"jumb" and b"c2pa" in content[:64]:
            yield Block(BlockKind.C2PA)
        position += 2 + max(size, 2)


def _png(stream: BinaryIO) -> Iterator[Block]:
    position, texts = 8, 0
    for _ in range(_MOST_STEPS):
        head = _read(stream, position, 8)
        if len(head) < 8:
            return
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        is_read = name in (b"tEXt", b"zTXt", b"iTXt", b"eXIf") and texts < _MOST_ITEMS  # some of them inflate
        content = stream.read(min(size, MAX_BLOCK_BYTES)) if is_read else b""
        texts += is_read
        if name == b"eXIf" and is_read:
            yield Block(BlockKind.EXIF, content.removeprefix(b"Exif\0\0"))
        elif name == b"caBX":
            yield Block(BlockKind.C2PA)
        elif content:
            keyword, text = _png_text(name, content)
            is_xmp = keyword == b"XML:com.adobe.xmp"
            yield Block(BlockKind.XMP, text) if is_xmp else Block(BlockKind.PNG_TEXT, keyword + b"\0" + text)
        position += 12 + size


def _png_text(name: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Keyword and text, as UTF-8."""
    keyword, _, text = content.partition(b"\0")
    compressed = name == b"zTXt"
    if name == b"iTXt":
        compressed = text[:1] == b"\1"
        text = text[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif compressed:
        text = text[1:]
    if compressed:
        try:
            text = zlib.decompressobj().decompress(text, MAX_BLOCK_BYTES)
        except zlib.error:
            text = b""
    return keyword, text if name == b"iTXt" else text.decode("latin-1").encode()


def _riff(stream: BinaryIO) -> Iterator[Block]:
    position = 12
    kinds = {b"EXIF": BlockKind.EXIF, b"XMP ": BlockKind.XMP}
    for _ in range(_MOST_STEPS):
        head = _read(stream, position, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"C2PA":
            yield Block(BlockKind.C2PA)
        elif kind := kinds.get(head[:4]):
            yield Block(kind, stream.read(min(size, MAX_BLOCK_BYTES)).removeprefix(b"Exif\0\0"))
        position += 8 + size + size % 2


def _tiff(stream: BinaryIO) -> Iterator[Block]:
    """Without its EXIF, for which the whole file is the structure."""
    directory = TiffDirectory.first(stream)
    for tag, kind in ((_TIFF_XMP, BlockKind.XMP), (_TIFF_IPTC, BlockKind.IPTC), (_TIFF_C2PA, BlockKind.C2PA)):
        if directory is not None and tag in directory:
            yield Block(kind, b"" if kind is BlockKind.C2PA else directory.raw(tag, MAX_BLOCK_BYTES))


def _gif(stream: BinaryIO) -> Iterator[Block]:
    """Not by its parts: there are as many as the animation has frames, and these two stand before them."""
    head = _read(stream, 0, MAX_BLOCK_BYTES)
    if b"C2PA_GIF" in head:
        yield Block(BlockKind.C2PA)
    if b"XMP DataXMP" in head:
        yield Block(BlockKind.XMP, head.partition(b"XMP DataXMP")[2])


def _iso(stream: BinaryIO) -> Iterator[Block]:
    """MP4, MOV, HEIC and AVIF: ISO/IEC 14496-12 and 23008-12."""
    for name, start, end in _boxes(stream, 0, stream.seek(0, 2)):
        if name == b"uuid":
            kind = _read(stream, start, 16)
            if kind == _C2PA_OF_ISO:
                yield Block(BlockKind.C2PA)
            elif kind == _XMP_OF_ISO:
                yield Block(BlockKind.XMP, stream.read(min(end - start - 16, MAX_BLOCK_BYTES)))
        elif name == b"meta":
            yield from _items(stream, start + 4, end)


def _boxes(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each box between two positions."""
    for _ in range(_MOST_STEPS):
        head = _read(stream, start, 16)
        size, header = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        after = end if size == 0 else min(start + size, end)
        if len(head) < header or after < start + header:
            return
        yield head[4:8], start + header, after
        start = after


def _items(stream: BinaryIO, start: int, end: int) -> Iterator[Block]:
    """EXIF and XMP among the items of a HEIF file."""
    boxes = {name: (at, min(stop - at, MAX_BLOCK_BYTES)) for name, at, stop in _boxes(stream, start, end)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    kinds = _item_kinds(stream, *boxes[b"iinf"])
    for item, at, size in _item_places(_read(stream, *boxes[b"iloc"])):
        if kind := kinds.pop(item, None):
            content = _read(stream, at, min(size, MAX_BLOCK_BYTES))
            if kind is BlockKind.EXIF:  # how far away the TIFF structure is, then that
                content = content[4 + int.from_bytes(content[:4], "big") :]
            yield Block(kind, content)


def _item_kinds(stream: BinaryIO, start: int, size: int) -> dict[int, BlockKind]:
    found = {}
    head = 6 if _read(stream, start, 1) == b"\0" else 8
    for name, at, end in _boxes(stream, start + head, start + size):
        entry = _read(stream, at, min(end - at, 100))
        wide = 4 if entry[:1] == b"\3" else 2
        kind = entry[6 + wide : 10 + wide]
        if name == b"infe" and (kind == b"Exif" or b"application/rdf+xml" in entry):
            item = int.from_bytes(entry[4 : 4 + wide], "big")
            found[item] = BlockKind.EXIF if kind == b"Exif" else BlockKind.XMP
        if len(found) >= _MOST_ITEMS:
            break
    return found


def _item_places(iloc: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, position and size of each item that lies in the file in one piece."""
    position = 0

    def number(count: int) -> int:
        nonlocal position
        position += count
        return int.from_bytes(iloc[position - count : position], "big")

    version, _, sizes = number(1), number(3), number(2)
    offset, length, base, index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        if position >= len(iloc):
            return
        item = number(wide)
        in_file = number(2) & 15 == 0 if version else True
        number(2)
        start, pieces = number(base), number(2)
        for piece in range(pieces):
            if position >= len(iloc):
                return
            if version:
                number(index)
            at, size = start + number(offset), number(length)
            if in_file and pieces == 1 and piece == 0:
                yield item, at, size


def _read(stream: BinaryIO, position: int, count: int) -> bytes:
    try:
        stream.seek(position)
        return stream.read(count)
    except (OSError, OverflowError, ValueError):  # a position that no file has
        return b""


_WALKS: dict[str, Callable[[BinaryIO], Iterator[Block]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _riff,
    "avi": _riff,
    "tiff": _tiff,
    "gif": _gif,
    **dict.fromkeys(("mp4", "mov", "heic", "avif"), _iso),
}
