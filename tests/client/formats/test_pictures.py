"""Which image files hold several pictures, and what becomes of them: a video, or the first picture alone."""

import io
import time

import pytest
from PIL import Image

from deepfake_client import UnsupportedMediaError
from deepfake_client.media import FORMAT_NAMES, MediaFormat, MediaType, identify

RED, BLUE = (Image.new("RGB", (32, 24), colour) for colour in ("red", "blue"))


def saved(format_: str, several: bool, **options: object) -> bytes:
    buffer = io.BytesIO()
    if several:
        options |= {"save_all": True, "append_images": [BLUE, RED], "duration": 100}
    RED.save(buffer, format_, **options)
    return buffer.getvalue()


def format_of(encoded: bytes) -> MediaFormat:
    stream = io.BytesIO(encoded)
    found = identify(stream, "file").format
    assert stream.tell() == 0
    return found


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "GIF", "AVIF"])
def test_animations_are_videos_and_still_ones_images(format_: str) -> None:
    still, animated = (format_of(saved(format_, several)) for several in (False, True))
    assert still == MediaFormat(format_.lower(), MediaType.IMAGE)
    assert animated == MediaFormat(format_.lower(), MediaType.VIDEO)
    assert animated.is_animation


def test_of_a_tiff_with_several_pages_the_first_one_counts() -> None:
    assert format_of(saved("TIFF", several=False)) == MediaFormat("tiff", MediaType.IMAGE)
    assert format_of(saved("TIFF", several=True)) == MediaFormat("tiff", MediaType.IMAGE, first_only=True)


def test_of_a_heic_sequence_the_first_picture_counts() -> None:
    assert format_of(b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc") == MediaFormat("heic", MediaType.IMAGE, first_only=True)


def test_a_palette_of_its_own_and_a_comment_hide_no_picture() -> None:
    comment = saved("GIF", several=True, comment=b"x" * 1000)
    assert format_of(comment).is_animation
    one = saved("GIF", several=False)
    picture = one[one.index(b",") : -1]
    local = picture[:9] + b"\x80" + b",;!" * 2 + picture[10:]  # a colour table that reads like blocks
    assert format_of(one[:-1] + local + local + b";").is_animation


@pytest.mark.parametrize(
    "content",
    [b"GIF89a", b"GIF89a" + bytes(7), saved("GIF", several=True)[:60], b"II*\0", b"MM\0*\xff\xff\xff\xff"],
)
def test_damaged_ones_are_images(content: bytes) -> None:
    assert format_of(content).media_type is MediaType.IMAGE


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a" + bytes(7) + b"!\xfe" + b"\1x" * 1_000_000,
        b"GIF89a" + bytes(7) + b"!\xfe\0" * 1_000_000,
        b"II*\0\x08\0\0\0" + b"\0\0\x08\0\0\0",
    ],
)
def test_the_walk_ends(content: bytes) -> None:
    started = time.process_time()
    format_of(content)
    assert time.process_time() - started < 1


def test_only_accepted_formats_are_taken() -> None:
    stream = io.BytesIO(saved("GIF", several=True))
    assert identify(stream, "clip", FORMAT_NAMES).format.name == "gif"
    with pytest.raises(UnsupportedMediaError, match=r"^clip: GIF is not accepted here; send an image \(JPEG, WebP\)$"):
        identify(stream, "clip", ["jpeg", "webp"])
