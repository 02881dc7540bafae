"""Files of this machine and of object stores: from a name to its file system and its content."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import fsspec
from pyarrow import fs

from deepfake_client.errors import MediaNotFoundError
from deepfake_client.media import open_media

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError)


def local_path(name: str) -> str | None:
    """The path of a file of this machine or a shared file system; None for a name in an object store."""
    scheme = _SCHEME.match(name)
    if scheme is None:
        return name
    return unquote(urlsplit(name).path) if scheme.group(1).lower() == "file" else None


def file_system(name: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URI, and the path on it. A URI's key is taken as it is: no character has a meaning.

    Raises:
        ValueError, ImportError: There is no such file system, or its package is not installed.
        OSError: It cannot be reached.
    """
    path = local_path(name)
    if path is not None:
        return fs.LocalFileSystem(), str(Path(path).absolute())
    scheme, path = name.split("://", 1)
    if scheme.lower() in ("s3", "gs"):
        return _bucket(f"{scheme.lower()}://{path.split('/', 1)[0]}"), path
    system, path = fsspec.core.url_to_fs(name)
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


@cache
def _bucket(uri: str) -> fs.FileSystem:
    """A bucket's file system. Keys, region and endpoint come from the environment."""
    return fs.FileSystem.from_uri(uri)[0]


class MediaNotReadError(MediaNotFoundError):
    """The store did not give the object. It is of the client's tree, since it becomes the row of a file."""

    code = "MEDIA_NOT_READ"


class MediaName(str, os.PathLike[str]):
    """A path or URI as the client takes names."""

    def __fspath__(self) -> str:
        return str(self)


@contextlib.contextmanager
def open_anywhere(name: os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file of the listing for reading; an object is copied to a temporary file first.

    Raises:
        MediaNotFoundError: There is no such file, or it may not be read.
        MediaNotReadError: The store failed, and its client had tried several times.
    """
    path = local_path(os.fspath(name))
    if path is not None:
        with open_media(Path(path)) as stream:
            yield stream
        return
    with tempfile.TemporaryFile(prefix="deepfake-bulk-", buffering=0) as copy:
        try:
            system, path = file_system(os.fspath(name))
            with system.open_input_stream(path) as source:
                shutil.copyfileobj(source, copy, 2**20)
        except _FOR_GOOD as error:
            raise MediaNotFoundError(f"{name}: no such file, or it may not be read ({type(error).__name__})") from error
        except OSError as error:
            raise MediaNotReadError(f"{name}: {error}") from error
        copy.seek(0)
        copy.name = str(name)  # what messages call it
        yield cast(BinaryIO, copy)
