"""What a file is, read from its content and never from its name."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

from deepfake_client.errors import EmptyFileError, MediaNotFoundError, UnsupportedMediaError
from deepfake_client.formats.pictures import has_several_pictures
from deepfake_client.formats.refused import is_raw_photo, kind_of
from deepfake_client.formats.videos import container

SNIFF_BYTES = 4096
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
        name: One of `FORMAT_NAMES`.
        media_type: Image or video; animated pictures are videos.
        demuxer: FFmpeg's name of the one demuxer allowed to open a video; "" for images, animated ones too.
        first_only: Whether it is an image with further pictures that are not looked at, such as a TIFF of many pages.
    """

    name: str
    media_type: MediaType
    demuxer: str = ""
    first_only: bool = False

    @property
    def title(self) -> str:
        """The name as people write it."""
        return {"webp": "WebP", "webm": "WebM"}.get(self.name, self.name.upper())

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


class ContainerTag(NamedTuple):
    """What a video file says of itself: untrusted text.

    Attributes:
        source: Container or video track.
        name: What it is called there.
        text: Left out for a place.
    """

    source: str
    name: str
    text: str


@dataclass(frozen=True)
class VideoLength:
    """How long a video should be, and is.

    Attributes:
        said_s: Seconds that the file says.
        decodable_s: Seconds up to the end of the last frame that can be decoded.
    """

    said_s: float
    decodable_s: float


@dataclass(frozen=True)
class Frame:
    """One frame of a media file.

    Attributes:
        index: Position among the extracted frames, from 0.
        timestamp_s: Presentation time in seconds from the first frame; 0.0 for an image.
        encoded: The frame as an encoded image file.
        video_track: That it is of, in a file with several.
        sketch: A video's frame in 8 x 8 pixels, as `analysis.scenes.sketch` makes it; empty for an image.
        video_length: Of a video whose file says how long it is.
        container_tags: Of the video file that it is of.
    """

    index: int
    timestamp_s: float
    encoded: bytes
    video_track: VideoTrack | None = None
    sketch: bytes = b""
    video_length: VideoLength | None = None
    container_tags: tuple[ContainerTag, ...] = ()


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


def identify(stream: BinaryIO, name: str, accepted: Collection[str] | None = None) -> Media:
    """Finds out the format of an open file from its content; leaves the stream at its start.

    Args:
        stream: The file.
        name: What to call it in messages.
        accepted: Which of `FORMAT_NAMES`; None: all.

    Raises:
        EmptyFileError: There is no byte in it.
        UnsupportedMediaError: Neither an accepted image nor an accepted video.
    """
    stream.seek(0)
    head = stream.read(SNIFF_BYTES)
    format_ = sniff(head)
    if format_ is not None and has_several_pictures(stream, format_.name):
        format_ = _ANIMATED.get(format_, replace(format_, first_only=True))
    stream.seek(0)
    if not head:
        raise EmptyFileError(f"{name}: the file is empty; check that it was copied completely")
    if format_ is None:
        raise UnsupportedMediaError(f"{name}: {kind_of(head) or 'a file of an unknown kind'}; {_wanted(accepted)}")
    if accepted is not None and format_.name not in accepted:
        raise UnsupportedMediaError(f"{name}: {format_.title} is not accepted here; {_wanted(accepted)}")
    return Media(stream, name, format_)


def _wanted(accepted: Collection[str] | None) -> str:
    kinds = {"an image": MediaType.IMAGE, "a video": MediaType.VIDEO}
    lists = [(kind, titles(type_, FORMAT_NAMES if accepted is None else accepted)) for kind, type_ in kinds.items()]
    return "send " + " or ".join(f"{kind} ({names})" for kind, names in lists if names)


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
_GIF = MediaFormat("gif", MediaType.IMAGE)
_TIFF = MediaFormat("tiff", MediaType.IMAGE)
_HEIC = MediaFormat("heic", MediaType.IMAGE)
_HEIC_SEQUENCE = MediaFormat("heic", MediaType.IMAGE, first_only=True)
_AVIF = MediaFormat("avif", MediaType.IMAGE)
_MP4 = MediaFormat("mp4", MediaType.VIDEO, "mov")
_MOV = MediaFormat("mov", MediaType.VIDEO, "mov")
_AVI = MediaFormat("avi", MediaType.VIDEO, "avi")
_MKV = MediaFormat("mkv", MediaType.VIDEO, "matroska")
_WEBM = MediaFormat("webm", MediaType.VIDEO, "matroska")
_3GP = MediaFormat("3gp", MediaType.VIDEO, "mov")
_DEMUXERS = {"ts": "mpegts", "m2ts": "mpegts", "mpg": "mpeg", "flv": "flv", "wmv": "asf", "ogv": "ogg"}
_CONTAINERS = {name: MediaFormat(name, MediaType.VIDEO, demuxer) for name, demuxer in _DEMUXERS.items()}

_FORMATS = (
    _JPEG, _PNG, _BMP, _WEBP, _GIF, _TIFF, _HEIC, _AVIF, _MP4, _MOV, _AVI, _MKV, _WEBM, _3GP, *_CONTAINERS.values(),
)  # fmt: skip
FORMAT_NAMES = tuple(format_.name for format_ in _FORMATS)
"""Every format, images first."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".webp", ".gif", ".tif", ".tiff",
    ".heic", ".heif", ".hif", ".heics", ".heifs", ".avif", ".avifs",
    ".mp4", ".m4v", ".f4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".3gp", ".3g2", ".ts", ".m2ts", ".mts", ".m2t",
    ".mpg", ".mpeg", ".vob", ".flv", ".wmv", ".asf", ".ogv",
)  # fmt: skip
"""How names of such files end, for those who search folders and choose files."""

_ANIMATED = {still: replace(still, media_type=MediaType.VIDEO) for still in (_PNG, _WEBP, _GIF, _AVIF)}

_EBML_HEADER_BYTES = 64
_BMP_HEADERS_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})
_WEBP_ANIMATION_FLAG = 2

# ISO/IEC 23008-12, annex B: pictures and sequences in HEVC. mif1 and msf1 leave open how they are coded.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})
_HEIC_SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"hevm", b"hevs"})
_NO_VIDEO_BRANDS = frozenset({b"M4A ", b"M4B ", b"crx "})  # sound, and Canon's RAW photos
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})


def titles(media_type: MediaType | None = None, accepted: Collection[str] = FORMAT_NAMES) -> str:
    """The accepted formats of a kind, or of both, as a list for people."""
    return ", ".join(
        format_.title for format_ in _FORMATS if format_.name in accepted and media_type in (None, format_.media_type)
    )


def sniff(head: bytes) -> MediaFormat | None:
    """Recognises an accepted format from the first `SNIFF_BYTES` bytes; None for everything else.

    They do not tell an animated PNG or GIF from a still one.
    Playlists, subtitles, SVG and other formats that point elsewhere are never recognised.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _PNG
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS_BYTES:
        return _BMP
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _GIF
    if head.startswith((b"II*\0", b"MM\0*")):
        return None if is_raw_photo(head) else _TIFF
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _WEBM if b"webm" in head[:_EBML_HEADER_BYTES] else _MKV
    if head.startswith(b"RIFF"):
        if head[8:16] == b"WEBPVP8X" and int.from_bytes(head[20:21], "big") & _WEBP_ANIMATION_FLAG:
            return _ANIMATED[_WEBP]
        return {b"WEBP": _WEBP, b"AVI ": _AVI}.get(head[8:12])
    return _sniff_iso_media(head) or _CONTAINERS.get(container(head) or "")


def _sniff_iso_media(head: bytes) -> MediaFormat | None:
    if (atom := head[4:8]) != b"ftyp":
        return _MOV if atom in _QUICKTIME_ATOMS else None
    brand = head[8:12]
    if brand in (b"avif", b"avis"):
        return _AVIF if brand == b"avif" else _ANIMATED[_AVIF]
    if brand in _HEIC_BRANDS | _HEIC_SEQUENCE_BRANDS | {b"mif1", b"msf1"}:
        named = {head[i : i + 4] for i in (8, *range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4))}
        if b"avif" in named:
            return _AVIF
        if brand in _HEIC_SEQUENCE_BRANDS | {b"msf1"}:
            return _HEIC_SEQUENCE if named & _HEIC_SEQUENCE_BRANDS else None
        return _HEIC if named & _HEIC_BRANDS else None
    if brand in _NO_VIDEO_BRANDS:
        return None
    if brand.startswith((b"3gp", b"3g2")):
        return _3GP
    return _MOV if brand == b"qt  " else _MP4
