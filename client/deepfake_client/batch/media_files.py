"""Which files a command line means: files, directories, glob patterns and lists of names."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

SCANNED_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".mp4", ".avi", ".mov", ".mkv", ".webm"})
"""What a directory scan takes; files that are named are tried whatever they are called."""


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
    """The path that a name means: only the name `-` itself is standard input, `./-` is a file."""
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
