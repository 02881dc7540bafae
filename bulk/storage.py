"""The output folder, on a shared file system or in an object store: a name has its whole content or does not exist."""

import contextlib
import os
import shutil
import uuid
from pathlib import Path
from typing import Protocol

from pyarrow import fs

from bulk.errors import OutputError
from bulk.filesystems import local_path, remote, scheme_of

_ATOMIC_PUT_SCHEMES = frozenset({"s3", "gs", "gcs", "abfs", "abfss", "az", "memory"})
"""Where an object appears when its upload is complete, and not before."""

_SCRATCH = "_scratch"


class Storage(Protocol):
    """A folder. Names are relative to it, with / between their parts.

    Every method raises OSError where the file system fails.
    """

    location: str

    def write(self, name: str, content: bytes) -> None:
        """Gives the name this content, as a whole; one that was there before is replaced."""

    def read(self, name: str) -> bytes:
        """The content; FileNotFoundError where there is no such name."""

    def names(self, folder: str) -> list[str]:
        """Names of the files below a folder, relative to it, sorted; none where there is no such folder."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""

    def delete(self, name: str) -> None:
        """Removes a file; nothing happens where there is none."""

    def delete_folder(self, name: str) -> None:
        """Removes a folder and all in it; nothing happens where there is none."""


def open_storage(location: str) -> Storage:
    """The folder at a path or URI; it need not exist.

    Raises:
        OutputError: Nothing can be written there in a way that leaves no half of a file.
    """
    path = local_path(location)
    if path is not None:
        return LocalStorage(Path(path).absolute())
    if scheme_of(location) not in _ATOMIC_PUT_SCHEMES:
        raise OutputError(
            f"cannot write to {location}: give a directory, or a folder of an object store "
            f"({', '.join(sorted(_ATOMIC_PUT_SCHEMES - {'memory'}))})"
        )
    try:
        return ObjectStorage(location)
    except (ValueError, OSError) as error:
        raise OutputError(f"cannot write to {location}: {error}") from error


class LocalStorage:
    """A directory. Files are written under another name, synced and renamed."""

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        self._root = root

    def write(self, name: str, content: bytes) -> None:
        """See `Storage`."""
        target, scratch = self._root / name, self._root / _SCRATCH / uuid.uuid4().hex
        for folder in (target.parent, scratch.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with scratch.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
        _sync_directory(target.parent)

    def read(self, name: str) -> bytes:
        """See `Storage`."""
        return (self._root / name).read_bytes()

    def names(self, folder: str) -> list[str]:
        """See `Storage`."""
        root = self._root / folder
        return sorted(
            Path(inside, name).relative_to(root).as_posix() for inside, _, names in os.walk(root) for name in names
        )

    def exists(self, name: str) -> bool:
        """See `Storage`."""
        return (self._root / name).is_file()

    def delete(self, name: str) -> None:
        """See `Storage`."""
        (self._root / name).unlink(missing_ok=True)

    def delete_folder(self, name: str) -> None:
        """See `Storage`."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._root / name)


class ObjectStorage:
    """A folder of an object store. A file is one upload, which appears when it is complete."""

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")
        self._system, root = remote(self.location)
        self._root = root.rstrip("/")

    def write(self, name: str, content: bytes) -> None:
        """See `Storage`."""
        # All of it is at hand before the upload begins: closing the stream completes it, whatever was written.
        with self._system.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def read(self, name: str) -> bytes:
        """See `Storage`."""
        with self._system.open_input_stream(self._path(name)) as stream:
            return bytes(stream.read())

    def names(self, folder: str) -> list[str]:
        """See `Storage`."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True, recursive=True)
        prefix = f"{selector.base_dir}/"
        found = (info.path for info in self._system.get_file_info(selector) if info.type is fs.FileType.File)
        return sorted(path[path.index(prefix) + len(prefix) :] for path in found)

    def exists(self, name: str) -> bool:
        """See `Storage`."""
        return bool(self._system.get_file_info(self._path(name)).type is fs.FileType.File)

    def delete(self, name: str) -> None:
        """See `Storage`."""
        with contextlib.suppress(FileNotFoundError):
            self._system.delete_file(self._path(name))

    def delete_folder(self, name: str) -> None:
        """See `Storage`."""
        with contextlib.suppress(FileNotFoundError):
            self._system.delete_dir_contents(self._path(name), missing_dir_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
