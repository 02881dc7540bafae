"""What a file is that is not accepted."""

import contextlib
import io
import struct

import pytest

from deepfake_client.errors import UnsupportedMediaError
from deepfake_client.media import SUFFIXES, identify
from tests.hostile.streams import stream_clips
from tests.media import encode_image, photo_pixels

ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
FILES = {
    "a WAV sound file": b"RIFF\x24\0\0\0WAVEfmt ",
    "an MP3 sound file": b"ID3\4\0\0\0\0\0\0",
    "an M4A sound file": b"\0\0\0\x1cftypM4A \0\0\0\0",
    "a WMA sound file": ASF + struct.pack("<QIH", 30, 0, 0x201) + bytes(99),
    "an Ogg sound file": b"OggS\0\2" + bytes(20) + b"\1\x1e\1vorbis" + bytes(23),
    "a PDF document": b"%PDF-1.7\n",
    "a ZIP archive, or a document of an office program": b"PK\3\4\x14\0",
    "a Photoshop (PSD) picture": b"8BPS\0\1",
    "a DICOM picture": bytes(128) + b"DICM",
    "a JPEG XL picture": b"\xff\x0a\x7a",
    "a JPEG 2000 picture": b"\0\0\0\x0cjP  \r\n\x87\n",
    "an icon (ICO)": b"\0\0\1\0\1\0",
    "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">',
    "an HTML page": b"\xef\xbb\xbf<!DOCTYPE html><svg>",
    "a playlist (M3U)": b"#EXTM3U\n#EXTINF:10,\n",
    "a text file": "Größe: 3\r\n".encode(),
    "a file of an unknown kind": b"\1\2\3\4\5",
}


def message(content: bytes) -> str:
    with pytest.raises(UnsupportedMediaError) as caught:
        identify(io.BytesIO(content), "a.jpg")
    return str(caught.value)


@pytest.mark.parametrize("kind", FILES)
def test_a_refused_file_is_named_and_what_is_accepted_too(kind: str) -> None:
    said = message(FILES[kind])
    assert said.startswith(f"a.jpg: {kind}; send an image (JPEG, PNG, ")
    assert "or a video (MP4, MOV, " in said
    assert "WebM, 3GP, TS, M2TS, MPG, FLV, WMV, OGV)" in said


def test_where_few_are_accepted_only_those_are_asked_for() -> None:
    with pytest.raises(UnsupportedMediaError, match=r"^a: a PDF document; send an image \(JPEG, GIF\)$"):
        identify(io.BytesIO(b"%PDF"), "a", ["jpeg", "gif"])
    with pytest.raises(UnsupportedMediaError, match=r"^a: TS is not accepted here; send a video \(MP4\)$"):
        identify(io.BytesIO(stream_clips()["ts"]), "a", ["mp4"])


def tiff(order: str, *entries: tuple[int, int]) -> bytes:
    body = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in entries)
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(entries)) + body + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_raw_photo_is_no_tiff(order: str) -> None:
    preview_alone, sub_images_alone = tiff(order, (254, 1)), tiff(order, (254, 0), (330, 90))
    for content in (tiff(order, (254, 1), (330, 90)), tiff(order, (50706, 0x04010000)), b"II*\0\x10\0\0\0CR\2\0"):
        assert message(content).startswith("a.jpg: a RAW photo of a camera; send")
    for content in (preview_alone, sub_images_alone, encode_image(photo_pixels("coffee.png"), "TIFF")):
        assert identify(io.BytesIO(content), "a").format.name == "tiff"


def test_each_video_container_is_told_by_its_content() -> None:
    for name, content in stream_clips().items():
        assert identify(io.BytesIO(content), "a").format.name == name
        assert f".{name}" in SUFFIXES


@pytest.mark.parametrize("name", [*stream_clips(), *FILES])
def test_however_little_is_there_it_is_refused_or_told(name: str) -> None:
    content = {**stream_clips(), **FILES}[name]
    for length in range(1, min(len(content), 1000)):
        with contextlib.suppress(UnsupportedMediaError):
            identify(io.BytesIO(content[:length]), "a")
        with contextlib.suppress(UnsupportedMediaError):
            identify(io.BytesIO(content[:length] + b"OggS" + b"\xff" * 30), "a")


def test_forward_error_correction_of_a_transport_stream() -> None:
    content = stream_clips()["ts"]
    longer = b"".join(content[at : at + 188] + bytes(16) for at in range(0, len(content), 188))
    assert identify(io.BytesIO(longer), "a").format.name == "ts"
    assert message(b"G" + bytes(500)).startswith("a.jpg: a file of an unknown kind")


def test_sound_beside_a_video_in_ogg() -> None:
    sound = b"OggS\0\2" + bytes(20) + b"\1\x1e\1vorbis" + bytes(23)
    assert identify(io.BytesIO(sound + stream_clips()["ogv"]), "a").format.name == "ogv"
