"""Which files a command line means: files, directories, glob patterns, lists of names and standard input."""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from deepfake_client.media import SUFFIXES, open_media
from deepfake_client.plain_text import escaped

_SHOWN_SUFFIXES = 8

STANDARD_INPUT = Path("-")
_DESCRIPTORS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")

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


def scanned(names: Iterable[str], where: str) -> list[str]:
    """The names with one of `SUFFIXES`. Says on standard error how many others there are, by suffix.

    Args:
        names: Of all files.
        where: What was searched.
    """
    taken, left_out = [], Counter[str]()
    for name in names:
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - of millions of names
        if suffix in SUFFIXES:
            taken.append(name)
        else:
            left_out[suffix] += 1
    if left_out:
        shares = [f"{suffix or 'no suffix'} {count}" for suffix, count in left_out.most_common(_SHOWN_SUFFIXES)]
        more = ", ..." if len(left_out) > len(shares) else ""
        line = f"{where}: {left_out.total()} left out by suffix: {', '.join(shares)}{more}"
        print(escaped(line), file=sys.stderr)
    return taken


def _scan(directory: Path) -> Iterator[Path]:
    unreadable: list[Path] = []

    def names() -> Iterator[str]:
        for folder, folders, files in os.walk(directory, onerror=lambda error: unreadable.append(Path(error.filename))):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(files))  # noqa: PTH118

    yield from map(Path, scanned(names(), str(directory)))
    yield from unreadable


@contextlib.contextmanager
def streams_too(paths: Iterable[Path]) -> Iterator[OpenMedia]:
    """Gives a function that opens the paths, also `-` and the pipes that a shell makes of `<(...)`.

    What comes through them is copied to temporary files first, since media must be seekable.
    """
    with contextlib.ExitStack() as stack:
        copies = {path: stack.enter_context(_copied(path)) for path in paths if _is_stream(path)}

        def open_named_or_copy(path: os.PathLike[str]) -> BinaryIO:
            return copies[path].open("rb") if path in copies else open_media(path)

        yield open_named_or_copy


def _is_stream(path: Path) -> bool:
    """Whether this process has it open. Other pipes are refused: opening one may wait for a writer for ever."""
    return path == STANDARD_INPUT or (str(path).startswith(_DESCRIPTORS) and path.is_fifo())


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(prefix="deepfake-detect-") as copy:
        with contextlib.nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb") as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)
