"""Which files a command line means: files, directories, glob patterns, lists of names and standard input."""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from deepfake_client.media import open_media

SCANNED_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".mp4", ".avi", ".mov", ".mkv", ".webm"})
"""Files that a directory scan takes. A file that is named itself is always tried."""

STANDARD_INPUT = Path("-")

OpenMedia = Callable[[os.PathLike[str]], AbstractContextManager[BinaryIO]]


def find_media(inputs: Sequence[str]) -> list[Path]:
    """The files that the inputs mean, in order, each once.

    Args:
        inputs: Files, directories (searched recursively, by suffix, in the order of their names; links to
            directories are not followed) and glob patterns. What does not exist stays in the list, to be reported.
    """
    found: list[Path] = []
    for text in inputs:
        path = named(text)
        if path.is_dir():
            found += _scan(path)
        elif not path.exists() and (matches := sorted(glob.glob(text, recursive=True))):  # noqa: PTH207 - absolute too
            found += [_no_standard_input(Path(match)) for match in matches if not Path(match).is_dir()]
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def named(text: str) -> Path:
    """The path of a name. Only `-` is standard input; `./-` is a file."""
    return Path(text) if text == "-" else _no_standard_input(Path(text))


def _no_standard_input(path: Path) -> Path:
    return path.absolute() if str(path) == "-" else path


def read_list(stream: BinaryIO) -> list[str]:
    """Names from a list: one a line, or separated by NUL characters where there is one (`find -print0`)."""
    content = stream.read()
    separator = b"\0" if b"\0" in content else b"\n"
    return [os.fsdecode(name.removesuffix(b"\r")) for name in content.split(separator) if name.strip()]


def _scan(directory: Path) -> Iterator[Path]:
    unreadable: list[Path] = []
    for folder, folders, names in os.walk(directory, onerror=lambda error: unreadable.append(Path(error.filename))):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix.lower() in SCANNED_SUFFIXES)
    yield from unreadable


@contextlib.contextmanager
def standard_input_too(paths: list[Path]) -> Iterator[OpenMedia]:
    """Gives a function that opens the paths, `-` too.

    Where `-` is among the paths, standard input is copied to a temporary file first, since videos need a seekable file.
    """
    if STANDARD_INPUT not in paths:
        yield open_media
        return
    with tempfile.NamedTemporaryFile(prefix="deepfake-detect-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()

        def open_named_or_copy(path: os.PathLike[str]) -> BinaryIO:
            return Path(copy.name).open("rb") if path == STANDARD_INPUT else open_media(path)

        yield open_named_or_copy
