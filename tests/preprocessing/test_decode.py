import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from deepfake_client.pictures import MAX_PIXELS
from deepfake_client.video.picture import encode_picture
from deepfake_client.video.source import MAX_FRAME_PIXELS
from preprocessing import ImageRejectedError, PreprocessParams, Status, decode_rgb
from tests.hostile.image_colours import wide_gamut
from tests.media import encode_heic, encode_image, on_white, photo, photo_pixels

TIFF_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "lzma", "zstd")
LIMITS = {"max_bytes": 64 * 2**20, "max_pixels": PreprocessParams().max_pixels}


def decode(encoded: bytes) -> np.ndarray:
    return decode_rgb(encoded, **LIMITS)


def status_of(encoded: bytes, **limits: int) -> Status:
    with pytest.raises(ImageRejectedError) as caught:
        decode_rgb(encoded, **{**LIMITS, **limits})
    return caught.value.status


def as_pillow_loads(encoded: bytes) -> np.ndarray:
    """What transformers' pipelines load."""
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format_, **options)
    return buffer.getvalue()


def assert_same_pixels(encoded: bytes) -> np.ndarray:
    pixels = decode(encoded)
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, as_pillow_loads(encoded))
    return pixels


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png"])
def test_photos(name: str) -> None:
    assert_same_pixels(photo(name).read_bytes())


def test_a_photo_in_adobe_rgb_is_more_colourful_than_a_pipeline_takes_it_for() -> None:
    pixels = decode(photo("rocket.jpg").read_bytes()).astype(int)
    assert np.ptp(pixels, axis=2).mean() > np.ptp(photo_pixels("rocket.jpg").astype(int), axis=2).mean() + 1


@pytest.mark.parametrize(
    ("format_", "options", "lossless"),
    [
        ("PNG", {}, True),
        ("BMP", {}, True),
        ("WEBP", {"lossless": True}, True),
        ("WEBP", {"quality": 90}, False),
        ("JPEG", {"quality": 95}, False),
        ("JPEG", {"quality": 90, "progressive": True, "subsampling": 0}, False),
        ("GIF", {}, False),
        ("AVIF", {"quality": 90}, False),
        *(("TIFF", {"compression": name}, True) for name in TIFF_COMPRESSIONS),
        ("TIFF", {"tiffinfo": {278: 7}}, True),
        ("TIFF", {"compression": "jpeg", "quality": 95}, False),
    ],
)
def test_accepted_formats(format_: str, options: dict, lossless: bool) -> None:
    pixels = assert_same_pixels(encode_image(photo_pixels("coffee.png"), format_, **options))
    difference = np.abs(pixels.astype(int) - photo_pixels("coffee.png"))
    assert difference.mean() < (1e-9 if lossless else 4)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, format_: str) -> None:
    """The stored picture is what a camera in that orientation writes; upright, its red corner is top left."""
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:16, :16, 0] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}}.get(format_, {"quality": 100, "subsampling": "4:4:4"})
    encoded = encode_image(np.ascontiguousarray(stored), format_, exif=exif, **options)
    pixels = assert_same_pixels(encoded)
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - upright).mean() < 2


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert assert_same_pixels(encode_image(photo_pixels("coffee.png"), "JPEG", exif=exif)).shape == (400, 600, 3)


def test_heic() -> None:
    photograph = Image.fromarray(photo_pixels("coffee.png"))
    plain, tiles = (encode_heic(photograph, quality=90, **grid) for grid in ({}, {"tile_size": 128}))
    assert (plain.count(b"hvc1"), tiles.count(b"hvc1")) == (1, 20)
    for encoded in (plain, tiles):
        assert np.abs(decode(encoded).astype(int) - photograph).mean() < 2


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_as_its_own_boxes_say(orientation: int) -> None:
    picture = Image.fromarray(photo_pixels("coffee.png"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {1: picture, 3: picture.rotate(180), 6: picture.rotate(-90, expand=True)}.get(
        orientation, picture.rotate(90, expand=True)
    )
    pixels = decode(encode_heic(picture, quality=90, exif=exif.tobytes()))
    assert np.abs(pixels.astype(int) - turned).mean() < 2


@pytest.mark.parametrize("format_", ["AVIF", "HEIC", "TIFF", "GIF"])
def test_the_alpha_of_other_formats_lies_on_white(format_: str) -> None:
    image = Image.new("RGBA", (64, 48), (200, 0, 0, 255))
    image.paste((0, 0, 200, 0), (32, 0, 64, 48))
    encoded = encode_heic(image, quality=-1, chroma=444) if format_ == "HEIC" else saved(image, format_)
    pixels = decode(encoded)
    assert pixels[:, 40:].min() > 250
    assert np.abs(pixels[:, :24].astype(int) - (200, 0, 0)).max() < 6


def test_tiff_tiles_and_colour_models() -> None:
    rgb = Image.fromarray(photo_pixels("coffee.png"))
    for mode in ("1", "L", "P", "CMYK", "YCbCr"):
        assert_same_pixels(saved(rgb.convert(mode), "TIFF"))
    grey16 = np.linspace(0, 65535, 60 * 44).astype(np.uint16).reshape(44, 60)
    np.testing.assert_array_equal(decode(saved(Image.fromarray(grey16), "TIFF"))[..., 1], grey16 >> 8)
    assert status_of(saved(rgb.convert("L").convert("F"), "TIFF")) is Status.UNSUPPORTED_FORMAT
    assert status_of(saved(rgb, "TIFF", tiffinfo={254: 1})) is Status.UNSUPPORTED_FORMAT  # as raw photographs begin


@pytest.mark.parametrize("size", [(1280, 720), (1919, 1079), (33, 47), (1, 1)])
def test_frames_as_the_client_sends_them_are_not_copied_by_pillow(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.asarray(Image.fromarray(photo_pixels("coffee.png")).resize(size))
    encoded = encode_picture(frame)
    np.testing.assert_array_equal(as_pillow_loads(encoded), frame)
    assert status_of(encoded[:-1]) is Status.DECODE_FAILED
    monkeypatch.setattr(Image.Image, "load", lambda _image: pytest.fail("Pillow decodes"))
    pixels = decode(encoded)
    np.testing.assert_array_equal(pixels, frame)
    assert pixels.flags.writeable


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("strip_bytes", [1000, 2**20])
def test_uncompressed_tiff(orientation: int, strip_bytes: int) -> None:
    image = Image.fromarray(photo_pixels("coffee.png"))
    assert_same_pixels(saved(image, "TIFF", tiffinfo={274: orientation}, strip_size=strip_bytes))
    p3 = saved(image, "TIFF", tiffinfo={274: orientation}, strip_size=strip_bytes, icc_profile=wide_gamut())
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(p3)))
    np.testing.assert_array_equal(decode(p3), decode(encode_image(np.asarray(turned), "PNG", icc_profile=wide_gamut())))


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg"])
def test_pipeline_pixels_are_pillow_s(name: str) -> None:
    rgb = Image.fromarray(photo_pixels(name)[:64, :80])
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = {"icc_profile": wide_gamut()}
    for encoded in (
        *(saved(rgb, format_, exif=exif, **profile) for format_ in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")),
        saved(rgb.convert("CMYK"), "JPEG", **profile),
        *(saved(alpha, format_, **profile) for format_ in ("PNG", "WEBP", "TIFF", "AVIF")),
        saved(rgb.quantize(16), "PNG", transparency=3),
        saved(Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)), "PNG"),
    ):
        expected = as_pillow_loads(encoded)
        np.testing.assert_array_equal(decode_rgb(encoded, **LIMITS, pipeline_pixels=True), expected)


def test_colour_modes() -> None:
    rgb = Image.fromarray(photo_pixels("coffee.png"))
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    palette = rgb.quantize(64)
    for image, format_, options in [
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb.convert("L"), "JPEG", {}),
        (rgb.convert("L"), "PNG", {}),
        (rgb.convert("LA"), "PNG", {}),
        (rgb.convert("1"), "PNG", {}),
        (rgb.convert("1"), "BMP", {}),
        (palette, "PNG", {}),
        (palette, "PNG", {"transparency": 3}),
        (palette, "PNG", {"transparency": bytes(range(64))}),
        (palette, "BMP", {}),
        (alpha, "PNG", {}),
        (alpha, "WEBP", {}),
    ]:
        encoded = saved(image, format_, **options)
        pixels = decode(encoded)
        with Image.open(io.BytesIO(encoded)) as reference:
            right = on_white(reference) if reference.has_transparency_data else np.asarray(reference.convert("RGB"))
            np.testing.assert_array_equal(pixels, right)


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
@pytest.mark.parametrize("alpha", [0, 1, 128, 254, 255])
def test_what_is_transparent_lies_on_white(format_: str, alpha: int) -> None:
    """A picture that no viewer shows must not be scored, and the one that it shows must."""
    hidden, seen = photo_pixels("coffee.png"), np.full((400, 600), 255, np.uint8)
    seen[100:300, 100:500] = alpha
    pixels = decode(encode_image(np.dstack([hidden, seen]), format_, lossless=True, exact=True))
    shown = np.rint((hidden[100:300, 100:500] * float(alpha) + 255.0 * (255 - alpha)) / 255)
    np.testing.assert_array_equal(pixels[100:300, 100:500], shown)
    np.testing.assert_array_equal(pixels[:100], hidden[:100])


def test_one_transparent_colour_lies_on_white() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)
    for image, clear in (
        (Image.fromarray(ramp), 7),
        (Image.fromarray(np.dstack([ramp] * 3)), (7, 7, 7)),
        (Image.fromarray(ramp.astype(np.uint16) * 257), 7 * 257),
    ):
        right = np.where(ramp == 7, 255, ramp)
        np.testing.assert_array_equal(decode(saved(image, "PNG", transparency=clear))[..., 1], right)


@pytest.mark.parametrize("clear", [(0x8000, 0x8000, 0x8000), (0x0700, 0, 0), (0, 0, 0)])
def test_a_transparent_colour_of_16_bits_makes_no_other_colour_white(clear: tuple[int, int, int]) -> None:
    rows = np.zeros((8, 1 + 8 * 6), np.uint8)  # black
    body = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    chunks = (b"IHDR", body), (b"tRNS", struct.pack(">HHH", *clear)), (b"IDAT", zlib.compress(rows.tobytes()))
    assert not decode(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in (*chunks, (b"IEND", b"")))).any()


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256 * 16).astype(np.uint16).reshape(16, 256)
    pixels = decode(saved(Image.fromarray(ramp), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat((ramp >> 8).astype(np.uint8)[:, :, None], 3, axis=2))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_16_bit_grey_with_an_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.zeros((20, 30), np.uint16)
    grey[:, 0] = 65535
    pixels = decode(saved(Image.fromarray(grey), "PNG", exif=exif))
    assert pixels.shape == (30, 20, 3)
    assert pixels[0].min() == 255
    assert pixels[1:].max() == 0


def test_of_an_animation_the_first_frame_counts() -> None:
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    kinds = {"PNG": {}, "WEBP": {"lossless": True}, "MPO": {"quality": 95}, "GIF": {}, "AVIF": {"quality": 100}}
    for format_, options in {**kinds, "TIFF": {}}.items():
        pixels = decode(saved(first.copy(), format_, save_all=True, append_images=[second.copy()], **options))
        assert pixels.shape == (30, 40, 3)
        assert pixels[..., 0].min() > 250
        assert pixels[..., 2].max() < 6


@pytest.mark.parametrize("size", [(1, 1), (1, 40_000), (40_000, 1), (3, 2)])
@pytest.mark.parametrize("format_", ["PNG", "BMP", "JPEG"])
def test_extreme_sizes(size: tuple[int, int], format_: str) -> None:
    assert assert_same_pixels(saved(Image.new("RGB", size, "teal"), format_)).shape == (size[1], size[0], 3)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, with_pixels: bool = False) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000)) if with_pixels else b""
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def webp_vp8x(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + (10).to_bytes(4, "little") + b"\x02\0\0\0" + canvas
    body += b"ANIM" + (6).to_bytes(4, "little") + b"\0" * 6
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def webp_vp8l(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    body = b"WEBPVP8L" + (20).to_bytes(4, "little") + b"\x2f" + bits.to_bytes(4, "little") + b"\0" * 15
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def webp_vp8(width: int, height: int) -> bytes:
    frame = b"\x10\x02\x00\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\0" * 20
    body = b"WEBPVP8 " + len(frame).to_bytes(4, "little") + frame
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def bmp_header(width: int, height: int) -> bytes:
    information = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + information


def jpeg_header(width: int, height: int) -> bytes:
    small = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG"))
    at = small.index(b"\xff\xc0") + 5
    small[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(small)


@pytest.mark.parametrize(
    "bomb",
    [
        png_header(50_000, 50_000),
        png_header(50_000, 50_000, with_pixels=True),
        png_header(10_000, 9_500),  # between Pillow's own warning and error
        webp_vp8x(16_000_000, 16_000),
        webp_vp8x(16_383, 16_383),
        webp_vp8l(16_384, 16_384),
        webp_vp8(16_383, 16_383),
        bmp_header(50_000, 50_000),
        bmp_header(50_000, -50_000),
        jpeg_header(65_000, 65_000),
    ],
)
def test_bombs_are_refused_by_their_header(bomb: bytes) -> None:
    started = time.process_time()
    assert status_of(bomb) is Status.TOO_MANY_PIXELS
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("bomb", [webp_vp8x(60_000, 60_000), webp_vp8l(16_384, 16_384), webp_vp8(16_383, 16_383)])
def test_a_webp_bomb_never_reaches_pillow(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow allocates the whole canvas twice when it opens a WebP file, before it compares the size with a limit."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    assert status_of(bomb) is Status.TOO_MANY_PIXELS


def test_the_pixel_limit_is_one_definition_and_takes_the_largest_phones() -> None:
    assert PreprocessParams().max_pixels == MAX_PIXELS == MAX_FRAME_PIXELS == 64_000_000
    for width, height in ((8160, 6144), (8192, 6144), (8000, 8000)):
        assert status_of(png_header(width, height)) is Status.DECODE_FAILED  # not TOO_MANY_PIXELS: it has none
    assert status_of(png_header(8000, 8001)) is Status.TOO_MANY_PIXELS


def test_the_pixel_limit_is_inclusive() -> None:
    encoded = encode_image(photo_pixels("coffee.png"), "PNG")
    assert decode_rgb(encoded, max_bytes=10**9, max_pixels=600 * 400).shape == (400, 600, 3)
    assert status_of(encoded, max_pixels=600 * 400 - 1) is Status.TOO_MANY_PIXELS


def test_the_byte_limit_is_inclusive() -> None:
    encoded = encode_image(photo_pixels("coffee.png"), "JPEG")
    assert decode_rgb(encoded, max_bytes=len(encoded), max_pixels=10**9).shape == (400, 600, 3)
    assert status_of(encoded, max_bytes=len(encoded) - 1) is Status.TOO_MANY_BYTES


@pytest.mark.parametrize("format_", ["ICO", "JPEG2000"])
def test_other_image_formats_are_named(format_: str) -> None:
    encoded = encode_image(np.ascontiguousarray(photo_pixels("coffee.png")[:64, :64]), format_)
    assert status_of(encoded) is Status.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("content", [b"text", b"\0" * 1000, b"<svg></svg>", b"%PDF-1.4", b"BM", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_image(content: bytes) -> None:
    assert status_of(content) is Status.NOT_AN_IMAGE


def test_nothing() -> None:
    assert status_of(b"") is Status.EMPTY


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF", "HEIC"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_images_are_never_half_decoded(format_: str, share: float) -> None:
    photograph = photo_pixels("coffee.png")
    encoded = encode_heic(Image.fromarray(photograph)) if format_ == "HEIC" else encode_image(photograph, format_)
    assert status_of(encoded[: int(len(encoded) * share)]) is Status.DECODE_FAILED


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    format_=st.sampled_from(["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "AVIF"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    front=st.booleans(),
)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_a_status_or_an_image_never_another_error(
    format_: str, changes: list[tuple[float, int]], front: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if format_ in ("BMP", "GIF") else {"exif": exif}
    content = bytearray(encode_image(np.ascontiguousarray(photo_pixels("coffee.png")[:48, :48]), format_, **options))
    for place, value in changes:
        content[int(place * ((100 if front else len(content)) - 1))] = value
    try:
        outcome = decode_rgb(bytes(content), max_bytes=10**6, max_pixels=10**6).shape[2]
    except ImageRejectedError as error:
        outcome = error.status
    assert outcome in {3, *Status} - {Status.OK, Status.EMPTY, Status.INTERNAL}


def test_a_malformed_exif_tag_costs_neither_the_image_nor_its_orientation() -> None:
    """Found by fuzzing: Pillow's own exif_transpose raises struct.error here."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    content = bytearray(encode_image(np.ascontiguousarray(photo_pixels("coffee.png")[:32, :48]), "JPEG", exif=exif))
    content[content.index(b"\x01\x0f\x00\x02") + 1] = 0  # the text now stands under a tag of numbers
    with Image.open(io.BytesIO(content)) as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)
    assert decode(bytes(content)).shape == (48, 32, 3)
