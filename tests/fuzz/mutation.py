"""Damages files in ways that parsers of their formats trip over, the same for the same random generator."""

import random
from collections.abc import Callable, Sequence

from tests.hostile.media_structure import repaired, split

_MOST_BYTES = 2**19
_SHARE_REPAIRED = 0.7  # the rest keeps wrong check sums, at which most decoders stop
_COMMON = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


class Mutator:
    """Makes damaged files out of intact ones."""

    def __init__(self, pieces: Sequence[list[bytes]]) -> None:
        """Takes intact files, each as its pieces in order."""
        self._pieces = pieces

    @classmethod
    def of_media(cls, files: Sequence[bytes]) -> "Mutator":
        """Of files that `media_structure.split` takes."""
        return cls([split(content) for content in files])

    def mutated(self, rng: random.Random) -> bytes:
        """One damaged file."""
        pieces = list(rng.choice(self._pieces))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            rng.choice(_ON_PIECES)(rng, pieces, rng.choice(self._pieces))
        content = bytearray(b"".join(pieces)[:_MOST_BYTES])
        for _ in range(rng.choice((0, 0, 1, 2, 8))):
            if content:
                rng.choice(_ON_BYTES)(rng, content)
        return repaired(bytes(content)) if rng.random() < _SHARE_REPAIRED else bytes(content)


def _keep(_rng: random.Random, _pieces: list[bytes], _donor: list[bytes]) -> None:
    """Leaves the order alone."""


def _drop(rng: random.Random, pieces: list[bytes], _donor: list[bytes]) -> None:
    if pieces:
        del pieces[rng.randrange(len(pieces))]


def _repeat(rng: random.Random, pieces: list[bytes], _donor: list[bytes]) -> None:
    if pieces:
        at = rng.randrange(len(pieces))
        times = min(rng.choice((1, 2, 50, 1000)), _MOST_BYTES // (len(pieces[at]) + 1) + 1)
        pieces[at:at] = [pieces[at]] * times


def _move(rng: random.Random, pieces: list[bytes], _donor: list[bytes]) -> None:
    if pieces:
        piece = pieces.pop(rng.randrange(len(pieces)))
        pieces.insert(rng.randrange(len(pieces) + 1), piece)


def _graft(rng: random.Random, pieces: list[bytes], donor: list[bytes]) -> None:
    pieces.insert(rng.randrange(len(pieces) + 1), rng.choice(donor))


def _splice(rng: random.Random, pieces: list[bytes], donor: list[bytes]) -> None:
    pieces[rng.randrange(len(pieces) + 1) :] = donor[rng.randrange(len(donor)) :]


def _cut_off(rng: random.Random, pieces: list[bytes], _donor: list[bytes]) -> None:
    del pieces[rng.randrange(len(pieces) + 1) :]


def _damage_a_field(rng: random.Random, pieces: list[bytes], _donor: list[bytes]) -> None:
    """A number near the start of a piece: there its length, its counts and sizes stand."""
    if not pieces:
        return
    at = rng.randrange(len(pieces))
    content = bytearray(pieces[at])
    width = rng.choice((1, 2, 4, 4, 8))
    if len(content) >= width:
        place = min(rng.choice((0, 4, 8, 12, 16, 20, rng.randrange(len(content)))), len(content) - width)
        _write_number(rng, content, place, width)
        pieces[at] = bytes(content)


def _flip_bits(rng: random.Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _set_byte(rng: random.Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] = rng.randrange(256)


def _set_number(rng: random.Random, content: bytearray) -> None:
    width = rng.choice((2, 4))
    if len(content) > width:
        _write_number(rng, content, rng.randrange(len(content) - width), width)


def _insert(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.randbytes(rng.choice((1, 4, 64)))


def _delete(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    del content[at : at + rng.choice((1, 4, 64))]


def _truncate(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def _write_number(rng: random.Random, content: bytearray, at: int, width: int) -> None:
    number = rng.choice((*_COMMON, rng.getrandbits(32))) % (1 << 8 * width)
    content[at : at + width] = number.to_bytes(width, "big" if rng.random() < 0.5 else "little")


_ON_PIECES: tuple[Callable[[random.Random, list[bytes], list[bytes]], None], ...] = (
    _keep, _keep, _drop, _repeat, _move, _graft, _splice, _cut_off, _damage_a_field, _damage_a_field, _damage_a_field,
)  # fmt: skip
_ON_BYTES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip_bits, _flip_bits, _set_byte, _set_number, _insert, _delete, _truncate,
)  # fmt: skip
