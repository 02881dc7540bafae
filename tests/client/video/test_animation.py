"""Animated pictures: what a viewer sees of them is scored, and not the picture that a still decoder finds first."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepfake_client.errors import DeadlineExceededError, MediaDecodeError, MediaTooLargeError
from deepfake_client.media import Frame, MediaType, identify
from deepfake_client.scorer import Deadline
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from tests.media import pixels_of

FORMATS = ("PNG", "WEBP")
COLOURS = ((250, 10, 10), (10, 250, 10), (10, 10, 250))


def plain(colour: tuple[int, ...], size: tuple[int, int] = (32, 24)) -> Image.Image:
    return Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour)


def animated(format_: str, pictures: list[Image.Image], durations_ms: list[int], **options: Any) -> bytes:
    buffer = io.BytesIO()
    if format_ == "WEBP":
        options["lossless"] = True
    pictures[0].save(
        buffer, format_, save_all=True, append_images=pictures[1:], duration=durations_ms, loop=0, **options
    )
    return buffer.getvalue()


def frames_of(encoded: bytes, **sampling: Any) -> list[Frame]:
    media = identify(io.BytesIO(encoded), "clip")
    assert (media.format.media_type, media.format.is_animation) == (MediaType.VIDEO, True)
    return sample_video(media, Sampling(**sampling))


def colours_of(frames: list[Frame]) -> list[int]:
    """Which of `COLOURS` each frame has all over."""
    found = []
    for frame in frames:
        pixels = pixels_of(frame.encoded)
        assert (pixels == pixels[0, 0]).all()
        found.append(COLOURS.index(tuple(int(value) for value in pixels[0, 0])))
    return found


@pytest.mark.parametrize("format_", [*FORMATS, "GIF"])
def test_each_picture_stands_as_long_as_it_is_shown(format_: str) -> None:
    frames = frames_of(animated(format_, [plain(colour) for colour in COLOURS], [1000, 3000, 2000]))
    assert colours_of(frames) == [0] * 5 + [1] * 15 + [2] * 10
    times_s = [frame.timestamp_s for frame in frames]
    assert [frame.index for frame in frames] == list(range(30))
    assert (times_s[0], times_s[-1]) == (0, pytest.approx(6, abs=0.01))
    assert times_s == sorted(times_s)


@pytest.mark.parametrize("format_", [*FORMATS, "GIF"])
def test_a_first_picture_that_nobody_sees_is_hardly_scored(format_: str) -> None:
    frames = frames_of(animated(format_, [plain(colour) for colour in COLOURS[:2]], [1, 5000]))
    assert colours_of(frames) == [0] + [1] * 29  # browsers show it for 100 ms


def test_the_default_picture_of_an_apng_is_no_part_of_it() -> None:
    pictures = [plain(colour) for colour in COLOURS]
    encoded = animated("PNG", pictures, [500, 500], default_image=True)
    assert colours_of(frames_of(encoded)) == [1] * 15 + [2] * 15
    encoded = animated("PNG", pictures[:2], [500], default_image=True)
    assert colours_of(frames_of(encoded)) == [1]


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "LA", "L"])
def test_the_default_picture_does_not_show_beside_the_animation(mode: str) -> None:
    """A first picture may cover a part; Pillow would show the default one around it."""
    default, small = plain((9, 9, 9), (32, 24)).convert(mode), plain((60, 60, 60), (8, 8)).convert(mode)
    channels = {"RGBA": 6, "RGB": 2, "LA": 4, "L": 0}[mode]
    frame = struct.pack(">IIIIIHHBB", 0, 8, 8, 4, 4, 1, 1, 0, 1)
    body = [
        (b"IHDR", struct.pack(">IIBBBBB", 32, 24, 8, channels, 0, 0, 0)),
        (b"acTL", struct.pack(">II", 1, 0)),
        (b"IDAT", rows_of(default)),
        (b"fcTL", frame),
        (b"fdAT", struct.pack(">I", 1) + rows_of(small)),
        (b"IEND", b""),
    ]
    (shown,) = frames_of(png_of(body))
    pixels = pixels_of(shown.encoded)
    assert (pixels[4:12, 4:12] == 60).all()
    pixels = pixels.copy()
    pixels[4:12, 4:12] = 255
    assert (pixels == 255).all()


def rows_of(image: Image.Image) -> bytes:
    pixels = np.asarray(image).reshape(image.height, -1)
    return zlib.compress(np.hstack([np.zeros((image.height, 1), np.uint8), pixels]).tobytes())


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in chunks)


@pytest.mark.parametrize("format_", FORMATS)
def test_transparent_pictures_lie_on_white(format_: str) -> None:
    clear = [plain((200, 0, 0, 0)), plain((0, 0, 200, 128))]
    encoded = animated(format_, clear, [500, 500], **({"exact": True} if format_ == "WEBP" else {"disposal": 1}))
    frames = frames_of(encoded)
    assert (pixels_of(frames[0].encoded) == 255).all()
    assert tuple(pixels_of(frames[-1].encoded)[0, 0]) == (127, 127, 227)


def test_an_avif_sequence() -> None:
    encoded = animated("AVIF", [plain(colour) for colour in COLOURS], [1000, 3000, 2000], quality=95)
    means = [pixels_of(frame.encoded).mean(axis=(0, 1)) for frame in frames_of(encoded)]
    assert [int(mean.argmax()) for mean in means] == [0] * 5 + [1] * 15 + [2] * 10


def test_a_gif_s_transparent_places_lie_on_white() -> None:
    half = Image.new("P", (32, 24), 1)
    half.putpalette([0, 0, 0, 250, 10, 10])
    half.paste(0, (16, 0, 32, 24))
    buffer = io.BytesIO()
    half.save(buffer, "GIF", save_all=True, append_images=[half.rotate(180)], duration=500, transparency=0, disposal=2)
    pixels = pixels_of(frames_of(buffer.getvalue())[0].encoded)
    assert tuple(pixels[0, 0]) == (250, 10, 10)
    assert (pixels[:, 16:] == 255).all()


@pytest.mark.parametrize("format_", FORMATS)
def test_still_pictures_stay_pictures(format_: str) -> None:
    buffer = io.BytesIO()
    plain((1, 2, 3, 4)).save(buffer, format_)
    assert identify(buffer, "still").format.media_type is MediaType.IMAGE


def test_an_animation_is_found_behind_other_chunks() -> None:
    encoded = animated("PNG", [plain(colour) for colour in COLOURS], [500] * 3)
    comment = (
        struct.pack(">I", 100_000) + b"prIv" + bytes(100_000) + struct.pack(">I", zlib.crc32(b"prIv" + bytes(100_000)))
    )
    assert len(frames_of(encoded[:33] + comment * 5 + encoded[33:])) == 30


@pytest.mark.parametrize("announced", [1, 2, 4, 2**31 - 1])
def test_an_apng_that_announces_another_number_of_pictures_is_refused(announced: int) -> None:
    encoded = bytearray(animated("PNG", [plain(colour) for colour in COLOURS], [500] * 3))
    at = encoded.index(b"acTL")
    encoded[at + 4 : at + 8] = struct.pack(">I", announced)
    encoded[at + 12 : at + 16] = struct.pack(">I", zlib.crc32(encoded[at : at + 12]))
    with pytest.raises(MediaDecodeError, match="clip: the animation does not have"):
        frames_of(bytes(encoded))


@pytest.mark.parametrize("format_", [*FORMATS, "GIF"])
def test_a_damaged_animation_is_refused(format_: str) -> None:
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)) for i in range(3)]
    encoded = animated(format_, noise, [500] * 3)
    with pytest.raises(MediaDecodeError, match="clip: "):
        frames_of(encoded[: len(encoded) // 2])


def test_limits() -> None:
    encoded = animated("PNG", [plain(colour) for colour in COLOURS], [500] * 3)
    with pytest.raises(MediaTooLargeError, match="clip: the frames to be scored, 32 x 24"):
        frames_of(encoded, max_bytes=30_000)
    passed = Deadline(60)
    passed.cancel()
    with pytest.raises(DeadlineExceededError):
        frames_of(encoded, deadline=passed)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
    large = encoded[:8] + header + encoded[8 + len(header) :]
    with pytest.raises(MediaTooLargeError, match="clip: the frame is too large: 9000 x 9000"):
        frames_of(large)


def test_the_isolated_decoder_gives_the_same(tmp_path: Path) -> None:
    decoder = IsolatedDecoder()
    try:
        for format_ in FORMATS:
            path = tmp_path / f"clip.{format_}"
            path.write_bytes(animated(format_, [plain(colour) for colour in COLOURS], [100, 200, 300]))
            with path.open("rb") as stream:
                media = identify(stream, "clip")
                assert decoder.sample_video(media) == sample_video(media)
    finally:
        decoder.close()
