"""What a file is that is not accepted, so that whoever sent it knows: a table of first bytes, and text."""

import codecs
from typing import Literal

from deepfake_client.formats.videos import ASF_HEADER

_KINDS = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive, or a document of an office program"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an older office program"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a TAR archive"),
    (0, b"\x1f\x8b", "a file compressed by gzip"),
    (0, b"BZh", "a file compressed by bzip2"),
    (0, b"\xfd7zXZ\0", "a file compressed by xz"),
    (0, b"\x28\xb5\x2f\xfd", "a file compressed by zstd"),
    (8, b"WAVE", "a WAV sound file"),
    (0, b"ID3", "an MP3 sound file"),
    (0, b"\xff\xfb", "an MP3 sound file"),
    (0, b"\xff\xf3", "an MP3 sound file"),
    (0, b"\xff\xf2", "an MP3 sound file"),
    (0, b"\xff\xf1", "an AAC sound file"),
    (0, b"\xff\xf9", "an AAC sound file"),
    (4, b"ftypM4A ", "an M4A sound file"),
    (4, b"ftypM4B ", "an M4A sound file"),
    (0, b"fLaC", "a FLAC sound file"),
    (0, b"OggS", "an Ogg sound file"),
    (0, ASF_HEADER, "a WMA sound file"),
    (8, b"AIFF", "an AIFF sound file"),
    (0, b"#!AMR", "an AMR sound file"),
    (0, b"MThd", "a MIDI file"),
    (0, b"8BPS", "a Photoshop (PSD) picture"),
    (0, b"gimp xcf", "a GIMP (XCF) picture"),
    (128, b"DICM", "a DICOM picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"II\xbc\x01", "a JPEG XR picture"),
    (0, b"\0\0\1\0", "an icon (ICO)"),
    (0, b"\0\0\2\0", "a mouse pointer (CUR)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance (HDR) picture"),
    (4, b"ftypcrx ", "a RAW photo of a camera (CR3)"),
    (0, b"FUJIFILMCCD-RAW", "a RAW photo of a camera (RAF)"),
    (0, b"IIU\0", "a RAW photo of a camera (RW2)"),
    (0, b"IIRO", "a RAW photo of a camera (ORF)"),
    (0, b"IIRS", "a RAW photo of a camera (ORF)"),
    (0, b"\0\0\x01\xb3", "an MPEG video stream without a container"),
    (0, b"\0\0\0\x01", "a video stream without a container"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"\x06\x0e\x2b\x34", "an MXF video"),
    (0, b"FWS", "a Flash program"),
    (0, b"CWS", "a Flash program"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x7fELF", "a Linux program"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"#EXTM3U", "a playlist (M3U)"),
    (0, b"ffconcat", "a playlist of FFmpeg"),
)
"""Place, bytes there, and what they stand for. Formats that are accepted were told before."""

_MARKUP = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
)

_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")

_THUMBNAIL, _SUB_IMAGES, _DNG_VERSION = 254, 330, 50706
"""Tags of TIFF."""


def kind_of(head: bytes) -> str:
    """What a file that is not accepted is, with its article, by its first bytes; "" where they do not tell."""
    for place, magic, kind in _KINDS:
        if head.startswith(magic, place):
            return kind
    if is_raw_photo(head):
        return "a RAW photo of a camera"
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith(b"<"):
        for tag, kind in _MARKUP:
            if tag in text:
                return kind
    return "a text file" if _is_text(head) else ""


def is_raw_photo(head: bytes) -> bool:
    """Whether a file built like a TIFF is what a camera's sensor saw: such a file's first picture is only a preview."""
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    if head[8:11] == b"CR\x02":
        return True
    order: Literal["little", "big"] = "little" if head[:1] == b"I" else "big"
    start = int.from_bytes(head[4:8], order)
    count = int.from_bytes(head[start : start + 2], order)
    entries = [head[start + 2 + 12 * i :][:12] for i in range(min(count, len(head) // 12))]
    tags = {int.from_bytes(entry[:2], order): int.from_bytes(entry[8:12], order) for entry in entries}
    return _DNG_VERSION in tags or (_SUB_IMAGES in tags and tags.get(_THUMBNAIL) == 1)


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not _CONTROLS & set(head)
