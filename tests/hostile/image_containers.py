"""GIF, TIFF, HEIC and AVIF files that say what is not so, or ask a decoder for far more than they hold."""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from PIL import Image

from preprocessing import Status
from tests.hostile.image import (
    BROKEN,
    EITHER,
    GOOD,
    NO_IMAGE,
    REFUSED,
    TOO_COMPLEX,
    TOO_LARGE,
    HostileImage,
    picture,
    saved,
)
from tests.hostile.media_structure import box
from tests.media import encode_heic

Cases = dict[str, tuple[Callable[[], bytes], frozenset[Status]]]


def other_containers() -> list[HostileImage]:
    """This part of the catalogue."""
    parts = {"GIF": _gif(), "TIFF": _tiff(), "HEIC": _heif(b"hvc1"), "AVIF": _heif(b"av01")}
    return [
        HostileImage(f"{format_}: {name}", make, right)
        for format_, cases in parts.items()
        for name, (make, right) in cases.items()
    ]


def container_seeds() -> list[bytes]:
    """Small intact files, for truncation and mutation."""
    rgb = Image.fromarray(picture())
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    return [
        saved("GIF", rgb.quantize(16)), saved("GIF", rgb, save_all=True, append_images=[rgb.rotate(180)], comment=b"c"),
        *(saved("TIFF", compression=name) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
        saved("TIFF", rgb.convert("1"), compression="group4"), saved("TIFF", tiffinfo={278: 5}),
        saved("TIFF", rgb.convert("CMYK")), saved("AVIF", speed=10), saved("AVIF", alpha, speed=10),
        saved("AVIF", rgb, save_all=True, append_images=[rgb.rotate(180)], speed=10),
        encode_heic(rgb), encode_heic(alpha), encode_heic(rgb.resize((200, 100)), tile_size=64),
    ]  # fmt: skip


def _gif() -> Cases:
    plain = saved("GIF", Image.fromarray(picture()).quantize(16))
    at = plain.index(b",", 13 + 48)

    def changed(place: int, change: bytes) -> Callable[[], bytes]:
        return lambda: plain[:place] + change + plain[place + len(change) :]

    return {
        "a screen of 65,535 px a side": (changed(6, b"\xff" * 4), TOO_LARGE),
        "a picture of 65,535 px a side": (changed(at + 5, b"\xff" * 4), TOO_LARGE),
        "a picture far outside": (changed(at + 1, b"\xff" * 4), TOO_LARGE),
        "a picture of nothing": (changed(at + 5, bytes(4)), EITHER),
        "a code size of 0": (changed(at + 10, b"\0"), EITHER),
        "a code size of 12": (changed(at + 10, b"\x0c"), EITHER),
        "a code size of 255": (changed(at + 10, b"\xff"), EITHER),
        "no picture": (lambda: plain[:at] + b";", BROKEN),
        "no colours": (lambda: plain[:10] + bytes(3) + plain[at:], EITHER),
        "pixels of nothing": (lambda: plain[: at + 11] + b"\0;", EITHER),
        "codes that do not exist": (lambda: plain[: at + 11] + b"\x7f" + b"\xff" * 127 + b"\0;", BROKEN),
        "a million blocks": (lambda: plain[:at] + b"!\xfe" + b"\1x" * 10**6 + b"\0" + plain[at:], TOO_COMPLEX),
        "a million extensions": (lambda: plain[:at] + b"!\xfe\0" * 10**6 + plain[at:], TOO_COMPLEX),
        "a transparent colour that it lacks": (lambda: plain[:at] + b"!\xf9\4\1\0\0\xff\0" + plain[at:], EITHER),
    }


def tiff(
    tags: dict[int, tuple[int, int, int | bytes]], data: bytes = b"", *, size: tuple[int, int] = (8, 8), next_: int = 0
) -> bytes:
    """A little-endian TIFF of one grey page, its pixels behind the header.

    Args:
        tags: Those to add or replace: kind, count, and value or bytes that lie elsewhere.
        data: The strips.
        size: Width and height that are said.
        next_: Where the next page is said to be.
    """
    data = data or bytes(64)
    entries: dict[int, tuple[int, int, int | bytes]] = {
        256: (4, 1, size[0]), 257: (4, 1, size[1]), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, size[1]), 279: (4, 1, len(data)), **tags,
    }  # fmt: skip
    start = 8 + len(data)
    elsewhere = start + 2 + 12 * len(entries) + 4
    directory, bodies = struct.pack("<H", len(entries)), b""
    for tag, (kind, count, value) in sorted(entries.items()):
        if isinstance(value, bytes):
            at, bodies = elsewhere + len(bodies), bodies + value
        else:
            at = value
        directory += struct.pack("<HHII", tag, kind, count, at)
    return b"II*\0" + struct.pack("<I", start) + data + directory + struct.pack("<I", next_) + bodies


def _tiff() -> Cases:
    deflated = zlib.compress(bytes(16 * 10**6), 9)
    tile = {322: (4, 1, 65_536), 323: (4, 1, 65_536), 324: (4, 1, 8), 325: (4, 1, 64)}
    small_tiles = {322: (4, 1, 16), 323: (4, 1, 16), 324: (4, 1, 8), 325: (4, 1, 64)}
    overlapping = {40_000 + i: (7, 4 * 10**6, 8) for i in range(2000)}
    long = bytes(4 * 10**6)

    def made(*args: object, **options: object) -> Callable[[], bytes]:
        return partial(tiff, *args, **options)  # type: ignore[arg-type]

    return {
        "intact": (made({}), GOOD),
        "65,535 px a side, no pixels": (made({}, size=(65_535, 65_535)), TOO_LARGE),
        "49 megapixels, no pixels": (made({}, size=(7000, 7000)), BROKEN),
        "16 megapixels out of 16 KB": (made({259: (3, 1, 8)}, deflated, size=(4000, 4000)), GOOD),
        "a side of 100,000 px": (made({}, size=(100_000, 1)), TOO_COMPLEX),
        "no size": (made({256: (4, 0, 0)}), BROKEN),
        "a size of 0": (made({}, size=(0, 8)), EITHER | NO_IMAGE),
        "a size of 2,000 numbers": (made({256: (4, 2000, bytes(8000))}), EITHER),
        "strips outside the file": (made({273: (4, 1, 2**32 - 1)}), BROKEN),
        "a strip of 4 GB": (made({279: (4, 1, 2**32 - 1)}), EITHER),
        "an LZW strip of 4 GB": (made({259: (3, 1, 5), 279: (4, 1, 2**32 - 1)}), BROKEN),
        "a million strips": (made({273: (4, 10**6, long)}), TOO_COMPLEX),
        "strips of no rows": (made({259: (3, 1, 5), 278: (4, 1, 0)}), BROKEN),
        "a tile of 65,536 px": (made(tile), TOO_COMPLEX),
        "a tile of 65,536 px, packed": (made({**tile, 259: (3, 1, 8)}), TOO_COMPLEX),
        "one tile for 49 megapixels": (made({**small_tiles, 259: (3, 1, 8)}, size=(7000, 7000)), BROKEN),
        "8 GB of overlapping tags": (made(overlapping, long), EITHER),
        "65,535 samples": (made({277: (3, 1, 65_535)}), BROKEN),
        "63 bits": (made({258: (3, 1, 63)}), BROKEN),
        "32 bits": (made({258: (3, 1, 32), 339: (3, 1, 3)}, bytes(256)), REFUSED),
        "a compression that does not exist": (made({259: (3, 1, 9999)}), BROKEN),
        "old-style JPEG": (made({259: (3, 1, 6)}), REFUSED | BROKEN),
        "a preview": (made({254: (4, 1, 1)}), REFUSED),
        "a page that leads to itself": (made({}, next_=72), GOOD),
        "a page outside": (made({}, next_=2**32 - 1), GOOD),
        "no page": (lambda: b"II*\0" + bytes(20), BROKEN),
        "a page of 65,535 entries": (lambda: b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535), BROKEN),
        "a page outside the file": (lambda: b"MM\0*\xff\xff\xff\xff", BROKEN),
        "BigTIFF": (lambda: b"II+\0\x08\0\0\0" + bytes(99), REFUSED),
        "codes of fax that do not exist": (made({258: (3, 1, 1), 259: (3, 1, 4)}, b"\xff\0" * 999), EITHER),
        "broken compression": (made({259: (3, 1, 8)}, b"\x78\x9c" + b"\xff" * 99), BROKEN),
        "broken JPEG": (made({259: (3, 1, 7)}, saved("JPEG")[:300]), BROKEN),
    }


@dataclass(frozen=True)
class Item:
    """An item of a HEIF file: its kind, data, announced size and the properties besides."""

    kind: bytes
    data: bytes
    size: tuple[int, int] = (64, 64)
    properties: tuple[bytes, ...] = ()


def heif(
    items: Sequence[Item], references: Sequence[tuple[bytes, int, Sequence[int]]] = (), *, brand: bytes = b"heic",
    primary: int = 1, edit: Callable[[dict[bytes, bytes]], None] = lambda _: None,
) -> bytes:  # fmt: skip
    """A file of items, which are numbered from 1.

    Args:
        items: The items.
        references: Kind, source and targets.
        brand: Of the file.
        primary: The item that is shown.
        edit: Changes the boxes of `meta` by their name.
    """
    properties = [box(b"ispe", struct.pack(">III", 0, *item.size)) for item in items]
    associations, places, at = b"", b"", 0
    for number, item in enumerate(items, 1):
        first = len(properties) + 1
        properties += item.properties
        used = [number, *range(first, len(properties) + 1)]
        associations += struct.pack(f">HB{len(used)}H", number, len(used), *used)
        places += struct.pack(">HHHHII", number, 1, 0, 1, at, len(item.data))
        at += len(item.data)
    entries = b"".join(
        box(b"infe", struct.pack(">IHH4s", 0x02000000, number, 0, item.kind) + b"\0")
        for number, item in enumerate(items, 1)
    )
    parts = {
        b"hdlr": struct.pack(">II4s12s", 0, 0, b"pict", b"") + b"\0",
        b"pitm": struct.pack(">IH", 0, primary),
        b"iinf": struct.pack(">IH", 0, len(items)) + entries,
        b"iref": bytes(4) + b"".join(
            box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
            for kind, source, targets in references
        ),
        b"iprp": box(b"ipco", b"".join(properties)) + box(b"ipma", struct.pack(">II", 1, len(items)) + associations),
        b"iloc": struct.pack(">IHH", 0x01000000, 0x4400, len(items)) + places,
        b"idat": b"".join(item.data for item in items),
    }  # fmt: skip
    edit(parts)
    meta = bytes(4) + b"".join(box(name, body) for name, body in parts.items())
    return box(b"ftyp", brand + bytes(4) + b"mif1" + brand) + box(b"meta", meta)


@cache
def _coded(kind: bytes, side: int = 64) -> tuple[bytes, bytes]:
    """A coded grey square: its data and the property that describes it."""
    image = Image.new("RGB", (side, side), (90, 120, 150))
    if kind == b"hvc1":
        encoded = encode_heic(image, quality=30)
        name = b"hvcC"
    else:
        encoded, name = saved("AVIF", image, quality=30, speed=10), b"av1C"
    at = encoded.index(name) - 4
    config = encoded[at : at + int.from_bytes(encoded[at : at + 4], "big")]
    return encoded[encoded.index(b"mdat") + 4 :], config


def _heif(kind: bytes) -> Cases:
    brand = b"heic" if kind == b"hvc1" else b"avif"
    data, config = _coded(kind)
    depth = box(b"pixi", b"\0\0\0\0\3\x08\x08\x08")
    one = Item(kind, data, properties=(config, depth))
    file = partial(heif, brand=brand)

    def grid(rows: int, columns: int, size: tuple[int, int], properties: tuple[bytes, ...] = (depth,)) -> Item:
        return Item(b"grid", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size), size, properties)

    def edited(name: bytes, change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
        def edit(parts: dict[bytes, bytes]) -> None:
            parts[name] = change(parts[name])

        return lambda: file([one], edit=edit)

    def without(name: bytes) -> Callable[[], bytes]:
        return lambda: file([one], edit=lambda parts: parts.__delitem__(name))

    def lies() -> bytes:
        large, its_config = _coded(kind, 512)
        return file([Item(kind, large, properties=(its_config, depth))])

    alpha = box(b"auxC", b"\0\0\0\0urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
    return {
        "one picture": (lambda: file([one]), GOOD),
        "a grid": (lambda: file([grid(2, 2, (128, 128)), one], [(b"dimg", 1, [2] * 4)]), EITHER),
        "65,535 px a side": (lambda: file([Item(kind, data, (65_535, 65_535), (config, depth))]), TOO_LARGE),
        "9 megapixels said": (lambda: file([Item(kind, data, (3000, 3000), (config, depth))]), EITHER),
        "a picture larger than it says": (lies, BROKEN if kind == b"hvc1" else TOO_COMPLEX),
        "65,536 tiles": (
            lambda: file([grid(256, 256, (65_535, 900)), one], [(b"dimg", 1, [2] * 65_535)]), TOO_COMPLEX,
        ),
        "2,000 tiles": (lambda: file([grid(40, 50, (3200, 2560)), one], [(b"dimg", 1, [2] * 2000)]), TOO_COMPLEX),
        "tiles of 49 megapixels each": (
            lambda: file(
                [grid(10, 10, (64, 64)), Item(kind, data, (7000, 7000), (config, depth))], [(b"dimg", 1, [2] * 100)]
            ),
            TOO_COMPLEX,
        ),
        "fewer tiles than it says": (
            lambda: file([grid(4, 4, (256, 256)), one], [(b"dimg", 1, [2] * 3)]), BROKEN,
        ),
        "a grid of nothing": (lambda: file([grid(1, 1, (64, 64))]), BROKEN),
        "a grid of grids": (
            lambda: file(
                [grid(2, 2, (128, 128)), grid(2, 2, (64, 64)), one], [(b"dimg", 1, [2] * 4), (b"dimg", 2, [3] * 4)]
            ),
            TOO_COMPLEX,
        ),
        "a grid of itself": (lambda: file([grid(2, 2, (64, 64))], [(b"dimg", 1, [1] * 4)]), TOO_COMPLEX),
        "an overlay": (
            lambda: file([Item(b"iovl", bytes(40), properties=(depth,)), one], [(b"dimg", 1, [2] * 4)]), TOO_COMPLEX,
        ),
        "a picture of a picture": (
            lambda: file([Item(b"iden", b"", properties=(depth,)), one], [(b"dimg", 1, [2])]), TOO_COMPLEX,
        ),
        "a large alpha plane": (
            lambda: file(
                [one, Item(kind, data, (9000, 9000), (config, depth, alpha))], [(b"auxl", 2, [1])]
            ),
            TOO_LARGE,
        ),
        "its own alpha plane": (lambda: file([one], [(b"auxl", 1, [1])]), EITHER),
        "2,000 alpha planes": (
            lambda: file([one, *[one] * 2000], [(b"auxl", number, [1]) for number in range(2, 2002)]), TOO_COMPLEX,
        ),
        "another codec": (lambda: file([Item(b"j2k1", data, properties=(config,))]), REFUSED),
        "four frames and more": (lambda: file([Item(kind, data * 9, properties=(config, depth))]), TOO_COMPLEX),
        "no data": (lambda: file([Item(kind, b"", properties=(config, depth))]), BROKEN),
        "zeros": (lambda: file([Item(kind, bytes(len(data)), properties=(config, depth))]), BROKEN),
        "half its data": (lambda: file([Item(kind, data[: len(data) // 2], properties=(config, depth))]), EITHER),
        "no description of the codec": (lambda: file([Item(kind, data, properties=(depth,))]), BROKEN),
        "no primary item": (without(b"pitm"), BROKEN),
        "a primary item that it lacks": (lambda: file([one], primary=7), BROKEN),
        "no sizes": (without(b"iprp"), BROKEN),
        "no places": (without(b"iloc"), BROKEN),
        "an item twice": (edited(b"iinf", lambda body: body[:4] + b"\0\2" + body[6:] * 2), BROKEN),
        "60,000 items": (edited(b"iinf", lambda body: body[:4] + b"\xff\xff" + body[6:] * 60_000), BROKEN),
        "places far outside": (edited(b"iloc", lambda body: body[:-8] + b"\xff" * 8), BROKEN),
        "places of another kind": (edited(b"iloc", lambda body: body[:11] + b"\2" + body[12:]), TOO_COMPLEX),
        "65,535 places": (edited(b"iloc", lambda body: body[:14] + b"\xff\xff" + body[16:] * 65_535), TOO_COMPLEX),
        "two meta boxes": (lambda: file([one]) + file([one])[28:], BROKEN),
        "200,000 empty boxes": (lambda: file([one]) + box(b"free") * 200_000, TOO_COMPLEX),
        "the first box alone": (lambda: file([one])[:24], BROKEN),
        "a box of 16 EB": (lambda: file([one]) + struct.pack(">I4sQ", 1, b"free", 2**63), BROKEN),
    }  # fmt: skip
