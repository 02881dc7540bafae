"""Files that are small and cost minutes to decode are refused; what cameras and encoders write is not."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from preprocessing import ImageRejectedError, Status, decode_rgb
from preprocessing.complexity import (
    MAX_BMP_RLE_WORK,
    MAX_JPEG_SCANNED_PIXELS,
    MAX_JPEG_SCANS,
    MAX_PNG_CHUNKS,
    check_structure,
)
from tests.media import photo_pixels

SOS = b"\xff\xda"
EOI = b"\xff\xd9"


def outcome_of(encoded: bytes) -> Status:
    try:
        decode_rgb(encoded, max_bytes=64 * 2**20, max_pixels=64_000_000)
    except ImageRejectedError as error:
        return error.status
    return Status.OK


def progressive(width: int = 64, height: int = 64, mode: str = "L", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 128).save(buffer, "JPEG", progressive=True, **options)
    return buffer.getvalue()


def with_scans(encoded: bytes, scans: int) -> bytes:
    """The file with its last scan repeated until there are so many."""
    assert encoded.endswith(EOI)
    last = encoded[encoded.rindex(SOS) : -2]
    return encoded[:-2] + last * (scans - check_structure(encoded).scans) + EOI


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before: bytes = b"", data: bytes = b"", after: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" * 72))
    return b"\x89PNG\r\n\x1a\n" + header + before + data + pixels + after + png_chunk(b"IEND")


def run_length_bmp(width: int, height: int, runs: bytes) -> bytes:
    palette = b"".join(struct.pack("<I", grey * 0x010101) for grey in range(256))
    start = 54 + len(palette)
    information = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + information + palette + runs


@pytest.mark.parametrize(("mode", "scans"), [("L", 6), ("RGB", 10), ("CMYK", 18)])
def test_ordinary_progressive_files(mode: str, scans: int) -> None:
    assert check_structure(progressive(mode=mode)).scans == scans
    assert outcome_of(progressive(mode=mode)) is Status.OK


def test_a_baseline_file_has_one_scan() -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo_pixels("coffee.png")).save(buffer, "JPEG", quality=95)
    assert check_structure(buffer.getvalue()).scans == 1


def test_twenty_thousand_scans_are_refused_at_once() -> None:
    bomb = with_scans(progressive(7000, 7000), 20_000)
    assert len(bomb) < 2_000_000
    started = time.process_time()
    assert outcome_of(bomb) is Status.TOO_COMPLEX
    assert time.process_time() - started < 0.2


def test_the_number_of_scans_is_inclusive() -> None:
    assert outcome_of(with_scans(progressive(), MAX_JPEG_SCANS)) is Status.OK
    assert outcome_of(with_scans(progressive(), MAX_JPEG_SCANS + 1)) is Status.TOO_COMPLEX


def test_scans_times_pixels_are_bounded() -> None:
    large = progressive(7000, 7000)
    fitting = MAX_JPEG_SCANNED_PIXELS // 7000**2
    started = time.process_time()
    assert outcome_of(with_scans(large, fitting)) is Status.OK
    assert time.process_time() - started < 5
    assert outcome_of(with_scans(large, fitting + 1)) is Status.TOO_COMPLEX


def test_too_many_pixels_are_named_before_too_many_scans() -> None:
    with pytest.raises(ImageRejectedError) as caught:
        decode_rgb(with_scans(progressive(2000, 2000), 90), max_bytes=10**8, max_pixels=1000)
    assert caught.value.status is Status.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    "between",
    [b"", b"\xff\xff\xff", b"\xff\x00junk", b"\xff\xd0\xff\xd7", b"\xff\x01", segment(0xFE, SOS * 50), b"\xff\xfe\0\0"],
)
def test_nothing_between_scans_hides_them(between: bytes) -> None:
    """Fill bytes, stuffed zeros, restart markers, comments and lengths that are too short."""
    encoded = progressive()
    scan = encoded[encoded.rindex(SOS) : -2]
    assert check_structure(encoded[:-2] + (between + scan) * 10 + EOI).scans == 6 + 10


def test_a_marker_that_libjpeg_steps_over_without_its_length_hides_no_scan() -> None:
    encoded = progressive()
    scan = encoded[encoded.rindex(SOS) : -2]
    assert check_structure(encoded[:-2] + (b"\xff\x02\xff\xff" + scan) * 10 + EOI).scans == 6 + 10


def test_previews_and_second_images_do_not_count() -> None:
    """Cameras keep whole JPEG files in segments, and a second image behind the first."""
    preview = segment(0xE2, b"x" + progressive())
    encoded = progressive()
    assert check_structure(encoded[:2] + preview * 30 + encoded[2:] + encoded * 30).scans == 6


def test_arithmetic_coding_weighs_more() -> None:
    encoded = progressive()
    assert check_structure(encoded.replace(b"\xff\xc2", b"\xff\xca")).scans == 60


def test_segments_without_end_are_refused() -> None:
    encoded = progressive()
    started = time.process_time()
    assert outcome_of(encoded[:2] + segment(0xFE, b"") * 1_000_000 + encoded[2:]) is Status.TOO_COMPLEX
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize("filler", [b"\xff\x00", b"\xff", b"\xff\xd0", b"\x00"])
def test_the_walk_itself_is_cheap(filler: bytes) -> None:
    encoded = progressive()[:-2] + filler * (16 * 2**20 // len(filler))
    started = time.process_time()
    assert check_structure(encoded).scans == 6
    assert time.process_time() - started < 2


@pytest.mark.parametrize("cut", [2, 3, 4, 30, 200])
def test_a_file_that_is_cut_is_walked_to_its_end(cut: int) -> None:
    assert check_structure(progressive()[:cut]).scans <= 3


@pytest.mark.parametrize("place", ["before", "data", "after"])
def test_png_chunks_without_end_are_refused(place: str) -> None:
    kind = b"IDAT" if place == "data" else b"prVt"
    assert outcome_of(png(**{place: png_chunk(kind) * 1000})) is Status.OK
    started = time.process_time()
    assert outcome_of(png(**{place: png_chunk(kind) * (10 * MAX_PNG_CHUNKS)})) is Status.TOO_COMPLEX
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 1_000_000)) * 300,
        png_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * 100_000_000)),
        png_chunk(
            b"eXIf", b"II*\0\x08\0\0\0\x60\xea" + b"".join(struct.pack("<HHII", i, 7, 10**6, 10) for i in range(60_000))
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_compressed_and_overlapping_metadata_is_cheap(chunk: bytes) -> None:
    started = time.process_time()
    assert outcome_of(png(before=chunk)) in (Status.OK, Status.DECODE_FAILED)
    assert time.process_time() - started < 2


def test_of_a_long_webp_animation_only_the_first_frame_is_decoded() -> None:
    frames = [Image.new("RGB", (2000, 2000), (i, 255 - i, 0)) for i in range(12)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], quality=1, method=0, minimize_size=False)
    single = io.BytesIO()
    frames[0].save(single, "WEBP", quality=1, method=0)

    def seconds(encoded: bytes) -> float:
        started = time.process_time()
        assert outcome_of(encoded) is Status.OK
        return time.process_time() - started

    assert min(seconds(buffer.getvalue()) for _ in range(3)) < 4 * min(seconds(single.getvalue()) for _ in range(3))


def test_run_length_coded_bmp() -> None:
    small = run_length_bmp(4, 2, b"\x04\x07\0\0\x04\x09\0\0\0\1")
    pixels = decode_rgb(small, max_bytes=10**6, max_pixels=10**6)
    np.testing.assert_array_equal(pixels[:, 0, 0], [9, 7])
    started = time.process_time()
    assert outcome_of(run_length_bmp(7000, 7000, b"\1\0\0\0" * 7000)) is Status.TOO_COMPLEX
    assert outcome_of(run_length_bmp(100, 100, b"\1\0" * MAX_BMP_RLE_WORK)) is Status.TOO_COMPLEX
    assert time.process_time() - started < 0.5
