"""Reads files below the media root and nothing else, whatever the paths say and however the folder changes meanwhile.

Two steps. `resolve` follows symlinks by name only and refuses what leads outside. `read` then walks the resolved
components from the root with O_NOFOLLOW, so that a component swapped for a symlink after the check is not followed.

Outside the root `resolve` looks at nothing: there it follows the text of a path alone, so neither the answer nor its
time can tell what exists. Hence a path that reaches the root only through a symlink elsewhere is refused.

A hard link below the root is a file like any other, whatever names it has elsewhere: nothing tells the two apart, and
whoever may make one there may put a copy there too.
"""

import contextlib
import os
import stat
from pathlib import Path

from gateway.errors import EXHAUSTED

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH_MAX = 4096  # of Linux, the NUL at the end included
_MAX_LINKS = 40  # likewise; a loop ends at its folder, which is no file to read
_MAX_COMPONENTS = 256
_MAX_TAILS = 8
_NAME = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # of a file no more than its name is opened: devices do not notice
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


class _Walk:
    """Where a walk along a path has come to: below the root, or elsewhere, where only the text of the path counts.

    The folders below the root are held open, so that a name is looked up once, however deep it lies.

    Attributes:
        below: Components below the root; None elsewhere.
    """

    below: list[str] | None

    def __init__(self, root: Path, root_names: tuple[tuple[str, ...], ...], absolute: bool) -> None:
        """Begins at the root, or for an absolute path at `/`; of the root's names the real one comes first."""
        self._root_names = root_names
        self._open: list[int] = []
        self._go([] if absolute else list(root_names[0]))
        with contextlib.suppress(OSError):  # it may be made later
            self._open.append(os.open(root, _NAME))

    def step(self, name: str) -> str | None:
        """Goes one component further; where a symlink below the root points to, which is stepped back from.

        Raises:
            OutsideRootError: A symlink may not be read.
            OSError: The machine has no more of something, see `EXHAUSTED`.
        """
        if name in ("", "."):
            return None
        if self.below is None:
            self._go([*self._elsewhere, name] if name != ".." else self._elsewhere[:-1])
        elif name != "..":
            self.below.append(name)
            return self._link(self.below)
        elif self.below:
            self.below.pop()
        else:
            self._go(list(self._root_names[0][:-1]))
        return None

    def close(self, depth: int = 0) -> None:
        """Closes all folders but the first ones."""
        while len(self._open) > depth:
            os.close(self._open.pop())

    def _go(self, absolute: list[str]) -> None:
        self._elsewhere = absolute
        self.below = [] if tuple(absolute) in self._root_names else None

    def _link(self, below: list[str]) -> str | None:
        self.close(len(below))
        if len(self._open) < len(below):
            return None  # a folder further up is missing
        try:
            descriptor = os.open(below[-1], _NAME, dir_fd=self._open[-1])
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
            return None
        self._open.append(descriptor)
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            return None
        try:
            target = os.readlink("", dir_fd=descriptor)
        except OSError as error:
            raise OutsideRootError from error
        below.pop()
        if target.startswith("/"):
            self._go([])
        return target


class MediaRoot:
    """The folder that holds the media."""

    def __init__(self, root: Path) -> None:
        """Resolves the root itself once; it may be made or mounted later."""
        self._root = Path(os.path.realpath(root))
        self._names = (self._root.parts[1:], Path(os.path.abspath(root)).parts[1:])  # noqa: PTH100

    def resolve(self, path: str) -> tuple[str, ...]:
        """The components below the root of a relative or absolute path, all symlinks followed.

        Opens no file. A path to nothing resolves as well as one to a file.

        Raises:
            OutsideRootError: The path leads outside the root, or nobody can tell where.
        """
        if len(os.fsencode(path)) >= _PATH_MAX or path.count("/") >= _MAX_COMPONENTS:
            raise OutsideRootError
        walk = _Walk(self._root, self._names, path.startswith("/"))
        pending = path.split("/")[::-1]
        links = 0
        with contextlib.closing(walk):
            while pending and links < _MAX_LINKS:
                if target := walk.step(pending.pop()):
                    links += 1
                    pending += target.split("/")[::-1]
        if walk.below is None:
            raise OutsideRootError
        return tuple(walk.below)

    def tail_of(self, path: str) -> str | None:
        """The longest end of a relative path to nothing that is a file below the root; None if none is."""
        names = [] if path.startswith("/") else path.split("/")
        for start in range(1, min(len(names), _MAX_TAILS)):
            tail = "/".join(names[start:])
            try:
                self.read(self.resolve(tail), 0)
            except OutsideRootError:
                continue
            except UnreadableFileError as error:
                if error.status != "TOO_MANY_BYTES":
                    continue
            return tail
        return None

    def read(self, components: tuple[str, ...], max_bytes: int) -> bytes:
        """The content of a resolved file.

        Raises:
            UnreadableFileError: No regular file is there, it may not be read, or it is larger than `max_bytes`.
            OSError: The machine has no more of something, see `EXHAUSTED`.
        """
        if not components:
            raise UnreadableFileError("UNREADABLE", "This is a directory, not a file.")
        try:
            with contextlib.ExitStack() as stack:
                folder = _opened(stack, self._root, _DIRECTORY, None)
                for name in components[:-1]:
                    folder = _opened(stack, name, _DIRECTORY, folder)
                # Opening a device can act on it, so its kind is read first; `_read_all` checks what was really opened.
                _require_regular(os.stat(components[-1], dir_fd=folder, follow_symlinks=False))
                return _read_all(_opened(stack, components[-1], _FILE, folder), max_bytes)
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise  # the file is not to blame
            raise UnreadableFileError(
                "UNREADABLE", f"There is no file that can be read ({os.strerror(error.errno or 0)})."
            ) from error


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
    if status.st_size > max_bytes:
        raise UnreadableFileError(
            "TOO_MANY_BYTES", f"The file holds {status.st_size} bytes; at most {max_bytes} are read."
        )
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(status.st_size + 1)
    # The file may have grown since, and files of some file systems claim a size of 0.
    if len(content) > status.st_size:
        raise UnreadableFileError("UNREADABLE", "The file changed while it was read. Send it when it is complete.")
    return content
