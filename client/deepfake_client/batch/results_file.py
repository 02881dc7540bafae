"""A results file with exactly one row a file, also when a run is cut off at any moment and continued.

While a run writes, its rows are in `<name>.partial`, each in full or, the last one, torn; the file takes its name when
the run is complete. A run that continues drops a torn row and skips the files that have one.
"""

import csv
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from deepfake_client.batch.rows import Row, RowFormat
from deepfake_client.batch.scoring import FileReport
from deepfake_client.errors import ConfigurationError

_SYNC_INTERVAL_S = 5.0


class ResultsFile:
    """The rows of a run, written as they come. A context manager; an exception leaves the partial file.

    Attributes:
        done: Names of the files that have a row, as the rows name them.
        failed: How many of these rows are of files that failed.
        model_versions: Models that scored the others.
    """

    def __init__(self, path: Path, format_: RowFormat, resume: bool) -> None:
        """Opens the partial file, with the rows of an earlier run if it is to be continued.

        Args:
            path: The file's name once it is complete.
            format_: How rows are written and read.
            resume: Continue an earlier run, cut off or complete; start a new one if there is none.

        Raises:
            ConfigurationError: The file cannot be written, belongs to a run that goes on, or is no results file; or
                there is a partial file and the run is not to be continued.
        """
        self._path = path
        self._format = format_
        self._partial = partial_path(path)
        self._is_copy = False
        self.done: set[str] = set()
        self.failed = 0
        self.model_versions: set[str] = set()
        try:
            # "a": rows that are there must stay.
            self._stream = self._partial.open("a+", encoding="utf-8", newline="")
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._lock()
            if resume and path.exists() and not self._partial.stat().st_size:
                self._copy_complete()
            self._read_rows(resume)
        except BaseException:
            self._stream.close()
            raise
        self._synced_at = time.monotonic()

    def write(self, report: FileReport) -> None:
        """Adds a row. It survives a crash of this process at once, and one of the machine after five seconds."""
        self._format.write_row(report, self._stream)
        self._stream.flush()
        if time.monotonic() - self._synced_at > _SYNC_INTERVAL_S:
            self._sync()

    def complete(self) -> None:
        """Renames the partial file: the run is complete."""
        self._sync()
        self._partial.replace(self._path)
        _sync_directory(self._path.parent)

    def discard_if_unchanged(self) -> None:
        """Removes the partial file where it is only a copy of the complete one."""
        if self._is_copy:
            self._partial.unlink(missing_ok=True)

    def __enter__(self) -> "ResultsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _sync(self) -> None:
        os.fsync(self._stream.fileno())
        self._synced_at = time.monotonic()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(f"{self._partial} is being written by another run") from error
        try:
            ours = os.fstat(self._stream.fileno()).st_ino == self._partial.stat().st_ino
        except FileNotFoundError:
            ours = False
        if not ours:  # another run renamed or replaced it between opening and locking
            raise ConfigurationError(f"{self._partial} has just been written by another run: try again")

    def _copy_complete(self) -> None:
        """Begins with the rows of the complete file. Those that a killed copy lacks are scored again."""
        try:
            with self._path.open("rb") as complete:
                shutil.copyfileobj(complete, self._stream.buffer)
            self._stream.flush()
        except OSError as error:
            raise ConfigurationError(f"cannot write {self._partial}: {error.strerror}") from error
        self._is_copy = True

    def _read_rows(self, resume: bool) -> None:
        size = self._partial.stat().st_size
        if size and not resume:
            raise ConfigurationError(
                f"{self._partial} holds the rows of a run that was cut off: continue it with --resume, or delete it"
            )
        with self._partial.open("rb") as lines:
            whole = sum(len(line) for line in lines if line.endswith(b"\n"))
        os.ftruncate(self._stream.fileno(), whole)  # drops a torn row
        if whole:
            self._stream.seek(0)
            for row in self._rows():
                self.done.add(row.file)
                if row.model_version:
                    self.model_versions.add(row.model_version)
                else:
                    self.failed += 1
        else:
            self._stream.write(self._format.header)
            self._stream.flush()

    def _rows(self) -> Iterator[Row]:
        try:
            yield from self._format.read_rows(self._stream)
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise ConfigurationError(
                f"{self._partial} was not written with --format {self._format.name}: {error}"
            ) from error


def partial_path(path: Path) -> Path:
    """The name of a results file until it is complete."""
    return path.with_name(f"{path.name}.partial")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
