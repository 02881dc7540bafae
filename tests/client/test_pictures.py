import contextlib
import io
import random
import struct
import sys
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError
from deepfake_client.pictures import (
    MAX_PIXELS,
    Thumbnail,
    crop_square,
    decode_upright,
    frame_size_px,
    is_transparent,
    make_thumbnail,
    open_picture,
    scored_picture,
)
from preprocessing import decode_rgb
from preprocessing.crop import Box
from preprocessing.crop import crop_square as service_crop_square
from tests.client.evidence.cases import MODEL
from tests.media import encode_heic, encode_image, on_white, photo, photo_pixels, pixels_of
from tests.preprocessing.test_icc import cmyk_profile, display_p3, grey_profile

FACE = (173.0, 67.0, 276.0, 170.0)  # the astronaut's, as the service finds it
GPS = {0x0112: 6, 0x010E: "a secret place", 0x8825: {1: "N", 2: (52.0, 31.0, 0.0)}}


@cache
def with_exif(orientation: int, format_: str = "JPEG", **options: Any) -> bytes:
    """The astronaut, 512 x 384, stored turned so that viewing it upright needs `orientation`."""
    exif = Image.Exif()
    for tag, value in {**GPS, 0x0112: orientation}.items():
        exif[tag] = value
    inverse = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    image = Image.fromarray(photo_pixels("astronaut.png")[:384])
    if orientation != 1:
        undo = Image.Exif()
        undo[0x0112] = inverse[orientation]
        image.info["exif"] = undo.tobytes()
        turned = Image.open(io.BytesIO(_saved(image, exif=undo)))
        image = ImageOps.exif_transpose(turned)
    return _saved(image, format_, exif=exif, **options)


def _saved(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def difference(thumbnail: Thumbnail, expected: Image.Image) -> float:
    """Mean difference in grey levels from the expected picture, resized."""
    size = (thumbnail.width_px, thumbnail.height_px)
    wanted = np.asarray(expected.convert("RGB").resize(size, Image.Resampling.LANCZOS)).astype(int)
    return float(np.abs(pixels_of(thumbnail.jpeg).astype(int) - wanted).mean())


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF"])
def test_a_frame_becomes_a_small_jpeg(format_: str) -> None:
    made = make_thumbnail(encode_image(photo_pixels("astronaut.png"), format_), FACE, max_side_px=128)
    assert made.jpeg.startswith(b"\xff\xd8\xff")
    assert pixels_of(made.jpeg).shape == (128, 128, 3)
    assert (made.width_px, made.height_px) == (128, 128)
    assert made.face_box_px == pytest.approx([v / 4 for v in FACE])
    assert difference(made, Image.open(photo("astronaut.png"))) < 7


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_every_exif_orientation_is_applied(orientation: int, format_: str) -> None:
    made = make_thumbnail(with_exif(orientation, format_), FACE, max_side_px=256)
    assert (made.width_px, made.height_px) == (256, 192)
    assert frame_size_px(with_exif(orientation, format_)) == (512, 384)
    assert made.face_box_px == pytest.approx([v / 2 for v in FACE])
    assert difference(made, Image.fromarray(photo_pixels("astronaut.png")[:384])) < 7
    crop = make_thumbnail(with_exif(orientation, format_), FACE, 1.3, max_side_px=224)
    assert difference(crop, Image.open(photo("astronaut.png")).crop((158, 52, 292, 186))) < 7


def test_the_crop_is_the_classifiers_square() -> None:
    made = make_thumbnail(photo("astronaut.png").read_bytes(), FACE, 1.3, max_side_px=67)
    assert (made.width_px, made.height_px) == (67, 67)
    assert made.face_box_px == pytest.approx((7.5, 7.5, 59, 59))
    assert difference(made, Image.open(photo("astronaut.png")).crop((158, 52, 292, 186))) < 7


def test_the_squares_geometry_is_that_of_preprocessing() -> None:
    rng = random.Random(5)
    for _ in range(2000):
        width, height = rng.randint(1, 2000), rng.randint(1, 2000)
        x = sorted(rng.uniform(0, width) for _ in range(2))
        y = sorted(rng.uniform(0, height) for _ in range(2))
        factor = rng.choice([1.0, 1.3, 2.5, 10.0])
        theirs = service_crop_square(Box(x[0], y[0], x[1], y[1]), width, height, factor)
        ours = crop_square((x[0], y[0], x[1], y[1]), width, height, factor)
        assert ours == (theirs.x0, theirs.y0, theirs.side)


def test_nothing_is_enlarged_and_no_side_vanishes() -> None:
    small = make_thumbnail(encode_image(np.zeros((20, 30, 3), np.uint8), "PNG"))
    assert (small.width_px, small.height_px, small.face_box_px) == (30, 20, None)
    thin = make_thumbnail(encode_image(np.zeros((2, 4000, 3), np.uint8), "PNG"), max_side_px=100)
    assert (thin.width_px, thin.height_px) == (100, 1)
    crop = make_thumbnail(encode_image(photo_pixels("astronaut.png"), "PNG"), (10, 10, 30, 25), 1.3)
    assert (crop.width_px, crop.height_px) == (26, 26)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_no_metadata_is_carried_over(format_: str) -> None:
    options = {"comment": b"a secret comment"} if format_ == "JPEG" else {}
    encoded = with_exif(6, format_, icc_profile=b"a secret profile", **options)
    assert b"secret" in encoded, "or the test shows nothing"
    for made in (make_thumbnail(encoded, FACE), make_thumbnail(encoded, FACE, 1.3, max_side_px=224)):
        assert b"secret" not in made.jpeg
        with Image.open(io.BytesIO(made.jpeg)) as image:
            assert dict(image.getexif()) == {}
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_same_frame_gives_the_same_bytes() -> None:
    encoded = with_exif(6)
    assert make_thumbnail(encoded, FACE) == make_thumbnail(encoded, FACE)
    assert make_thumbnail(encoded, FACE, 1.3, max_side_px=224) == make_thumbnail(encoded, FACE, 1.3, max_side_px=224)


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.tile(photo_pixels("astronaut.png"), (4, 6, 1))  # 3072 x 2048
    encoded = encode_image(large, "JPEG")
    decoded: list[tuple[int, int]] = []
    original = Image.Image.convert

    def spy(image: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        decoded.append(image.size)
        return original(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "convert", spy)
    made = make_thumbnail(encoded, max_side_px=320)
    assert decoded == [(768, 512)]
    assert (made.width_px, made.height_px) == (320, 213)
    decoded.clear()
    make_thumbnail(encoded, FACE, 1.3, max_side_px=224)
    assert decoded == [(3072, 2048)], "a small face needs all its pixels"
    monkeypatch.undo()
    assert difference(made, Image.fromarray(large)) < 10


def test_the_pixel_limit_is_checked_on_the_header_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    png += struct.pack(">I", 0) + b"IDAT" + b"\0" * 4
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("pixels were decoded"))
    for make in (make_thumbnail, frame_size_px):
        with pytest.raises(MediaTooLargeError):
            make(png)
    with pytest.raises(MediaTooLargeError, match=r"512 x 512 pixels, the limit is 262143"):
        make_thumbnail(photo("astronaut.png").read_bytes(), max_pixels=512 * 512 - 1)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"text",
        b"\xff\xd8\xff\xe0p=0.5",
        b"GIF89a" + b"\0" * 30,
        b"RIFF\0\0\0\0WEBPVP8 ",
        encode_image(np.zeros((64, 64, 3), np.uint8), "PNG")[:70],
        encode_image(np.zeros((640, 640, 3), np.uint8), "JPEG")[:300],
        encode_image(np.zeros((64, 64, 3), np.uint8), "BMP")[:200],
    ],
)
def test_what_cannot_be_decoded(encoded: bytes) -> None:
    with pytest.raises(MediaDecodeError, match="cannot be decoded"):
        make_thumbnail(encoded)


def test_a_jpeg_without_its_end_marker() -> None:
    encoded = encode_image(photo_pixels("astronaut.png"), "JPEG")
    assert make_thumbnail(encoded[:-2]) == make_thumbnail(encoded)


def test_a_png_without_its_palette() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header, rows = struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0), zlib.compress(bytes(72))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert not is_transparent(png)
    with contextlib.suppress(MediaDecodeError):
        make_thumbnail(png)


PICTURES = {
    "grey": lambda: photographed().convert("L"),
    "grey16": lambda: Image.fromarray(np.asarray(photographed().convert("L")).astype(np.uint16) * 257),
    "palette": lambda: photographed().quantize(16),
    "alpha": lambda: translucent(photographed()),
    "CMYK": lambda: photographed().convert("CMYK"),
    "RGB": lambda: photographed(),
}


def photographed() -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(photo_pixels("astronaut.png")[:96, 100:260]))


def translucent(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


@pytest.mark.parametrize(
    ("format_", "kind"),
    [
        *(("TIFF", kind) for kind in PICTURES),
        *(("PNG", kind) for kind in PICTURES if kind != "CMYK"),
        *((format_, kind) for format_ in ("WEBP", "AVIF", "HEIC") for kind in ("RGB", "alpha")),
        *(("JPEG", kind) for kind in ("RGB", "grey", "CMYK")),
        *(("GIF", kind) for kind in ("palette", "grey")),
    ],
)
@pytest.mark.parametrize(
    "profile", [b"", display_p3(), grey_profile(), cmyk_profile()], ids=["none", "P3", "grey", "CMYK"]
)
def test_what_is_shown_is_what_is_scored(format_: str, kind: str, profile: bytes) -> None:
    image = PICTURES[kind]()
    if format_ == "HEIC":
        image.info["icc_profile"] = profile
        encoded = encode_heic(image)
    else:
        encoded = _saved(image, format_, **({"icc_profile": profile} if profile else {}))
    with open_picture(encoded, MAX_PIXELS) as opened:
        shown = np.asarray(decode_upright(opened))
    np.testing.assert_array_equal(shown, decode_rgb(encoded, max_bytes=10**8, max_pixels=MAX_PIXELS))


@pytest.mark.parametrize("pipeline_pixels", [False, True])
@pytest.mark.parametrize("kind", ["RGB", "alpha", "grey16"])
def test_a_picture_as_a_release_scores_it(kind: str, pipeline_pixels: bool) -> None:
    encoded = _saved(PICTURES[kind](), "PNG", icc_profile=display_p3())
    preprocess = MODEL.preprocess.model_copy(update={"pipeline_pixels": pipeline_pixels})
    limits = {"max_bytes": 10**8, "max_pixels": MAX_PIXELS}
    expected = decode_rgb(encoded, **limits, pipeline_pixels=pipeline_pixels)
    np.testing.assert_array_equal(np.asarray(scored_picture(encoded, preprocess)), expected)


def test_a_heic_without_pillow_heif_is_not_shown_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode_heic(photographed())
    assert make_thumbnail(encoded, max_side_px=80).width_px == 80
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MediaDecodeError, match="extra heic"):
        make_thumbnail(encoded)


def test_unusual_modes_keep_their_look() -> None:
    grey = photo_pixels("astronaut.png").mean(axis=2)
    sixteen = Image.fromarray((grey * 257).astype(np.uint16))
    made = make_thumbnail(_saved(sixteen))
    assert difference(made, Image.fromarray(grey.astype(np.uint8))) < 7
    palette = Image.open(photo("astronaut.png")).convert("RGB").quantize(200)
    made = make_thumbnail(_saved(palette, transparency=bytes(range(200))))
    palette.info["transparency"] = bytes(range(200))
    assert difference(made, Image.fromarray(on_white(palette))) < 7
    cmyk = Image.open(photo("astronaut.png")).convert("CMYK")
    assert difference(make_thumbnail(_saved(cmyk, "JPEG")), cmyk) < 7
