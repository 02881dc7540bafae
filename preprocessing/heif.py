"""HEIC and AVIF: what a decoder will be asked to do, read from the boxes (ISO/IEC 14496-12, 23008-12, 23000-22).

A small file may announce thousands of tiles, pictures made of other pictures to any depth, or coded pictures far larger
than it says. Only what cameras and encoders write is let through: one coded picture, or a grid of them, and its alpha
plane. libheif holds each coded picture to the size announced here; for AV1 that is done here.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from preprocessing.status import ImageRejectedError, Status

MAX_TILES = 1024
"""A telephone's 48 megapixels in tiles of 512 x 512 are 192."""

MAX_CODED_BYTES = 32 * 2**20
"""Of the pictures that are decoded, together; the decoders take 0.12 to 0.15 s for each MiB."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

_MAX_ENTRIES = 10_000  # of items, their properties, references and places
_MAX_FRAMES = 4  # layers of a progressive AVIF
_CODED = (b"hvc1", b"av01")
_AVIF_SEQUENCE, _AVIF_PICTURE = b"avis", b"avif"
_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({_AVIF_PICTURE, _AVIF_SEQUENCE})


def is_heif(encoded: bytes) -> bool:
    """Whether it begins like one of the family, of whatever codec."""
    return encoded[4:8] == b"ftyp" and encoded[8:12] in _BRANDS | _AVIF_BRANDS


def as_picture(encoded: bytes) -> bytes:
    """An AVIF sequence as the picture that it holds for programs that know no animations; others as they are."""
    if encoded[8:12] != _AVIF_SEQUENCE:
        return encoded
    return encoded[:8] + _AVIF_PICTURE + encoded[12:]


def check_heif(encoded: bytes, max_pixels: int) -> bytes:
    """Refuses a file whose picture costs much to decode, before any decoder sees it.

    Args:
        encoded: A file that `is_heif`.
        max_pixels: Limit of the picture's, and of each coded picture's, width x height.

    Returns:
        How it is coded: hvc1 or av01.

    Raises:
        ImageRejectedError: With `TOO_COMPLEX`, `TOO_MANY_PIXELS`, `UNSUPPORTED_FORMAT` (another codec), or
            `DECODE_FAILED` where the boxes are incomplete.
    """
    try:
        picture = _Boxes(encoded)
        primary = picture.primary()
        coded = [*picture.coded(primary)]
        for plane in picture.auxiliary({primary, *coded}):
            coded += picture.coded(plane)
            if len(coded) > MAX_TILES:
                break
        if len(coded) > MAX_TILES:
            raise _too_complex(f"over {MAX_TILES} tiles")
        sizes = [picture.pixels(item) for item in (primary, *coded)]
        if max(sizes) > max_pixels:
            raise ImageRejectedError(Status.TOO_MANY_PIXELS, f"{max(sizes)} pixels; the limit is {max_pixels}")
        if sum(sizes[1:]) > 3 * max_pixels:
            raise _too_complex(f"{sum(sizes[1:])} pixels in all tiles; the limit is {3 * max_pixels}")
        _check_coded_data(picture, coded)
        return picture.kinds[coded[0]]
    except (IndexError, KeyError, ValueError) as error:
        raise ImageRejectedError(Status.DECODE_FAILED, f"its boxes are damaged: {error!r}") from error


def _check_coded_data(picture: "_Boxes", coded: Sequence[int]) -> None:
    budget = MAX_CODED_BYTES
    for item in coded:
        data = picture.data(item, budget)
        budget -= len(data)
        frames, largest = (_hevc_pictures(data), 0) if picture.kinds[item] == b"hvc1" else _av1_frames(data)
        if frames > _MAX_FRAMES:
            raise _too_complex(f"over {_MAX_FRAMES} frames in one picture")
        if largest > picture.pixels(item):
            raise _too_complex("a coded picture is larger than the file says")


def _too_complex(detail: str) -> ImageRejectedError:
    return ImageRejectedError(Status.TOO_COMPLEX, detail)


def _once(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, _Value]:
    """A dictionary. What stands twice is damage: another program might take the other one."""
    found: dict[_Key, _Value] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands twice")
        found[key] = value
    return found


@dataclass(frozen=True)
class _Box:
    """A box: its name and where its content lies."""

    name: bytes
    start: int
    end: int


class _Boxes:
    """The items of a file, what they are, and where their data lie."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        (meta,) = [box for box in self._boxes(0, len(encoded)) if box.name == b"meta"]
        boxes = self._boxes(meta.start + 4, meta.end)
        inside = _once((box.name, box) for box in boxes if box.name not in (b"free", b"skip", b"uuid"))
        properties = list(self._boxes(inside[b"iprp"].start, inside[b"iprp"].end))
        self._inside = inside
        self.kinds = _once(self._items(inside[b"iinf"]))
        self._tiles: dict[int, list[int]] = defaultdict(list)
        self._planes: dict[int, list[int]] = defaultdict(list)
        if b"iref" in inside:
            self._read_references(inside[b"iref"])
        (container,) = [box for box in properties if box.name == b"ipco"]
        self._properties = list(self._boxes(container.start, container.end))
        self._associated: dict[int, list[int]] = {}
        for box in properties:
            if box.name == b"ipma":
                self._read_associations(box)
        self._places = _once(self._extents(inside[b"iloc"]))

    def primary(self) -> int:
        """The item that is shown."""
        box = self._inside[b"pitm"]
        return self._number(box.start + 4, 2 if self._encoded[box.start] == 0 else 4)

    def coded(self, item: int) -> list[int]:
        """The coded pictures that an item is made of: itself, or the tiles of a grid, as often as they are used."""
        parts = [item]
        if self.kinds[item] == b"grid":
            parts = self._tiles[item]
            _, _, rows, columns = self.data(item, MAX_CODED_BYTES)[:4]
            if not 0 < len(parts) == (rows + 1) * (columns + 1):
                raise ValueError("a grid without all of its tiles")
        for kind in {self.kinds[part] for part in parts}:
            if kind in (b"grid", b"iovl", b"iden", b"tmap"):
                raise _too_complex("a picture made of other pictures")
            if kind not in _CODED:
                raise ImageRejectedError(Status.UNSUPPORTED_FORMAT, f"HEIF with {kind!r} is not accepted")
        return parts

    def auxiliary(self, items: set[int]) -> list[int]:
        """The planes that belong to items: alpha, depth and others, of which decoders read alpha."""
        planes = [plane for item in items for plane in self._planes[item]]
        return [plane for plane in planes if self.kinds[plane] in (b"grid", *_CODED)]

    def pixels(self, item: int) -> int:
        """Width x height that is announced."""
        shown = [self._properties[index - 1] for index in self._associated[item] if index]
        sizes = [box.start + 4 for box in shown if box.name == b"ispe"]
        return max(self._number(at, 4) * self._number(at + 4, 4) for at in sizes)

    def data(self, item: int, most: int) -> bytes:
        """The coded picture."""
        parts = [(start, min(start + length, len(self._encoded))) for start, length in self._places[item]]
        if sum(end - start for start, end in parts if end > start) > most:
            raise _too_complex(f"over {MAX_CODED_BYTES} bytes of coded pictures")
        return b"".join(self._encoded[start:end] for start, end in parts)

    def _number(self, at: int, size: int) -> int:
        if at + size > len(self._encoded):
            raise ValueError("cut off")
        return int.from_bytes(self._encoded[at : at + size], "big")

    def _boxes(self, start: int, end: int) -> Iterator[_Box]:
        for _ in range(_MAX_ENTRIES):
            if start + 8 > end:
                return
            size, name, head = self._number(start, 4), self._encoded[start + 4 : start + 8], 8
            if size == 1:
                size, head = self._number(start + 8, 8), 16
            if size == 0:
                size = end - start
            if size < head or start + size > end:
                raise ValueError("a box ends outside of its own")
            yield _Box(name, start + head, start + size)
            start += size
        raise _too_complex(f"over {_MAX_ENTRIES} boxes")

    def _count(self, at: int, size: int) -> int:
        if (count := self._number(at, size)) > _MAX_ENTRIES:
            raise _too_complex(f"over {_MAX_ENTRIES} entries")
        return count

    def _items(self, box: _Box) -> Iterator[tuple[int, bytes]]:
        size = 2 if self._encoded[box.start] == 0 else 4
        for entry in self._boxes(box.start + 4 + size, box.end):
            wide = 4 if self._encoded[entry.start] == 3 else 2
            at = entry.start + 4
            yield self._number(at, wide), self._encoded[at + wide + 2 : at + wide + 6]

    def _read_references(self, box: _Box) -> None:
        wide = 2 if self._encoded[box.start] == 0 else 4
        total = 0
        for reference in self._boxes(box.start + 4, box.end):
            source, at = self._number(reference.start, wide), reference.start + wide
            total += (count := self._count(at, 2))
            if total > _MAX_ENTRIES:
                raise _too_complex(f"over {_MAX_ENTRIES} references")
            others = [self._number(at + 2 + wide * index, wide) for index in range(count)]
            if reference.name == b"dimg":
                self._tiles[source] += others
            elif reference.name == b"auxl":
                for other in others:
                    self._planes[other].append(source)

    def _read_associations(self, box: _Box) -> None:
        wide_id, wide_index = 4 if self._encoded[box.start] else 2, self._encoded[box.start + 3] & 1
        at = box.start + 8
        for _ in range(self._count(box.start + 4, 4)):
            item, count = self._number(at, wide_id), self._number(at + wide_id, 1)
            at += wide_id + 1
            for _ in range(count):
                index = self._number(at, 2) & 0x7FFF if wide_index else self._number(at, 1) & 0x7F
                self._associated.setdefault(item, []).append(index)
                at += 1 + wide_index

    def _extents(self, box: _Box) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        version, sizes = self._encoded[box.start], self._number(box.start + 4, 2)
        offset_bytes, length_bytes, base_bytes, index_bytes = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        wide = 4 if version == 2 else 2
        at = box.start + 6 + wide
        total = 0
        for _ in range(self._count(box.start + 6, wide)):
            item, at = self._number(at, wide), at + wide
            method, at = (self._number(at, 2) & 15, at + 2) if version else (0, at)
            base = self._number(at + 2, base_bytes)
            at += 2 + base_bytes
            if method == 1:
                base += self._inside[b"idat"].start
            total += (count := self._count(at, 2))
            if method > 1 or total > _MAX_ENTRIES:
                raise _too_complex("items within items, or over many places")
            at += 2
            places = []
            for _ in range(count):
                at += index_bytes if version else 0
                start = base + self._number(at, offset_bytes)
                length = self._number(at + offset_bytes, length_bytes)
                at += offset_bytes + length_bytes
                places.append((start, length or len(self._encoded)))
            yield item, places


def _hevc_pictures(data: bytes) -> int:
    """How many pictures begin in HEVC data whose units stand behind their length in four bytes."""
    position, pictures = 0, 0
    while position + 7 <= len(data):
        kind, layer = data[position + 4] >> 1 & 63, (data[position + 4] & 1) << 5 | data[position + 5] >> 3
        pictures += kind < 32 and layer == 0 and data[position + 6] >> 7
        position += 4 + int.from_bytes(data[position : position + 4], "big")
    return pictures


def _av1_frames(data: bytes) -> tuple[int, int]:
    """How many frames AV1 data hold, and the most pixels that their sequence headers allow for one."""
    position, frames, largest = 0, 0, 0
    while position < len(data):
        head = data[position]
        position += 2 if head & 4 else 1
        length = len(data) - position
        if head & 2:
            length = 0
            for shift in range(0, 56, 7):
                length |= (data[position] & 127) << shift
                position += 1
                if not data[position - 1] & 128:
                    break
        kind = head >> 3 & 15
        frames += kind in (3, 6)
        if kind == 1:
            largest = max(largest, _av1_largest_frame(data[position : position + length]))
        position += length
    return frames, largest


def _av1_largest_frame(header: bytes) -> int:
    """Width x height of a sequence header (AV1 specification, section 5.5)."""
    bits = _Bits(header)
    bits.read(4)
    if bits.read(1):  # a still picture's short header
        bits.read(5)
    else:
        model = bits.read_timing() if bits.read(1) else 0
        delay = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if model and bits.read(1):
                bits.read(2 * model + 1)
            if delay and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return (bits.read(width_bits) + 1) * (bits.read(height_bits) + 1)


class _Bits:
    """Reads numbers of bits."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data[:1024], "big"), 8 * min(len(data), 1024)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("a header is cut off")
        return self._value >> self._left & (1 << count) - 1

    def read_timing(self) -> int:
        """Skips the timing; gives the length of the decoder model's delays, 0 where it has none."""
        self.read(64)
        if self.read(1):
            zeros = 0
            while not self.read(1):
                zeros += 1
            self.read(zeros)
        if not self.read(1):
            return 0
        length = self.read(5) + 1
        self.read(42)
        return length
