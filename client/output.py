"""Where the reports of a run go: standard output, a table in a file, or a results file that can be continued."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from client.batch import FileReport
from client.errors import ConfigurationError
from client.progress import with_progress
from client.results_file import ResultsFile
from client.rows import CommaSeparated, JsonLines, RowFormat
from client.table import write_table


class OutputFormat(StrEnum):
    """How reports are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


_ROW_FORMATS: dict[OutputFormat, RowFormat] = {OutputFormat.JSONL: JsonLines(), OutputFormat.CSV: CommaSeparated()}
_SUFFIXES = {".jsonl": OutputFormat.JSONL, ".ndjson": OutputFormat.JSONL, ".csv": OutputFormat.CSV}

Score = Callable[[list[Path]], Iterable[FileReport]]
"""Scores files; one report for each, in order."""


class Output:
    """A place for reports."""

    def __init__(self, path: Path | None, format_: OutputFormat | None, resume: bool) -> None:
        """Opens nothing yet.

        Args:
            path: A file, None for standard output.
            format_: By the file's suffix if it is None, else a table.
            resume: Continue what is in the file.

        Raises:
            ConfigurationError: The arguments do not go together, or the file's directory is missing.
        """
        self.path = path
        chosen = format_ or (_SUFFIXES.get(path.suffix.lower()) if path else None) or OutputFormat.TABLE
        self._rows = _ROW_FORMATS.get(chosen)
        self._resume = resume
        if resume and (path is None or self._rows is None):
            raise ConfigurationError("--resume needs --output FILE and --format jsonl or csv")
        if path is not None and not path.parent.is_dir():
            raise ConfigurationError(f"cannot write {path}: there is no directory {path.parent}")

    def write(self, paths: list[Path], score: Score, model_version: str) -> None:
        """Scores the files that have no row yet and writes their reports as they come.

        Args:
            paths: The files.
            score: Scores them.
            model_version: What scores them now.

        Raises:
            ConfigurationError: The file cannot be written or continued.
        """
        if self.path is not None and self._rows is not None:
            with ResultsFile(self.path, self._rows, self._resume) as results:
                _write_missing(results, self._rows, paths, score, model_version)
        elif self.path is not None:
            with _atomically(self.path) as stream:
                write_table(with_progress(score(paths), len(paths)), stream)
        elif self._rows is not None:
            self._rows.write_header(sys.stdout)
            reports = score(paths)
            # Rows on a terminal are progress enough, and a bar would run through them.
            for report in reports if sys.stdout.isatty() else with_progress(reports, len(paths)):
                self._rows.write_row(report, sys.stdout)
                sys.stdout.flush()
        else:
            write_table(with_progress(score(paths), len(paths)), sys.stdout)


def _write_missing(
    results: ResultsFile, format_: RowFormat, paths: list[Path], score: Score, model_version: str
) -> None:
    if others := results.model_versions - {model_version}:
        raise ConfigurationError(
            f"the rows that are there are scores of {', '.join(sorted(others))}, and {model_version} is served now: "
            "serve that model again to continue, or score everything again into another file"
        )
    missing = [path for path in paths if format_.file_name(path) not in results.done]
    if results.done:
        print(f"{len(results.done)} files have a row already, {len(missing)} are left", file=sys.stderr)
    for report in with_progress(score(missing), len(missing)):
        results.write(report)
    results.complete()


@contextlib.contextmanager
def _atomically(path: Path) -> Iterator[TextIO]:
    """A temporary file that takes the path's name when all is written."""
    try:
        descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        Path(partial).chmod(0o666 & ~umask)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
