"""Reads files below the media root and nothing else, whatever the paths say and however the folder changes meanwhile.

Two steps. `resolve` follows symlinks by name only and refuses what leads outside. `read` then walks the resolved
components from the root with O_NOFOLLOW, so that a component swapped for a symlink after the check is not followed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class OutsideRootError(Exception):
    """A path leads outside the root."""


class UnreadableFileError(Exception):
    """A file below the root cannot be read as a frame.

    Attributes:
        status: Name of the reason, beside the names of the model's STATUS table.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class MediaRoot:
    """The folder that holds the media."""

    def __init__(self, root: Path) -> None:
        """Resolves the root itself once; it may be made or mounted later."""
        self._root = Path(os.path.realpath(root))

    def resolve(self, path: str) -> tuple[str, ...]:
        """The components below the root of a relative or absolute path, all symlinks followed.

        Opens nothing. A path to nothing resolves as well as one to a file.

        Raises:
            OutsideRootError: The path leads outside the root, or nobody can tell where.
        """
        try:
            # Not Path.resolve(), which raises on a loop of symlinks.
            real = Path(os.path.realpath(self._root / path))
        except OSError as error:  # a symlink that may not be read, or that vanished meanwhile
            raise OutsideRootError from error
        if not real.is_relative_to(self._root):
            raise OutsideRootError
        return real.relative_to(self._root).parts

    def read(self, components: tuple[str, ...], max_bytes: int) -> bytes:
        """The content of a resolved file.

        Raises:
            UnreadableFileError: No regular file is there, it may not be read, or it is larger than `max_bytes`.
        """
        if not components:
            raise UnreadableFileError("UNREADABLE", "This is a directory, not a file.")
        try:
            with self._open(components) as descriptor:
                return _read_all(descriptor, max_bytes)
        except OSError as error:
            raise UnreadableFileError(
                "UNREADABLE", f"There is no file that can be read ({os.strerror(error.errno or 0)})."
            ) from error

    @contextlib.contextmanager
    def _open(self, components: tuple[str, ...]) -> Iterator[int]:
        with contextlib.ExitStack() as stack:
            folder = _opened(stack, self._root, _DIRECTORY, None)
            for name in components[:-1]:
                folder = _opened(stack, name, _DIRECTORY, folder)
            # Opening a device can act on it, so its kind is read first; `_read_all` checks what was really opened.
            _require_regular(os.stat(components[-1], dir_fd=folder, follow_symlinks=False))
            yield _opened(stack, components[-1], _FILE, folder)


def _opened(stack: contextlib.ExitStack, name: str | Path, flags: int, folder: int | None) -> int:
    descriptor = os.open(name, flags, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError("UNREADABLE", "This is no regular file.")


def _read_all(descriptor: int, max_bytes: int) -> bytes:
    status = os.fstat(descriptor)
    _require_regular(status)
    _require_size(status.st_size, max_bytes)
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(status.st_size + 1)
    # The file may have grown since, and files of some file systems claim a size of 0.
    if len(content) > status.st_size:
        raise UnreadableFileError("UNREADABLE", "The file changed while it was read. Send it when it is complete.")
    return content


def _require_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise UnreadableFileError("TOO_MANY_BYTES", f"The file holds {size} bytes; at most {max_bytes} are read.")
