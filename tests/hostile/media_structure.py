"""Where the parts of a media file begin, and how parts are made: what hostile files are built from and mutated by.

`split` takes intact files of the formats that the service reads; its pieces, joined, are the file.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_EBML = b"\x1a\x45\xdf\xa3"
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

_BOXES_OF_BOXES = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"edts", b"mvex", b"moof", b"traf", b"udta"}
)
# Segment, SeekHead, Info, Tracks, TrackEntry, Video, Cluster, BlockGroup, Cues, CuePoint, and EBML itself.
_EBML_MASTERS = frozenset(
    {
        b"\x18\x53\x80\x67", b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\xae", b"\xe0",
        b"\x1f\x43\xb6\x75", b"\xa0", b"\x1c\x53\xbb\x6b", b"\xbb", _EBML,
    }
)  # fmt: skip


def split(content: bytes) -> list[bytes]:
    """The file cut where its parts begin; a container's header is a piece of its own."""
    if content.startswith(JPEG_START):
        return list(_jpeg_pieces(content))
    if content.startswith(PNG_SIGNATURE):
        return [PNG_SIGNATURE, *_cut(content, 8, lambda at: 12 + _u32(content, at, "big"))]
    if content.startswith(b"RIFF"):
        return list(_riff_pieces(content))
    if content.startswith(_EBML):
        return list(_ebml_pieces(content))
    if content.startswith(b"GIF8"):
        return list(_gif_pieces(content))
    if content.startswith(b"II*\0"):
        return list(_tiff_pieces(content))
    if content[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return list(_box_pieces(content))
    if content[:1] == b"G" or content[4:5] == b"G":
        length = 188 if content[:1] == b"G" else 192
        return list(_cut(content, 0, lambda _: length))
    if content.startswith(b"FLV"):
        return [content[:13], *_cut(content, 13, lambda at: 15 + int.from_bytes(content[at + 1 : at + 4], "big"))]
    if content.startswith(b"\0\0\1\xba"):
        return [piece for piece in re.split(b"(?=\0\0\x01[\xb9-\xff])", content) if piece]
    if content.startswith(b"OggS"):
        return [b"OggS" + page for page in content.split(b"OggS")[1:]]
    if content.startswith(ASF):
        return list(_asf_pieces(content))
    header = 14 + _u32(content, 14, "little")
    return [content[:14], content[14:header], content[header:]]


def repaired(content: bytes) -> bytes:
    """With the check sums and sizes that a damaged PNG, RIFF or Ogg file needs for its damage to be looked at."""
    if content.startswith(PNG_SIGNATURE):
        return PNG_SIGNATURE + b"".join(_repaired_chunks(content))
    if content.startswith(b"RIFF") and len(content) >= 12:
        return b"RIFF" + (len(content) - 8).to_bytes(4, "little") + content[8:]
    if content.startswith(b"OggS"):
        return b"".join(_repaired_page(b"OggS" + page) for page in content.split(b"OggS")[1:])
    return content


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    rows: bytes,
    *,
    depth: int = 8,
    colour: int = 2,
    interlace: int = 0,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A PNG file.

    Args:
        width: Said in the header.
        height: Said in the header.
        rows: Uncompressed, with filter bytes.
        depth: Bits of a sample.
        colour: Colour type.
        interlace: Method.
        before: Chunks in front of the pixels.
        after: Chunks behind the pixels.
    """
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return PNG_SIGNATURE + header + before + pixels + after + png_chunk(b"IEND")


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG file."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a RIFF file, padded."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def box(kind: bytes, body: bytes = b"") -> bytes:
    """A box of an MP4 or MOV file."""
    return struct.pack(">I", 8 + len(body)) + kind + body


def edit_boxes(content: bytes, edits: Mapping[bytes, Callable[[bytes], bytes]]) -> bytes:
    """An MP4 or MOV file with the bodies of some kinds of boxes changed, and the sizes around them right.

    Sample offsets stay right where the changed boxes lie behind the media data.

    Args:
        content: An intact file.
        edits: What to do with the body of each box of a kind; for a box of boxes, with its edited children.
    """
    out = b""
    position = 0
    while position < len(content):
        size, kind = _u32(content, position, "big"), content[position + 4 : position + 8]
        body = content[position + 8 : position + size]
        if kind in _BOXES_OF_BOXES:
            body = edit_boxes(body, edits)
        out += box(kind, edits[kind](body) if kind in edits else body)
        position += size
    return out


def _u32(content: bytes, at: int, order: str) -> int:
    return int.from_bytes(content[at : at + 4], "big" if order == "big" else "little")


def _cut(content: bytes, start: int, size_at: Callable[[int], int]) -> Iterator[bytes]:
    while start < len(content):
        size = size_at(start)
        yield content[start : start + size]
        start += size


def _jpeg_pieces(content: bytes) -> Iterator[bytes]:
    yield JPEG_START
    position = 2
    while position < len(content):
        marker = content[position + 1]
        if marker == JPEG_END[1]:
            yield content[position : position + 2]
            position += 2
            if position < len(content):  # another image, or something else, behind it
                yield content[position:]
            return
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        yield content[position:end]
        if marker == 0xDA:
            data = end
            while content[end] != 0xFF or content[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
            yield content[data:end]
        position = end


def _repaired_chunks(content: bytes) -> Iterator[bytes]:
    position = 8
    while position + 12 <= len(content):
        size = _u32(content, position, "big")
        if position + 12 + size > len(content):
            break
        yield png_chunk(content[position + 4 : position + 8], content[position + 8 : position + 8 + size])
        position += 12 + size
    yield content[position:]


def _riff_pieces(content: bytes) -> Iterator[bytes]:
    yield content[:12]
    position = 12
    while position < len(content):
        size = 12 if content[position : position + 4] == b"LIST" else 8 + _u32(content, position + 4, "little")
        size += size % 2
        yield content[position : position + size]
        position += size


def _gif_pieces(content: bytes) -> Iterator[bytes]:
    """The head with its colours, and each block: small ones whole, of pictures each run of pixels."""
    start = 13 + (3 << (content[10] & 7) + 1 if content[10] & 0x80 else 0)
    yield content[:start]
    while (kind := content[start : start + 1]) in (b"!", b","):
        end = start + 2
        if kind == b",":
            end = start + 11 + (3 << (content[start + 9] & 7) + 1 if content[start + 9] & 0x80 else 0)
        while content[end]:
            yield content[start:end]
            start, end = end, end + 1 + content[end]
        yield content[start : end + 1]
        start = end + 1
    yield content[start:]


def _tiff_pieces(content: bytes) -> Iterator[bytes]:
    """The head, what lies in front of the first page's directory, each entry of that, and the rest."""
    start = _u32(content, 4, "little")
    yield content[:8]
    if start > 8:
        yield content[8:start]
    end = start + 2 + 12 * int.from_bytes(content[start : start + 2], "little")
    yield content[start : start + 2]
    yield from _cut(content[:end], start + 2, lambda _: 12)
    yield content[end:]


def _box_pieces(content: bytes) -> Iterator[bytes]:
    def size_at(at: int) -> int:
        kind = content[at + 4 : at + 8]
        if kind == b"meta":
            return 12
        return 8 if kind in _BOXES_OF_BOXES | {b"iprp", b"ipco"} else _u32(content, at, "big")

    return _cut(content, 0, size_at)


def _ebml_pieces(content: bytes) -> Iterator[bytes]:
    def size_at(at: int) -> int:
        id_length = _vint_length(content[at])
        length = _vint_length(content[at + id_length])
        header = id_length + length
        if content[at : at + id_length] in _EBML_MASTERS:
            return header
        raw = int.from_bytes(content[at + id_length : at + header], "big")
        return header + (raw & ~(1 << (7 * length)))

    return _cut(content, 0, size_at)


def _asf_pieces(content: bytes) -> Iterator[bytes]:
    """The objects of the header, and the packets of the data, in FFmpeg's 3,200 bytes."""
    yield content[:30]
    header = int.from_bytes(content[16:24], "little")
    yield from _cut(content[:header], 30, lambda at: int.from_bytes(content[at + 16 : at + 24], "little"))
    yield content[header : header + 50]
    yield from _cut(content, header + 50, lambda _: 3200)


def _repaired_page(page: bytes) -> bytes:
    if len(page) < 27:
        return page
    return page[:22] + crc32(page[:22] + bytes(4) + page[26:], 0).to_bytes(4, "little") + page[26:]


def crc32(content: bytes, start: int) -> int:
    """The check sum of Ogg, from 0, and of MPEG's sections, from 0xFFFFFFFF: highest bit first."""
    crc = start
    for byte in content:
        crc = crc << 8 & 0xFFFFFFFF ^ _CRC[crc >> 24 ^ byte]
    return crc


def _crc_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = value << 1 ^ (0x104C11DB7 if value >> 31 else 0)
    return value


_CRC = [_crc_of(byte) for byte in range(256)]


def _vint_length(first: int) -> int:
    return 9 - first.bit_length()
