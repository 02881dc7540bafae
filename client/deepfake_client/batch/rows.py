"""Reports of files as rows: JSON lines and CSV."""

import csv
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from deepfake_client.batch.scoring import FileReport
from deepfake_client.plain_text import csv_cell, escaped

CSV_COLUMNS = (
    "file",
    "result",
    "confidence_score",
    "video_score",
    "peak_risk",
    "mean_risk",
    "temporal_consistency",
    "risk_score",
    "confidence",
    "input_type",
    "frames_analyzed",
    "frames_failed",
    "faces_detected",
    "people",
    "assessable",
    "findings",
    "processing_time_seconds",
    "sha256",
    "model_version",
    "error_code",
    "error_message",
)


@dataclass(frozen=True)
class Row:
    """The parts of a row that are read back.

    Attributes:
        file: The file's name, as `RowFormat.text` gives it.
        model_version: Which model scored it, likewise; "" if none did: the file failed.
    """

    file: str
    model_version: str


class RowFormat(Protocol):
    """Writes one report as one line, and reads it back; `header` comes before the first row."""

    name: str
    header: str

    def text(self, text: str) -> str:
        """A name as it is read back from a row; different names stay different."""

    def write_row(self, report: FileReport, stream: TextIO) -> None:
        """Writes one line with its line feed."""

    def read_rows(self, stream: TextIO) -> Iterator[Row]:
        """The rows of a file that starts with the header.

        Raises:
            ValueError, KeyError, TypeError: Something else is in it.
        """


class JsonLines:
    """One JSON object a line, the same keys for a scored and a failed file; plain ASCII."""

    name = "jsonl"
    header = ""

    def text(self, text: str) -> str:
        """See `RowFormat`."""
        return text

    def write_row(self, report: FileReport, stream: TextIO) -> None:
        """See `RowFormat`."""
        stream.write(json.dumps(report_json(report), allow_nan=False) + "\n")

    def read_rows(self, stream: TextIO) -> Iterator[Row]:
        """See `RowFormat`."""
        for line in stream:
            row = json.loads(line)
            yield Row(str(row["file"]), row["model_version"] or "")


class CommaSeparated:
    """CSV with a header. Backslashes and characters that cannot be printed are escaped as in Python's strings.

    A text that a spreadsheet program would take for a formula begins with an apostrophe.
    """

    name = "csv"
    header = ",".join(CSV_COLUMNS) + "\n"

    def text(self, text: str) -> str:
        """See `RowFormat`."""
        return csv_cell(escaped(text))

    def write_row(self, report: FileReport, stream: TextIO) -> None:
        """See `RowFormat`."""
        row = {name: csv_cell(value) if isinstance(value, str) else value for name, value in flat_row(report).items()}
        csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n").writerow(row)

    def read_rows(self, stream: TextIO) -> Iterator[Row]:
        """See `RowFormat`."""
        csv.field_size_limit(sys.maxsize)
        reader = csv.reader(stream, strict=True)
        if tuple(next(reader, ())) != CSV_COLUMNS:
            raise ValueError(f"its first line is not {','.join(CSV_COLUMNS)}")
        model_version = CSV_COLUMNS.index("model_version")
        for values in reader:
            if len(values) != len(CSV_COLUMNS):
                raise ValueError(f"line {reader.line_num} has {len(values)} columns, not {len(CSV_COLUMNS)}")
            yield Row(values[0], values[model_version])


def report_json(report: FileReport) -> dict[str, Any]:
    """A report as JSON-ready values; the same keys for a scored and a failed file."""
    output = report.output
    return {
        "file": os.fspath(report.path),
        "result": output.result.value if output else None,
        "confidence_score": output.confidence_score if output else None,
        "scores": output.scores.rounded() if output else None,
        "processing_time_seconds": round(output.processing_time_seconds, 3) if output else None,
        "metadata": output.metadata if output else None,
        "model_version": output.model_version if output else None,
        "error": None if output else {"code": report.error_code, "message": report.error_message},
    }


def flat_row(report: FileReport) -> dict[str, Any]:
    """A report as one value for each of `CSV_COLUMNS`, None where it has none; texts are `escaped`."""
    row = report_json(report)
    error = row["error"] or {"code": None, "message": ""}
    values = {**row, **(row["scores"] or {}), **(row["metadata"] or {})}
    values["findings"] = " ".join(finding["code"] for finding in values.get("findings", ())) if report.output else None
    values |= {"error_code": error["code"], "error_message": error["message"] or None}
    values["people"] = values.get("people_found")
    chosen = {column: values.get(column) for column in CSV_COLUMNS}
    return {name: escaped(value) if isinstance(value, str) else value for name, value in chosen.items()}
