"""Image files made to deceive, crash, stall or exhaust a decoder, each with what the service must make of it."""

import struct
import zlib
from collections.abc import Iterator
from functools import cache, partial
from itertools import accumulate

from PIL import Image

from preprocessing import Status
from tests.hostile.image import (
    BROKEN,
    EITHER,
    GOOD,
    NO_IMAGE,
    TOO_COMPLEX,
    TOO_LARGE,
    HostileImage,
    exif_of,
    grey16,
    interlaced_rows,
    jpeg_of_size,
    jpeg_with_segment,
    picture,
    png_rows,
    run_length_bmp,
    saved,
)
from tests.hostile.image_colours import odd_colours, wide_gamut
from tests.hostile.image_containers import container_seeds, other_containers
from tests.hostile.image_headers import lying_headers
from tests.hostile.media_structure import JPEG_END, PNG_SIGNATURE, box, png, png_chunk, split

ELSEWHERE = "http://127.0.0.1:9/canary"


def hostile_images(elsewhere: str = ELSEWHERE) -> list[HostileImage]:
    """The catalogue.

    Args:
        elsewhere: An address or path that some of the files point to, and nothing may read.
    """
    return [
        *_pointers(elsewhere), *_polyglots(), *_bombs(), *lying_headers(), *other_containers(), *odd_colours(),
        *_sizes(), *_tiny(),
    ]  # fmt: skip


def truncations(content: bytes) -> Iterator[bytes]:
    """The file cut at, just before and just behind each boundary of its parts."""
    boundaries = accumulate(len(piece) for piece in split(content))
    around = {end + offset for end in boundaries for offset in (-1, 0, 1)}
    for end in sorted(around & set(range(len(content)))):
        yield content[:end]


def seeds() -> list[bytes]:
    """Small intact images of every accepted kind, for truncation and mutation."""
    rgb = Image.fromarray(picture())
    exif = exif_of(6)
    return [
        saved("JPEG", exif=exif), saved("JPEG", progressive=True, comment=b"c", restart_marker_blocks=3),
        saved("JPEG", rgb.convert("L")), saved("JPEG", rgb.convert("CMYK"), icc_profile=wide_gamut()),
        saved("JPEG", subsampling=0, qtables="web_high", keep_rgb=True),
        saved("PNG", exif=exif, icc_profile=wide_gamut()), saved("PNG", rgb.convert("LA")),
        saved("PNG", rgb.quantize(16), transparency=bytes(range(0, 160, 10))), saved("PNG", grey16()),
        png(9, 7, interlaced_rows(9, 7), interlace=1, before=png_chunk(b"tEXt", b"a\0b")),
        saved("PNG", rgb, save_all=True, append_images=[rgb.rotate(180)]),
        saved("WEBP", exif=exif), saved("WEBP", lossless=True), saved("WEBP", rgb.convert("RGBA"), icc_profile=b"x"),
        saved("WEBP", rgb, save_all=True, append_images=[rgb.rotate(180)], minimize_size=False),
        saved("BMP"), saved("BMP", rgb.quantize(16)), run_length_bmp(b"\x04\x07\0\0\x04\x09\0\0" * 2 + b"\0\1"),
        *container_seeds(),
    ]  # fmt: skip


def _pointers(elsewhere: str) -> list[HostileImage]:
    """Text that other programs take for an image, or for a list of files to open."""
    url = elsewhere.encode()
    texts = {
        "playlist": b"#EXTM3U\n#EXTINF:10,\n" + url + b"\n#EXT-X-ENDLIST\n",
        "concatenation": b"ffconcat version 1.0\nfile " + url + b"\n",
        "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="' + url + b'"/></svg>',
        "XML entity": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "' + url + b'">]><a>&b;</a>',
        "HTML": b'<html><img src="' + url + b'"></html>',
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(" + url + b") (r) file\n",
        "PDF": b"%PDF-1.4\n1 0 obj<</F(" + url + b")>>endobj\n",
        "MVG": b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'url(" + url + b")'\npop graphic-context\n",
        "MSL": b'<?xml version="1.0"?><image><read filename="' + url + b'"/></image>',
        "Windows metafile": b"\xd7\xcd\xc6\x9a" + bytes(18) + url,
        "X bitmap": b"#define i_width 9\n#define i_height 9\nstatic char i_bits[] = { 0x00 };",
    }
    named = [HostileImage(f"pointer: {name}", partial(bytes, text), NO_IMAGE) for name, text in texts.items()]
    inside = {
        "PNG with XMP": lambda: png(
            4, 4, png_rows(4, 4), before=png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + texts["XML entity"])
        ),
        "JPEG with XMP": lambda: jpeg_with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + texts["XML entity"]),
        "JPEG with a playlist": lambda: jpeg_with_segment(0xFE, texts["playlist"]),
    }
    return named + [HostileImage(f"pointer: {name}", make, GOOD) for name, make in inside.items()]


@cache
def _polyglots() -> list[HostileImage]:
    """Files that are two things at once: as an image they are what they would be alone."""
    html = b"<script>alert(1)</script>"
    archive = b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
    jpeg_file, png_file, bmp = saved("JPEG"), saved("PNG"), saved("BMP")
    commented = bmp[:2] + b"/*=*" + bmp[6:] + b"*/=1;alert(1)"
    cases = {
        "JPEG and HTML": (jpeg_with_segment(0xFE, html), jpeg_file),
        "JPEG, then HTML": (jpeg_file + html, jpeg_file),
        "JPEG, then an archive": (jpeg_file + archive, jpeg_file),
        "JPEG, then a video": (jpeg_file + b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), jpeg_file),
        "JPEG, then another": (jpeg_file + saved("JPEG", Image.new("RGB", (9, 9))), jpeg_file),
        "JPEG with a preview": (
            jpeg_with_segment(0xE1, b"Exif\0\0" + saved("JPEG", Image.new("RGB", (9, 9)))),
            jpeg_file,
        ),
        "JPEG that is a PDF": (jpeg_with_segment(0xFE, b"%PDF-1.4"), jpeg_file),
        "PNG, then an archive": (png_file + archive, png_file),
        "PNG, then a JPEG": (png_file + jpeg_file, png_file),
        "PNG with HTML": (png_file[:33] + png_chunk(b"tEXt", b"a\0" + html) + png_file[33:], png_file),
        "BMP that is a script": (commented, bmp),
        "WebP, then an archive": (saved("WEBP") + archive, saved("WEBP")),
        "GIF, then an archive": (saved("GIF") + archive, saved("GIF")),
        "TIFF, then HTML": (saved("TIFF") + html, saved("TIFF")),
        "AVIF, then an archive": (saved("AVIF") + box(b"free", archive), saved("AVIF")),
    }
    return [
        HostileImage(f"polyglot: {name}", partial(bytes, one), GOOD, partial(bytes, plain))
        for name, (one, plain) in cases.items()
    ]


@cache
def _bombs() -> list[HostileImage]:
    """Little that becomes much."""
    zeros = zlib.compress(bytes(10**8), 9)
    small = png_rows(8, 8)
    frames = [Image.new("RGB", (8, 8), (i % 256, i // 256, 0)) for i in range(1000)]
    behind_zeros = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) + png_chunk(b"IDAT", zeros)
    metadata = {
        "compressed text": png_chunk(b"zTXt", b"a\0\0" + zeros),
        "international text": png_chunk(b"iTXt", b"a\0\1\0\0\0" + zeros),
        "colour profile": png_chunk(b"iCCP", b"a\0\0" + zeros),
        "ten compressed texts": png_chunk(b"zTXt", b"a\0\0" + zeros) * 10,
        "EXIF of 60,000 entries": png_chunk(b"eXIf", _endless_exif(60_000)),
    }
    first = Image.new("RGB", (8, 8), (0, 0, 0))
    return [
        HostileImage("bomb: 65 bytes of PNG, 250,000 px a side", lambda: png(250_000, 250_000, b""), TOO_LARGE),
        HostileImage(
            "bomb: 16-bit PNG, 50 megapixels said, none there", lambda: png(7000, 7000, b"", depth=16), BROKEN
        ),
        HostileImage("bomb: JPEG, 65,000 px a side", lambda: jpeg_of_size(65_000, 65_000), TOO_LARGE),
        HostileImage("bomb: JPEG, 49 megapixels said", lambda: jpeg_of_size(7000, 7000), EITHER),
        HostileImage("bomb: JPEG, 20,000 scans", lambda: _scans(20_000), TOO_COMPLEX),
        HostileImage("bomb: JPEG, a million segments", lambda: jpeg_with_segment(0xFE, b"", 10**6), TOO_COMPLEX),
        HostileImage("bomb: PNG, a million chunks", lambda: _chunks(10**6), TOO_COMPLEX),
        HostileImage(
            "bomb: PNG, 100 MB behind 8 px", lambda: PNG_SIGNATURE + behind_zeros + png_chunk(b"IEND"), EITHER
        ),
        *(
            HostileImage(f"bomb: PNG, {name}", partial(png, 8, 8, small, before=chunk), EITHER)
            for name, chunk in metadata.items()
        ),
        HostileImage(
            "bomb: GIF, 1,000 frames",
            lambda: saved("GIF", frames[0], save_all=True, append_images=frames[1:500]),
            GOOD,
            partial(saved, "PNG", first),
        ),
        HostileImage("bomb: APNG, 1,000 frames", lambda: _animation("PNG", frames), GOOD, partial(saved, "PNG", first)),
        HostileImage(
            "bomb: WebP, 1,000 frames",
            lambda: _animation("WEBP", frames, lossless=True),
            GOOD,
            partial(saved, "PNG", first),
        ),
        HostileImage(
            "bomb: run-length BMP, 49 megapixels", lambda: run_length_bmp(b"\1\0\0\0" * 7000, 7000), TOO_COMPLEX
        ),
    ]


@cache
def _sizes() -> list[HostileImage]:
    longest = {"JPEG": 65_500, "PNG": 65_535, "BMP": 65_535, "WEBP": 16_383, "GIF": 65_535, "TIFF": 65_535}
    return [
        HostileImage(
            f"size {width} x {height}: {format_}",
            partial(saved, format_, Image.new("RGB", (width, height), "teal")),
            GOOD,
        )
        for format_, most in longest.items()
        for width, height in ((1, 1), (1, most), (most, 1))
    ] + [
        HostileImage("size 65,535 x 1: JPEG", lambda: jpeg_of_size(65_535, 1), BROKEN),
        HostileImage("size 1 x 65,536: PNG", lambda: saved("PNG", Image.new("RGB", (1, 65_536))), TOO_COMPLEX),
        HostileImage("size 50,000,000 x 1: PNG", lambda: png(50_000_000, 1, b""), TOO_COMPLEX),
    ]


@cache
def _tiny() -> list[HostileImage]:
    one_byte = [bytes([byte]) for byte in (0, 0x42, 0x52, 0x89, 0xFF)]
    magic = {"JPEG": b"\xff\xd8\xff", "PNG": PNG_SIGNATURE, "BMP": b"BM", "RIFF": b"RIFF", "WebP": b"RIFF\0\0\0\0WEBP"}
    return [
        HostileImage("nothing", lambda: b"", frozenset({Status.EMPTY})),
        *(HostileImage(f"one byte {one.hex()}", partial(bytes, one), NO_IMAGE) for one in one_byte),
        *(HostileImage(f"magic alone: {name}", partial(bytes, m), BROKEN | NO_IMAGE) for name, m in magic.items()),
    ]


def _endless_exif(entries: int) -> bytes:
    """Entries that all point to the same stretch."""
    body = b"".join(struct.pack("<HHII", i, 7, 10**6, 10) for i in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + body


def _scans(count: int) -> bytes:
    encoded = saved("JPEG", Image.new("L", (1000, 1000), 128), progressive=True)
    return encoded[:-2] + encoded[encoded.rindex(b"\xff\xda") : -2] * count + JPEG_END


def _chunks(count: int) -> bytes:
    return png(8, 8, png_rows(8, 8), before=png_chunk(b"prVt") * count)


def _animation(format_: str, frames: list[Image.Image], **options: object) -> bytes:
    return saved(format_, frames[0], save_all=True, append_images=frames[1:], duration=10, **options)
