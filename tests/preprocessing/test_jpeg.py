"""The direct JPEG decoder gives Pillow's pixels and Pillow's verdicts, whatever the file."""

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms

from preprocessing import ImageRejectedError, Status, decode, decode_rgb
from preprocessing.complexity import check_structure
from preprocessing.jpeg import decode_jpeg
from tests.media import encode_image, photo_pixels

FACE = np.ascontiguousarray(photo_pixels("astronaut.png")[60:130, 160:251])
GREY = np.ascontiguousarray(FACE[..., 1])
END = b"\xff\xd9"
RARE = {
    name: base64.b64decode(text)
    for name, text in json.loads(Path(__file__).with_name("rare_jpegs.json").read_text("utf-8")).items()
}


def jpeg(pixels: np.ndarray = FACE, **options: object) -> bytes:
    return encode_image(pixels, "JPEG", **options)


def mpo(pixels: np.ndarray = FACE) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(pixels[::-1].copy())])
    return buffer.getvalue()


def cmyk() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(FACE).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def directly(encoded: bytes) -> np.ndarray | None:
    with Image.open(io.BytesIO(encoded)) as header:
        return decode_jpeg(header, encoded)


def assert_direct(encoded: bytes) -> None:
    pixels = directly(encoded)
    assert pixels is not None
    assert pixels.flags.c_contiguous
    with Image.open(io.BytesIO(encoded)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


def lacks_end(encoded: bytes) -> bool:
    return check_structure(encoded).lacks_end


def outcome_of(encoded: bytes) -> np.ndarray | Status:
    try:
        return decode_rgb(encoded, max_bytes=10**7, max_pixels=10**6)
    except ImageRejectedError as error:
        return error.status


def outcome_of_pillow(encoded: bytes, monkeypatch: pytest.MonkeyPatch) -> np.ndarray | Status:
    with monkeypatch.context() as patch:
        patch.setattr(decode, "decode_jpeg", lambda *_: None)
        patch.setattr(decode, "decode_jpeg_without_end", lambda *_: None)
        return outcome_of(encoded)


def assert_same_outcome(encoded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    found, expected = outcome_of(encoded), outcome_of_pillow(encoded, monkeypatch)
    if isinstance(found, np.ndarray) and expected is Status.DECODE_FAILED and lacks_end(encoded):
        expected = outcome_of_pillow(encoded + END, monkeypatch)  # what LOAD_TRUNCATED_IMAGES does
    if isinstance(found, Status) or isinstance(expected, Status):
        assert found is expected, encoded.hex()
    else:
        assert np.array_equal(found, expected), encoded.hex()


@pytest.mark.parametrize("quality", [1, 2, 5, 20, 50, 75, 90, 95, 99, 100])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}],
    ids=str,
)
def test_what_pillow_writes(quality: int, subsampling: str, options: dict) -> None:
    assert_direct(jpeg(quality=quality, subsampling=subsampling, **options))
    assert_direct(jpeg(GREY, quality=quality, **options))


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411", "Gray"])
@pytest.mark.parametrize("quality", [10, 85, 100])
def test_what_libjpeg_turbo_writes(subsampling: str, quality: int) -> None:
    space, pixels = ("Gray", GREY[..., None]) if subsampling == "Gray" else ("RGB", FACE)
    assert_direct(simplejpeg.encode_jpeg(pixels, quality, space, subsampling))


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
def test_every_size_around_a_block(subsampling: str) -> None:
    for height, width in [(h, w) for h in (1, 2, 7, 8, 9, 16, 17, 31, 33) for w in (1, 2, 3, 8, 15, 16, 17, 33, 65)]:
        assert_direct(simplejpeg.encode_jpeg(FACE[:height, :width].copy(), 80, "RGB", subsampling))


@pytest.mark.parametrize("shape", [(1, 40_000), (40_000, 1), (3000, 2000)])
def test_long_and_large(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert_direct(jpeg(pixels, quality=75))


def test_whole_photos() -> None:
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        for options in ({"quality": 90}, {"quality": 80, "progressive": True}):
            assert_direct(jpeg(photo_pixels(name), **options))


@pytest.mark.parametrize("dropped", [1, 3, 6, 8])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_progressive_file_without_its_last_scans_is_smoothed_alike(dropped: int, subsampling: int) -> None:
    encoded = jpeg(progressive=True, subsampling=subsampling, quality=60)
    for _ in range(dropped):
        encoded = encoded[: encoded.rindex(b"\xff\xda")]
    assert_direct(encoded + b"\xff\xd9")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pixels", [FACE, GREY], ids=["colour", "grey"])
def test_orientations(orientation: int, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = jpeg(pixels, exif=oriented(orientation))
    assert_direct(encoded)
    assert_same_outcome(encoded, monkeypatch)


def test_colour_profiles_comments_and_resolution_change_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert_direct(jpeg(icc_profile=profile, comment=b"x" * 60_000, dpi=(7, 900)))


def test_colours_stored_as_rgb() -> None:
    encoded = jpeg(keep_rgb=True, quality=90)
    assert b"Adobe" in encoded or b"RGB" in encoded
    assert_direct(encoded)


@pytest.mark.parametrize("name", RARE)
def test_rare_codings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_outcome(RARE[name], monkeypatch)


@pytest.mark.parametrize("behind", [b"\0", b"\xff\xd9", b"text" * 1000, jpeg(GREY), b"\xff\xd8\xff"])
def test_bytes_behind_the_image(behind: bytes) -> None:
    assert_direct(jpeg() + behind)
    assert_direct(jpeg(progressive=True) + behind)


def test_the_first_picture_of_several_counts() -> None:
    assert_direct(mpo())


def test_other_files_are_left_to_pillow() -> None:
    for encoded in (cmyk(), encode_image(FACE, "PNG"), encode_image(FACE, "WEBP"), encode_image(FACE, "BMP")):
        assert directly(encoded) is None
        assert isinstance(outcome_of(encoded), np.ndarray)


def test_a_huge_file_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = jpeg()
    monkeypatch.setattr("preprocessing.jpeg._MAX_BYTES", len(encoded))
    assert directly(encoded) is not None
    assert directly(encoded + b"\0") is None


@pytest.mark.parametrize("header", [(71, 91), (69, 91), (70, 90), (91, 70), (1, 1), (1000, 1000)])
def test_no_other_size_than_the_checked_one_is_decoded(header: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(jpeg(np.zeros((*header, 3), np.uint8)))) as checked:
        assert decode_jpeg(checked, jpeg()) is None


CODINGS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: jpeg(FACE[:24, :24].copy(), exif=oriented(6)),
    "restarts": lambda: jpeg(FACE[:24, :24].copy(), restart_marker_blocks=1),
    "progressive": lambda: jpeg(FACE[:24, :24].copy(), progressive=True),
    "progressive with restarts": lambda: jpeg(FACE[:24, :24].copy(), progressive=True, restart_marker_blocks=2),
    "grey": lambda: jpeg(GREY[:24, :24].copy()),
    "grey, progressive": lambda: jpeg(GREY[:24, :24].copy(), progressive=True),
    "best": lambda: jpeg(FACE[:24, :24].copy(), quality=100, subsampling=0, optimize=True),
    "flat": lambda: jpeg(np.full((64, 64, 3), 200, np.uint8)),
    "flat, progressive": lambda: jpeg(np.full((64, 64, 3), 200, np.uint8), progressive=True),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_every_truncation_is_refused_but_that_of_the_end_marker(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = CODINGS[coding]()
    whole = outcome_of(encoded)
    for length in range(3, len(encoded) - 2):
        assert outcome_of(encoded[:length]) is Status.DECODE_FAILED, length
    for lost in (1, 2):
        np.testing.assert_array_equal(outcome_of(encoded[:-lost]), whole)
        assert_same_outcome(encoded[:-lost], monkeypatch)


def test_the_last_byte_of_the_data_is_missed_in_every_picture() -> None:
    rng = np.random.default_rng(1)
    for number in range(300):
        pixels = rng.integers(0, 256, (*rng.integers(1, 40, 2), 3), dtype=np.uint8)
        encoded = jpeg(pixels, quality=int(rng.integers(5, 101)), progressive=number % 2 == 1)
        assert isinstance(outcome_of(encoded[:-2]), np.ndarray)
        assert outcome_of(encoded[:-3]) is Status.DECODE_FAILED, number


@pytest.mark.parametrize("behind", [b"text", b"\xff\xfe\0\x06text", b"\xff\xda\0", bytes(5000)])
@pytest.mark.parametrize("coding", CODINGS)
def test_other_bytes_in_place_of_the_rest_end_as_with_pillow(
    coding: str, behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the zeros that a download leaves which broke off."""
    encoded = CODINGS[coding]()
    whole = outcome_of(encoded)
    for length in {*range(encoded.rindex(b"\xff\xda") + 14, len(encoded) - 2, 9), len(encoded) - 2}:
        damaged = encoded[:length] + behind
        found, expected = outcome_of(damaged), outcome_of_pillow(damaged, monkeypatch)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected)
        else:
            assert found is Status.DECODE_FAILED or (length == len(encoded) - 2 and np.array_equal(found, whole))


def test_a_large_file_without_its_end_marker_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preprocessing.jpeg._MAX_BYTES", 100)
    np.testing.assert_array_equal(outcome_of(jpeg()[:-2]), outcome_of(jpeg()))


@pytest.mark.parametrize("name", RARE)
def test_rare_codings_without_their_end_are_whole_or_refused(name: str) -> None:
    whole = outcome_of(RARE[name])
    for length in {*range(100, len(RARE[name]), 7), *range(len(RARE[name]) - 12, len(RARE[name]))}:
        outcome = outcome_of(RARE[name][:length])
        assert outcome is Status.DECODE_FAILED or np.array_equal(outcome, whole), length


def test_a_warning_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libjpeg warns about a Huffman code that does not exist, and goes on with grey."""
    encoded = bytearray(jpeg(quality=90))
    start = encoded.index(b"\xff\xda") + 200
    encoded[start : start + 40] = b"\xfe" * 40
    assert directly(bytes(encoded)) is None
    assert isinstance(outcome_of(bytes(encoded)), np.ndarray)
    assert_same_outcome(bytes(encoded), monkeypatch)


INSERTS = [
    *(bytes([0xFF, marker]) for marker in (0xD9, 0xD8, 0xD0, 0xFF, 0xDA, 0xC0, 0x00, 0x01)),
    b"\xff\xfe\0\2",
    b"\xff\xdd\0\4\0\3",
    *(b"\xff\xee\0\x0eAdobe\0d\0\0\0\0" + bytes([transform]) for transform in range(3)),
]


def damaged(encoded: bytes, rng: random.Random) -> bytes:
    content = bytearray(encoded)
    if rng.random() < 0.1:
        return bytes(content[: rng.randrange(2, len(content))])
    if rng.random() < 0.05:
        return bytes(content[: -rng.randrange(1, 4)])
    header = content.index(b"\xff\xda") + 14
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.choice(
            (rng.randrange(2, header), rng.randrange(2, header), rng.randrange(header, len(content) - 2), -1, -2)
        )
        match rng.randrange(5):
            case 0:
                content[place] = rng.randrange(256)
            case 1 | 2:
                content[place] ^= 1 << rng.randrange(8)
            case 3:
                del content[place]
            case 4:
                content[place:place] = rng.choice((*INSERTS, bytes([rng.randrange(256)])))
    return bytes(content)


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_end_as_pillow_alone_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [
        *(
            jpeg(subsampling=subsampling, progressive=progressive, restart_marker_blocks=blocks, exif=oriented(6))
            for subsampling in (0, 1, 2)
            for progressive in (False, True)
            for blocks in (0, 3)
        ),
        *(jpeg(GREY, progressive=progressive) for progressive in (False, True)),
        *(simplejpeg.encode_jpeg(FACE, 85, "RGB", subsampling) for subsampling in ("440", "411")),
        jpeg(optimize=True, quality=98),
        jpeg(keep_rgb=True),
        cmyk(),
        mpo(),
        *RARE.values(),
    ]
    rng = random.Random(20)
    seen: Counter[str] = Counter()
    for number in range(6000):
        encoded = damaged(whole[number % len(whole)], rng)
        assert_same_outcome(encoded, monkeypatch)
        found = outcome_of(encoded)
        if isinstance(found, Status):
            seen[found.name] += 1
        else:
            seen["straight" if directly(encoded) is not None else "by Pillow"] += 1
    assert min(seen[key] for key in ("straight", "by Pillow", "DECODE_FAILED")) > 500, seen
