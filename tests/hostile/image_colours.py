"""Images of every colour model, depth, orientation and colour profile: odd, but right pixels are expected."""

import io
import struct
from collections.abc import Callable
from functools import cache, partial

import numpy as np
from PIL import Image, ImageCms

from tests.hostile.image import GOOD, HostileImage, exif_of, grey16, picture, saved


def odd_colours() -> list[HostileImage]:
    """This part of the catalogue."""
    return [*_colours(), *_orientations(), *_profiles()]


def _colours() -> list[HostileImage]:
    rgb = Image.fromarray(picture())
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    palette = rgb.quantize(16)
    cases: dict[str, Callable[[], bytes]] = {
        "CMYK JPEG": lambda: saved("JPEG", rgb.convert("CMYK")),
        "grey JPEG": lambda: saved("JPEG", rgb.convert("L")),
        "RGB JPEG": lambda: saved("JPEG", keep_rgb=True),
        "grey PNG": lambda: saved("PNG", rgb.convert("L")),
        "grey PNG with alpha": lambda: saved("PNG", rgb.convert("LA")),
        "PNG with alpha": lambda: saved("PNG", alpha),
        "palette": lambda: saved("PNG", palette),
        "palette, one colour transparent": lambda: saved("PNG", palette, transparency=3),
        "palette with alpha": lambda: saved("PNG", palette, transparency=bytes(range(0, 160, 10))),
        "black and white PNG": lambda: saved("PNG", rgb.convert("1")),
        "black and white BMP": lambda: saved("BMP", rgb.convert("1")),
        "palette BMP": lambda: saved("BMP", palette),
        "BMP with alpha": lambda: saved("BMP", alpha),
        "WebP with alpha": lambda: saved("WEBP", alpha),
    }
    deep = HostileImage(
        "colours: 16-bit grey", lambda: saved("PNG", grey16()), GOOD,
        lambda: saved("PNG", Image.fromarray((np.asarray(grey16()) >> 8).astype(np.uint8))),
    )  # fmt: skip
    return [*(HostileImage(f"colours: {name}", make, GOOD) for name, make in cases.items()), deep]


def _orientations() -> list[HostileImage]:
    return [
        HostileImage(
            f"orientation {number}: {format_}",
            partial(saved, format_, exif=exif_of(number)),
            GOOD,
        )
        for format_ in ("JPEG", "PNG", "WEBP")
        for number in range(1, 9)
    ]


def _profiles() -> list[HostileImage]:
    """A colour profile changes the colours; one that is damaged or too large changes nothing."""
    profiles = {
        "wide gamut": wide_gamut(),
        "damaged": b"\xff" * 300,
        "cut": wide_gamut()[:100],
        "of 500 KB": bytes(500_000),
        "that says 4 GB": b"\xff\xff\xff\xff" + wide_gamut()[4:],
    }

    def expected(format_: str, name: str) -> bytes:
        plain = saved(format_)
        if name != "wide gamut":
            return plain
        with Image.open(io.BytesIO(plain)) as image:
            opened = ImageCms.ImageCmsProfile(io.BytesIO(wide_gamut()))
            return saved("PNG", ImageCms.profileToProfile(image, opened, ImageCms.createProfile("sRGB")))

    return [
        HostileImage(
            f"profile {name}: {format_}",
            partial(saved, format_, icc_profile=profile),
            GOOD,
            partial(expected, format_, name),
        )
        for name, profile in profiles.items()
        for format_ in ("JPEG", "PNG", "WEBP", "TIFF")
    ]


@cache
def wide_gamut() -> bytes:
    """A matrix profile (ICC.1, section 8.3) with the primaries of ProPhoto RGB and a gamma of 1.8."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def point(*xyz: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(number(value) for value in xyz)

    curve = b"curv\0\0\0\0\0\0\0\1\1\xcd\0\0"
    text = b"text\0\0\0\0wide\0\0\0\0"
    tags = {
        b"cprt": text, b"desc": b"desc\0\0\0\0\0\0\0\5wide\0" + bytes(79), b"wtpt": point(0.9642, 1.0, 0.8249),
        b"rXYZ": point(0.7977, 0.2880, 0.0), b"gXYZ": point(0.1352, 0.7119, 0.0),
        b"bXYZ": point(0.0313, 0.0001, 0.8249), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    directory, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        directory += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(bodies), len(body))
        bodies += body
    size = struct.pack(">I", 128 + len(directory) + len(bodies))
    header = size + b"none\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += b"".join(number(v) for v in (0.9642, 1.0, 0.8249))
    return header.ljust(128, b"\0") + directory + bodies
