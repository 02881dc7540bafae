"""What a file is, read from its content and never from its name."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from deepfake_client.errors import EmptyFileError, MediaNotFoundError, UnsupportedMediaError

SNIFF_BYTES = 64
"""How many leading bytes `sniff` needs."""

_HASHED_BYTES = 2**20


class TextEnum(str, Enum):
    """An enumeration of texts; Python 3.11's StrEnum."""

    __str__ = str.__str__


class MediaType(TextEnum):
    """The kinds of media."""

    IMAGE = "image"
    VIDEO = "video"


@dataclass(frozen=True)
class MediaFormat:
    """A recognised file format.

    Attributes:
        name: jpeg, png, bmp, webp, mp4, mov, avi, mkv or webm.
        media_type: Image or video; animated pictures are videos.
        demuxer: FFmpeg's name of the one demuxer allowed to open a video; "" for images, animated ones too.
    """

    name: str
    media_type: MediaType
    demuxer: str = ""

    @property
    def is_animation(self) -> bool:
        """Whether it is an animated picture."""
        return self.media_type is MediaType.VIDEO and not self.demuxer


@dataclass(frozen=True)
class VideoTrack:
    """One of a file's video tracks; cover pictures are none.

    Attributes:
        number: From 1, in the file's order.
        of: How many there are.
    """

    number: int
    of: int


@dataclass(frozen=True)
class Frame:
    """One frame of a media file.

    Attributes:
        index: Position among the extracted frames, from 0.
        timestamp_s: Presentation time in seconds from the first frame; 0.0 for an image.
        encoded: The frame as an encoded image file.
        video_track: That it is of, in a file with several.
    """

    index: int
    timestamp_s: float
    encoded: bytes
    video_track: VideoTrack | None = None


@dataclass(frozen=True)
class Media:
    """An open media file whose format is known.

    Attributes:
        stream: Seekable, opened in binary mode.
        name: What to call the file in messages.
        format: From its content.
    """

    stream: BinaryIO
    name: str
    format: MediaFormat

    @cached_property
    def sha256(self) -> str:
        """Of the whole file, in hexadecimal; read once, which leaves the stream at its start."""
        digest = hashlib.sha256()
        self.stream.seek(0)
        while block := self.stream.read(_HASHED_BYTES):
            digest.update(block)
        self.stream.seek(0)
        return digest.hexdigest()

    def size_bytes(self) -> int:
        """Of the whole file."""
        return self.stream.seek(0, os.SEEK_END)


def identify(stream: BinaryIO, name: str) -> Media:
    """Finds out the format of an open file from its content; leaves the stream at its start.

    Raises:
        EmptyFileError: There is no byte in it.
        UnsupportedMediaError: Neither an accepted image nor an accepted video.
    """
    stream.seek(0)
    head = stream.read(SNIFF_BYTES)
    format_ = sniff(head)
    if format_ is _PNG and b"acTL" in takewhile(lambda chunk: chunk != b"IDAT", png_chunks(stream)):
        format_ = _ANIMATED_PNG
    stream.seek(0)
    if not head:
        raise EmptyFileError(f"{name}: the file is empty; check that it was copied completely")
    if format_ is None:
        raise UnsupportedMediaError(
            f"{name}: neither an image (JPEG, PNG, BMP, WebP) nor a video (MP4, MOV, AVI, MKV, WebM)"
        )
    return Media(stream, name, format_)


def open_media(path: os.PathLike[str]) -> BinaryIO:
    """Opens a media file for reading.

    Raises:
        MediaNotFoundError: There is no such regular file, or it may not be read.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaNotFoundError(f"{path}: {'no regular file' if path.exists() else 'no such file'}")
    try:
        return path.open("rb")
    except OSError as error:
        raise MediaNotFoundError(f"{path}: {error.strerror}") from error


_JPEG = MediaFormat("jpeg", MediaType.IMAGE)
_PNG = MediaFormat("png", MediaType.IMAGE)
_BMP = MediaFormat("bmp", MediaType.IMAGE)
_WEBP = MediaFormat("webp", MediaType.IMAGE)
_ANIMATED_PNG = MediaFormat("png", MediaType.VIDEO)
_ANIMATED_WEBP = MediaFormat("webp", MediaType.VIDEO)
_MP4 = MediaFormat("mp4", MediaType.VIDEO, "mov")
_MOV = MediaFormat("mov", MediaType.VIDEO, "mov")
_AVI = MediaFormat("avi", MediaType.VIDEO, "avi")
_MKV = MediaFormat("mkv", MediaType.VIDEO, "matroska")
_WEBM = MediaFormat("webm", MediaType.VIDEO, "matroska")

_BMP_HEADERS_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})
_WEBP_ANIMATION_FLAG = 2
_MOST_PNG_CHUNKS = 100_000  # the service refuses pictures with more

_STILL_IMAGE_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"})
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})


def sniff(head: bytes) -> MediaFormat | None:
    """Recognises an accepted format from the first `SNIFF_BYTES` bytes; None for everything else.

    They do not tell an animated PNG from a still one.
    Playlists, subtitles, SVG and other formats that point elsewhere are never recognised.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _PNG
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS_BYTES:
        return _BMP
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _WEBM if b"webm" in head else _MKV
    if head.startswith(b"RIFF"):
        if head[8:16] == b"WEBPVP8X" and int.from_bytes(head[20:21], "big") & _WEBP_ANIMATION_FLAG:
            return _ANIMATED_WEBP
        return {b"WEBP": _WEBP, b"AVI ": _AVI}.get(head[8:12])
    return _sniff_iso_media(head)


def png_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The names of a PNG file's chunks, in order."""
    position = 8
    for _ in range(_MOST_PNG_CHUNKS):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            return
        yield header[4:]
        position += 12 + int.from_bytes(header[:4], "big")


def _sniff_iso_media(head: bytes) -> MediaFormat | None:
    atom = head[4:8]
    if atom == b"ftyp":
        brand = head[8:12]
        if brand in _STILL_IMAGE_BRANDS:
            return None
        return _MOV if brand == b"qt  " else _MP4
    return _MOV if atom in _QUICKTIME_ATOMS else None
