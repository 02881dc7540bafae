"""Media by name, wherever they are: a path is opened, an object is copied to a temporary file first."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from deepfake_client.errors import MediaNotFoundError
from deepfake_client.frames import open_media
from tenacity import retry, retry_if_not_exception_type, stop_after_attempt, wait_random_exponential

from bulk.filesystems import local_path, remote

_TRIES = 4
_COPY_BYTES = 2**20

_FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError)


class MediaNotReadError(MediaNotFoundError):
    """The store did not give the object, however often it was asked. Of the client's tree, since it is a file's row."""

    code = "MEDIA_NOT_READ"


@dataclass(frozen=True)
class MediaUri(os.PathLike[str]):
    """A name that is no path of this machine, such as s3://bucket/key."""

    uri: str

    def __fspath__(self) -> str:
        return self.uri

    def __str__(self) -> str:
        return self.uri


def media_name(name: str) -> os.PathLike[str]:
    """What the client calls the file of a listing."""
    return Path(name) if local_path(name) is not None else MediaUri(name)


@contextlib.contextmanager
def open_anywhere(name: os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file of the listing for reading, at its start and seekable.

    Raises:
        MediaNotFoundError: There is no such file, or it may not be read.
        MediaNotReadError: It could not be read now, tried several times.
    """
    if not isinstance(name, MediaUri):
        with open_media(name) as stream:
            yield stream
        return
    with tempfile.TemporaryFile(prefix="deepfake-bulk-", buffering=0) as copy:
        try:
            _fetch(name.uri, cast(BinaryIO, copy))
        except _FOR_GOOD as error:
            raise MediaNotFoundError(f"{name}: no such file, or it may not be read ({type(error).__name__})") from error
        except OSError as error:
            raise MediaNotReadError(f"{name}: {error}") from error
        copy.seek(0)
        copy.name = name.uri  # what messages call it
        yield cast(BinaryIO, copy)


@retry(
    stop=stop_after_attempt(_TRIES),
    wait=wait_random_exponential(multiplier=0.2, max=5.0),
    retry=retry_if_not_exception_type(_FOR_GOOD),
    reraise=True,
)
def _fetch(uri: str, target: BinaryIO) -> None:
    system, path = remote(uri)
    target.seek(0)
    target.truncate()
    with system.open_input_stream(path) as source:
        shutil.copyfileobj(source, target, _COPY_BYTES)
