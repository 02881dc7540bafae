import io
import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from deepfake_client.errors import MediaDecodeError, MediaTooLargeError
from evaluation.degradation import STANDARD_SET, Degradation, Kind, crop_box, decode, encode_lossless, parse_degradation
from evaluation.errors import DegradationError
from preprocessing import decode_rgb
from tests.media import encode_image, photo, photo_pixels

FACE = (170.0, 60.0, 280.0, 170.0)


def opened(encoded: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(encoded))
    image.load()
    return image


@pytest.mark.parametrize("text", ["jpeg=75", "h264=40", "hevc=28", "downscale=0.5", "blur=1.5", "crop=1.6"])
def test_names_are_read_back(text: str) -> None:
    assert parse_degradation(text).name == text


@pytest.mark.parametrize(
    "text",
    ["jpeg", "jpeg=", "jpeg=0", "jpeg=101", "jpeg=7.5", "jpeg=nan", "downscale=1", "downscale=0", "downscale=-1",
     "blur=0", "blur=inf", "crop=0.9", "crop=21", "noise=1", "h264=52", "hevc=-1", "h264=2.5", "", "=5", "JPEG=75"],
)  # fmt: skip
def test_what_is_no_degradation(text: str) -> None:
    with pytest.raises(DegradationError):
        parse_degradation(text)


def test_jpeg_is_encoded_again_with_the_tables_of_its_quality() -> None:
    source = photo("astronaut.png").read_bytes()
    pixels = photo_pixels("astronaut.png").astype(float)
    errors, sizes = [], []
    for quality in (90, 50, 10):
        encoded = Degradation(Kind.JPEG, quality).apply(source, None)
        image = opened(encoded)
        assert image.format == "JPEG"
        assert image.size == (512, 512)
        expected = opened(encode_image(photo_pixels("astronaut.png"), "JPEG", quality=quality, subsampling="4:2:0"))
        assert image.quantization == expected.quantization
        assert [layer[1:3] for layer in image.layer] == [(2, 2), (1, 1), (1, 1)]
        errors.append(np.abs(np.asarray(image).astype(float) - pixels).mean())
        sizes.append(len(encoded))
    assert errors == sorted(errors)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("kind", [Kind.H264, Kind.HEVC])
@pytest.mark.parametrize("size", [(320, 240), (161, 99), (2, 2)])
def test_a_video_codec_loses_more_at_a_higher_rate_factor(kind: Kind, size: tuple[int, int]) -> None:
    """Odd sides stay as they are, and nothing moves: a coarser copy is still a copy of the picture."""
    with Image.open(photo("astronaut.png")) as source:
        image = source.convert("RGB").resize(size)
    pixels, errors = np.asarray(image).astype(float), []
    for rate_factor in (0, 28, 40, 51):
        coded = opened(Degradation(kind, rate_factor).apply(encode_lossless(image), None))
        assert (coded.format, coded.size) == ("PNG", size)
        errors.append(np.abs(np.asarray(coded).astype(float) - pixels).mean())
    if size[0] > 2:
        assert errors == sorted(errors)
        assert errors[0] < 4 < errors[2] < 20


def test_downscaled_stays_small_and_lossless() -> None:
    image = opened(Degradation(Kind.DOWNSCALE, 0.5).apply(photo("coffee.png").read_bytes(), None))
    assert image.format == "PNG"
    assert image.size == (300, 200)
    blocks = photo_pixels("coffee.png").reshape(200, 2, 300, 2, 3).mean((1, 3))
    assert np.abs(np.asarray(image) - blocks).mean() < 4
    tiny = opened(Degradation(Kind.DOWNSCALE, 0.001).apply(photo("coffee.png").read_bytes(), None))
    assert tiny.size == (1, 1)


@pytest.mark.parametrize("sigma_px", [0.8, 1.5, 4.0])
def test_blur_has_the_standard_deviation_it_says(sigma_px: float) -> None:
    edge = np.zeros((64, 128, 3), np.uint8)
    edge[:, 64:] = 255
    blurred = np.asarray(opened(Degradation(Kind.BLUR, sigma_px).apply(encode_image(edge, "PNG"), None)))
    spread = np.diff(blurred[32, :, 0].astype(float)) / 255  # the derivative of a blurred edge is the kernel
    positions = np.arange(spread.size)
    centre = (spread * positions).sum()
    assert math.sqrt((spread * (positions - centre) ** 2).sum()) == pytest.approx(sigma_px, rel=0.05)
    whole = opened(Degradation(Kind.BLUR, sigma_px).apply(photo("astronaut.png").read_bytes(), None))
    with Image.open(photo("astronaut.png")) as source:
        expected = source.convert("RGB").filter(ImageFilter.GaussianBlur(sigma_px))
    assert np.array_equal(np.asarray(whole), np.asarray(expected))


def test_crop_cuts_around_the_face() -> None:
    image = opened(Degradation(Kind.CROP, 1.6).apply(photo("astronaut.png").read_bytes(), FACE))
    assert image.size == (176, 176)
    assert np.array_equal(np.asarray(image), photo_pixels("astronaut.png")[27:203, 137:313])
    with pytest.raises(DegradationError):
        Degradation(Kind.CROP, 1.6).apply(photo("astronaut.png").read_bytes(), None)


@settings(deadline=None)
@given(
    width=st.integers(8, 500), height=st.integers(8, 500), factor=st.floats(1, 20),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
)  # fmt: skip
def test_the_cut_lies_inside_and_holds_the_face(
    width: int, height: int, factor: float, corners: tuple[float, float, float, float]
) -> None:
    x0, x1 = sorted((corners[0] * width, corners[1] * width))
    y0, y1 = sorted((corners[2] * height, corners[3] * height))
    left, top, right, bottom = crop_box((x0, y0, x1, y1), width, height, factor)
    side = right - left
    assert bottom - top == side
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert side == max(1, min(width, height, math.floor(factor * max(x1 - x0, y1 - y0) + 0.5)))
    if side > max(x1 - x0, y1 - y0) + 2:
        assert left <= x0 + 1
        assert x1 - 1 <= right
        assert top <= y0 + 1
        assert y1 - 1 <= bottom


def test_exif_orientation_comes_first() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode_image(np.rot90(photo_pixels("coffee.png")).copy(), "JPEG", quality=95, exif=exif)
    image = opened(Degradation(Kind.DOWNSCALE, 0.5).apply(turned, None))
    assert image.size == (300, 200)
    assert "exif" not in image.info
    assert np.abs(np.asarray(image.resize((600, 400))).astype(int) - photo_pixels("coffee.png")).mean() < 12


def test_16_bit_grey_and_transparency_as_the_service_reads_them() -> None:
    grey16 = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    image = decode(encode_image(grey16, "PNG"))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image)[:, :, 0], (grey16 >> 8).astype(np.uint8))
    alpha = encode_image(np.dstack([photo_pixels("coffee.png"), np.full((400, 600), 99, np.uint8)]), "PNG")
    assert np.array_equal(np.asarray(decode(alpha)), decode_rgb(alpha, max_bytes=10**9, max_pixels=10**9))


def test_lossless_is_lossless() -> None:
    image = decode(photo("chelsea.png").read_bytes())
    assert np.array_equal(np.asarray(opened(encode_lossless(image))), photo_pixels("chelsea.png"))


@pytest.mark.parametrize("encoded", [b"", b"text", b"\xff\xd8\xff\xe0", b"GIF89a" + b"\0" * 40])
@pytest.mark.parametrize("degradation", STANDARD_SET[:4], ids=lambda d: d.name)
def test_what_cannot_be_decoded(encoded: bytes, degradation: Degradation) -> None:
    with pytest.raises(MediaDecodeError):
        degradation.apply(encoded, None)


def test_truncated_pixels() -> None:
    whole = photo("rocket.jpg").read_bytes()
    with pytest.raises(MediaDecodeError):
        decode(whole[: len(whole) // 2])


@pytest.mark.parametrize("side_px", [8_001, 30_000])
def test_too_many_pixels_are_refused_from_the_header(side_px: int) -> None:
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(MediaTooLargeError):
        decode(bomb)


def test_too_long_for_a_jpeg() -> None:
    with pytest.raises(MediaTooLargeError):
        Degradation(Kind.JPEG, 75).apply(encode_image(np.zeros((1, 70_000, 3), np.uint8), "PNG"), None)
