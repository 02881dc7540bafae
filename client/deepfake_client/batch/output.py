"""Writes the reports of a run to standard output, or to a results file that a later run can continue."""

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from deepfake_client.batch.progress import with_progress
from deepfake_client.batch.results_file import ResultsFile, partial_path
from deepfake_client.batch.rows import CommaSeparated, JsonLines, RowFormat
from deepfake_client.batch.scoring import FileReport
from deepfake_client.batch.table import write_reports
from deepfake_client.errors import ConfigurationError
from deepfake_client.media import TextEnum


class OutputFormat(TextEnum):
    """How reports are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


_ROW_FORMATS: dict[OutputFormat, RowFormat] = {OutputFormat.JSONL: JsonLines(), OutputFormat.CSV: CommaSeparated()}
_WORKBOOKS = (".xls", ".xlsx", ".xlsm", ".ods", ".numbers")
_SUFFIXES = {".jsonl": OutputFormat.JSONL, ".ndjson": OutputFormat.JSONL, ".csv": OutputFormat.CSV}

Score = Callable[[list[Path]], Generator[FileReport]]
"""Scores files and gives one report for each, in order."""


class Output:
    """Where reports are written.

    Attributes:
        path: The file, None for standard output.
        failed_before: Rows of an earlier run whose file failed.
    """

    def __init__(self, path: Path | None, format_: OutputFormat | None, resume: bool) -> None:
        """Checks the arguments; opens nothing yet.

        Args:
            path: A file, None for standard output.
            format_: By the file's suffix if it is None, else a table.
            resume: Continue what is in the file.

        Raises:
            ConfigurationError: The arguments do not go together, or the file's directory is missing.
        """
        self.path = path
        self.failed_before = 0
        chosen = format_ or (_SUFFIXES.get(path.suffix.lower()) if path else None) or OutputFormat.TABLE
        self._rows = _ROW_FORMATS.get(chosen)
        self._resume = resume
        if path is not None and self._rows is None:
            raise ConfigurationError(
                f"--output {path}: the name must end in {', '.join(_SUFFIXES)}, or give --format jsonl or csv; a table "
                "is for the terminal"
            )
        if path is not None and path.suffix.lower() in _WORKBOOKS:
            raise ConfigurationError(f"--output {path}: no workbook is written; spreadsheet programs open a .csv")
        if resume and path is None:
            raise ConfigurationError("--resume needs --output FILE")
        if path is not None and not path.parent.is_dir():
            raise ConfigurationError(f"cannot write {path}: there is no directory {path.parent}")
        if path is not None and path.exists() and not path.is_file():
            raise ConfigurationError(f"cannot write {path}: it is no regular file")
        if path is None and sys.stdout is None:
            raise ConfigurationError("standard output is closed: give --output FILE")

    @property
    def how_to_go_on(self) -> str:
        """The end of the message after a run that was cut off."""
        return "; the same command with --resume goes on with them" if self.path else ""

    def without_itself(self, paths: list[Path]) -> list[Path]:
        """The paths without the results file itself, which a pattern may cover.

        Raises:
            ConfigurationError: The output would replace one of the files to be scored.
        """
        if self.path is None:
            return paths
        own = [file for file in (self.path, partial_path(self.path)) if file.exists()]
        kept = [path for path in paths if not any(_is_same(path, file) for file in own)]
        if len(kept) < len(paths) and not self._resume:
            raise ConfigurationError(f"{self.path} is one of the files to be scored, and would be replaced")
        return kept

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
                self.failed_before = results.failed
                _write_missing(results, self._rows, paths, score, model_version)
        elif self._rows is not None:
            stream = sys.stdout
            stream.write(self._rows.header)
            with contextlib.closing(score(paths)) as reports:
                # On a terminal the rows themselves show the progress.
                for report in reports if stream.isatty() else with_progress(reports, len(paths)):
                    self._rows.write_row(report, stream)
                    stream.flush()
        else:
            with contextlib.closing(score(paths)) as reports:
                write_reports(with_progress(reports, len(paths)), len(paths), sys.stdout)


def _write_missing(
    results: ResultsFile, format_: RowFormat, paths: list[Path], score: Score, model_version: str
) -> None:
    if others := results.model_versions - {format_.text(model_version)}:
        results.discard_if_unchanged()
        raise ConfigurationError(
            f"the rows that are there are scores of {', '.join(sorted(others))}, and {model_version} is served now: "
            "serve that model again to continue, or score everything again into another file"
        )
    missing = [path for path in paths if format_.text(os.fspath(path)) not in results.done]
    if results.done:
        print(f"{len(results.done)} files have a row already, {len(missing)} are left", file=sys.stderr)
    with contextlib.closing(score(missing)) as reports:
        for report in with_progress(reports, len(missing)):
            if report.output is not None and report.output.model_version != model_version:
                raise ConfigurationError(
                    f"{report.output.model_version} answers now, {model_version} did at the start, and one file holds "
                    "the scores of one model: serve the first one again and continue with --resume"
                )
            results.write(report)
    results.complete()


def _is_same(path: Path, file: Path) -> bool:
    try:
        return path.samefile(file)
    except OSError:
        return False
