"""Images whose headers, tables and chunks say what is not so."""

import struct
import zlib
from functools import partial

from preprocessing import Status
from tests.hostile.image import (
    BROKEN,
    EITHER,
    GOOD,
    NO_IMAGE,
    TOO_LARGE,
    HostileImage,
    interlaced_rows,
    jpeg_with_segment,
    png_rows,
    run_length_bmp,
    saved,
)
from tests.hostile.media_structure import JPEG_END, PNG_SIGNATURE, png, png_chunk, riff_chunk


def lying_headers() -> list[HostileImage]:
    """This part of the catalogue."""
    return [*_lying_png(), *_lying_jpeg(), *_lying_bmp(), *_lying_webp()]


def _lying_png() -> list[HostileImage]:
    rows = png_rows(8, 8)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    data, end = png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND")
    palette = png_chunk(b"PLTE", b"\1\2\3")
    plain = png(8, 8, rows)
    control = png_chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0))
    outside = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 4000, 4000, 9, 9, 1, 1, 0, 0))
    cases: dict[str, tuple[bytes, frozenset[Status]]] = {
        "two headers": (
            plain[:33] + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9999, 5000, 8, 2, 0, 0, 0)) + plain[33:],
            EITHER,
        ),
        "no header": (PNG_SIGNATURE + data + end, BROKEN),
        "header behind the pixels": (PNG_SIGNATURE + data + header + end, BROKEN),
        "no pixels": (PNG_SIGNATURE + header + end, BROKEN),
        "no end": (PNG_SIGNATURE + header + data, EITHER),
        "no palette": (png(8, 8, png_rows(8, 8, 1), colour=3), EITHER),
        "colours outside the palette": (png(8, 8, b"\0" + b"\xff" * 8 + bytes(63), colour=3, before=palette), EITHER),
        "more transparency than palette": (
            png(8, 8, bytes(72), colour=3, before=palette + png_chunk(b"tRNS", bytes(300))),
            EITHER,
        ),
        "depth 3": (png(8, 8, rows, depth=3), BROKEN | NO_IMAGE),
        "colour type 5": (png(8, 8, rows, colour=5), BROKEN | NO_IMAGE),
        "interlacing 7": (png(8, 8, rows, interlace=7), EITHER),
        "filter 9": (png(8, 8, b"\x09" + rows[1:]), BROKEN),
        "too few rows": (png(8, 80, rows), EITHER),
        "too many rows": (png(8, 8, rows * 50), EITHER),
        "no width": (png(0, 8, rows), BROKEN | NO_IMAGE | EITHER),
        "negative width": (png(0x80000001, 1, rows), TOO_LARGE | BROKEN),
        "a chunk of 4 GB": (plain[:33] + b"\xff\xff\xff\xffIDAT" + plain[41:], EITHER),
        "a wrong check sum": (plain[:33] + data[:-4] + b"\0\0\0\0" + end, EITHER),
        "broken compression": (PNG_SIGNATURE + header + png_chunk(b"IDAT", b"\x78\x9c" + b"\xff" * 99) + end, BROKEN),
        "4 billion frames, one outside": (PNG_SIGNATURE + header + control + outside + data + end, EITHER),
        "16 bits of colour": (png(8, 8, png_rows(8, 8, 6), depth=16), GOOD),
        "16 bits of grey and alpha": (png(8, 8, png_rows(8, 8, 4), depth=16, colour=4), GOOD),
        "interlaced": (png(9, 7, interlaced_rows(9, 7), interlace=1), GOOD),
        "1 bit": (png(8, 8, b"\0\x55" * 8, depth=1, colour=0), GOOD),
    }
    return [HostileImage(f"PNG: {name}", partial(bytes, one), right) for name, (one, right) in cases.items()]


def _lying_jpeg() -> list[HostileImage]:
    plain = saved("JPEG")
    frame = plain.index(b"\xff\xc0")
    tables = plain.index(b"\xff\xc4")
    scan = plain.index(b"\xff\xda")

    def at(offset: int, change: bytes) -> bytes:
        return plain[:offset] + change + plain[offset + len(change) :]

    cases: dict[str, tuple[bytes, frozenset[Status]]] = {
        "no height": (at(frame + 5, b"\0\0"), BROKEN),
        "no width": (at(frame + 7, b"\0\0"), BROKEN),
        "no components": (at(frame + 9, b"\0"), BROKEN),
        "255 components": (at(frame + 9, b"\xff"), BROKEN),
        "sampling 15 x 15": (at(frame + 11, b"\xff"), BROKEN),
        "a second frame header": (plain[:scan] + plain[frame : frame + 19] + plain[scan:], BROKEN),
        "another size after the scan": (
            plain[:-2] + plain[frame : frame + 5] + b"\x75\x30\x75\x30" + plain[frame + 9 : frame + 19] + JPEG_END,
            EITHER,
        ),
        "Huffman tables of 4,080 codes": (at(tables + 5, b"\xff" * 16), BROKEN),
        "no tables": (plain[:tables] + plain[scan:], EITHER),
        "a segment shorter than its length": (plain[:2] + b"\xff\xe0\xff\xff" + plain[4:], BROKEN),
        "a segment of length 0": (plain[:2] + b"\xff\xfe\0\0" + plain[2:], EITHER),
        "10,000 restart markers": (plain[:-2] + b"\xff\xd0" * 10_000 + JPEG_END, EITHER),
        "EXIF that points outside": (jpeg_with_segment(0xE1, b"Exif\0\0MM\0*\x7f\xff\xff\xff"), EITHER),
        "EXIF that points to itself": (
            jpeg_with_segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08"),
            EITHER,
        ),
        "EXIF of 65,535 entries": (jpeg_with_segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(99)), EITHER),
        "a multi-picture index that points outside": (
            jpeg_with_segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 60),
            EITHER,
        ),
        "two starts": (plain[:2] + plain, EITHER),
        "only a start and an end": (b"\xff\xd8\xff\xd9", BROKEN | NO_IMAGE),
        "tables alone": (plain[:frame] + JPEG_END, BROKEN),
    }
    return [HostileImage(f"JPEG: {name}", partial(bytes, one), right) for name, (one, right) in cases.items()]


def _lying_bmp() -> list[HostileImage]:
    plain = saved("BMP")

    def at(offset: int, change: bytes) -> bytes:
        return plain[:offset] + change + plain[offset + len(change) :]

    def embedded(compression: int, content: bytes) -> bytes:
        information = struct.pack("<IiiHHIIiiII", 40, 60, 44, 1, 0, compression, len(content), 0, 0, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54 + len(content), 0, 0, 54) + information + content

    either = EITHER | NO_IMAGE
    cases: dict[str, tuple[bytes, frozenset[Status]]] = {
        "a file of 4 GB": (at(2, b"\xff" * 4), EITHER),
        "pixels behind the end": (at(10, b"\xff" * 4), BROKEN),
        "pixels in the header": (at(10, bytes(4)), EITHER),
        "a header of 2 GB": (at(14, b"\xff\xff\xff\x7f"), BROKEN | NO_IMAGE),
        "no header": (at(14, bytes(4)), BROKEN | NO_IMAGE),
        "no width": (at(18, bytes(4)), either),
        "negative width": (at(18, b"\xff" * 4), either | TOO_LARGE),
        "the most negative height": (at(22, b"\0\0\0\x80"), TOO_LARGE),
        "50,000 px a side": (at(18, struct.pack("<ii", 50_000, 50_000)), TOO_LARGE),
        "7,000 px a side": (at(18, struct.pack("<ii", 7000, 7000)), BROKEN),
        "3 bits": (at(28, b"\3\0"), BROKEN | NO_IMAGE),
        "compression 99": (at(30, b"\x63"), BROKEN | NO_IMAGE),
        "4 billion colours": (at(46, b"\xff" * 4), either),
        "a JPEG inside": (embedded(4, saved("JPEG")), BROKEN | NO_IMAGE),
        "a PNG inside": (embedded(5, saved("PNG")), BROKEN | NO_IMAGE),
        "runs beyond the rows": (run_length_bmp(b"\xff\x07" * 50), EITHER),
        "runs that jump outside": (run_length_bmp(b"\0\2\xff\xff" * 50), EITHER),
    }
    return [HostileImage(f"BMP: {name}", partial(bytes, one), right) for name, (one, right) in cases.items()]


def _lying_webp() -> list[HostileImage]:
    plain, lossless = saved("WEBP"), saved("WEBP", lossless=True)

    def extended(width: int, height: int, flags: int, *chunks: bytes) -> bytes:
        header = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"WEBP" + riff_chunk(b"VP8X", header) + b"".join(chunks)
        return b"RIFF" + struct.pack("<I", len(body)) + body

    frame = bytes(6) + b"\xff\xff\x03" * 2 + bytes(4) + plain[12:]
    cases: dict[str, tuple[bytes, frozenset[Status]]] = {
        "a file of 0 bytes": (plain[:4] + bytes(4) + plain[8:], BROKEN),
        "a file of 4 GB": (plain[:4] + b"\xff" * 4 + plain[8:], BROKEN),
        "a chunk of 4 GB": (plain[:16] + b"\xff" * 4 + plain[20:], BROKEN),
        "canvas smaller than the picture": (extended(8, 8, 0, plain[12:]), BROKEN),
        "canvas larger than the picture": (extended(4000, 4000, 0, plain[12:]), BROKEN),
        "transparency without a picture": (extended(8, 8, 0x10, riff_chunk(b"ALPH", bytes(99))), BROKEN),
        "a frame larger than the canvas": (
            extended(60, 44, 2, riff_chunk(b"ANIM", bytes(6)), riff_chunk(b"ANMF", frame)),
            BROKEN,
        ),
        "a lossless header, zeros behind it": (lossless[:25] + bytes(len(lossless) - 25), EITHER),
        "no picture": (extended(8, 8, 0), BROKEN),
        "16,383 px a side": (extended(16_383, 16_383, 0, plain[12:]), TOO_LARGE),
    }
    return [HostileImage(f"WebP: {name}", partial(bytes, one), right) for name, (one, right) in cases.items()]
