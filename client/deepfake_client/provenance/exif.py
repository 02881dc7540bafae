"""A few texts of an EXIF block: its own reader, which reads the wanted entries and follows no chain of directories.

A reader of all entries copies what each one claims to be, and an attacker lets thousands claim the whole block.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

_MOST_ENTRIES = 500
_MAX_TEXT_BYTES = 2**15
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}  # BYTE, ASCII, SHORT, LONG and UNDEFINED, in bytes

_NAMES = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x0132: "DateTime"}
_NAMES_OF_EXIF = {0x9003: "DateTimeOriginal", 0x9004: "DateTimeDigitized", 0x9286: "UserComment", 0xA434: "LensModel"}
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825


@dataclass(frozen=True)
class TiffDirectory:
    """One directory of a TIFF structure.

    Attributes:
        stream: The structure, from its start.
        order: Of bytes: little or big.
        entries: Type, number of values, and the entry's last four bytes, by tag.
    """

    stream: BinaryIO
    order: Literal["little", "big"]
    entries: dict[int, tuple[int, int, bytes]]

    @classmethod
    def first(cls, stream: BinaryIO) -> "TiffDirectory | None":
        """The main directory; None if the stream holds no TIFF structure."""
        stream.seek(0)
        head = stream.read(8)
        if head[:4] not in (b"II*\0", b"MM\0*"):
            return None
        return cls._at(stream, "little" if head[:1] == b"I" else "big", head[4:])

    @classmethod
    def _at(cls, stream: BinaryIO, order: Literal["little", "big"], place: bytes) -> "TiffDirectory":
        stream.seek(int.from_bytes(place, order))
        count = min(int.from_bytes(stream.read(2), order), _MOST_ENTRIES)
        data = stream.read(12 * count)
        entries = {}
        for at in range(0, len(data) - 11, 12):
            tag, kind, number = (int.from_bytes(data[at + a : at + b], order) for a, b in ((0, 2), (2, 4), (4, 8)))
            entries[tag] = kind, number, data[at + 8 : at + 12]
        return cls(stream, order, entries)

    def __contains__(self, tag: int) -> bool:
        return tag in self.entries

    def raw(self, tag: int, most: int = _MAX_TEXT_BYTES) -> bytes:
        """The bytes of an entry, at most so many; none of one that is missing or of numbers with fractions."""
        kind, number, last = self.entries.get(tag, (0, 0, b""))
        size = _SIZES.get(kind, 0) * number
        if size <= 4:
            return last[:size]
        self.stream.seek(int.from_bytes(last, self.order))
        return self.stream.read(min(size, most))

    def directory(self, tag: int) -> "TiffDirectory":
        """The directory that an entry points to."""
        return self._at(self.stream, self.order, self.raw(tag))


def exif_texts(structure: BinaryIO | bytes) -> Iterator[tuple[str, str]]:
    """Names and texts of the wanted entries."""
    stream = io.BytesIO(structure) if isinstance(structure, bytes) else structure
    main = TiffDirectory.first(stream)
    if main is None:
        return
    directories = [(main, _NAMES)]
    if _EXIF_DIRECTORY in main:
        directories.append((main.directory(_EXIF_DIRECTORY), _NAMES_OF_EXIF))
    for directory, names in directories:
        for tag, name in names.items():
            if text := _text(directory.raw(tag)).strip("\0 "):
                yield name, text


def says_where(structure: BinaryIO | bytes) -> bool:
    """Whether there is a directory of GPS data."""
    main = TiffDirectory.first(io.BytesIO(structure) if isinstance(structure, bytes) else structure)
    return main is not None and _GPS_DIRECTORY in main


def _text(raw: bytes) -> str:
    if raw.startswith(b"UNICODE\0"):  # programs write it in either order
        wide = raw[8:]
        return wide.decode("utf-16-be" if wide[:1] == b"\0" else "utf-16-le", "replace")
    return raw.removeprefix(b"ASCII\0\0\0").decode("utf-8", "replace").partition("\0")[0]
