"""Frames that no cache has seen: each is a JPEG file of its own bytes, and is handed out once."""

import itertools
import secrets
from collections.abc import Sequence
from pathlib import Path

_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture with a comment segment (T.81, B.2.4.5): other bytes, equal pixels, equal cost.

    Raises:
        ValueError: It is no JPEG file.
    """
    if not jpeg.startswith(_START_OF_IMAGE):
        raise ValueError("not a JPEG file")
    content = text.encode("ascii")
    return _START_OF_IMAGE + _COMMENT + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


class FrameSupply:
    """Gives out frames, in turn from a pool of different pictures, each time with a comment never used before."""

    def __init__(self, pool: Sequence[Path], folder: Path) -> None:
        """Writes nothing yet.

        Args:
            pool: JPEG files.
            folder: Where files are written; below every server's media root. The caller removes it.
        """
        self._pool = [path.read_bytes() for path in pool]
        self._folder = folder
        self._token = secrets.token_hex(8)
        self._numbers = itertools.count()

    def encoded(self, count: int) -> list[bytes]:
        """New frames as bytes."""
        return [
            with_comment(self._pool[number % len(self._pool)], f"{self._token}-{number}")
            for number in itertools.islice(self._numbers, count)
        ]

    def files(self, count: int) -> list[Path]:
        """New frames as files, absolute paths."""
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for frame in self.encoded(count):
            path = self._folder.resolve() / f"{secrets.token_hex(6)}.jpg"
            path.write_bytes(frame)
            paths.append(path)
        return paths

    def forget(self) -> None:
        """Removes all files that were handed out."""
        for path in self._folder.glob("*.jpg"):
            path.unlink(missing_ok=True)
