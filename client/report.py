"""Reports of files as a table, JSON lines or CSV."""

import csv
import json
import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TextIO

from rich.console import Console
from rich.table import Column, Table

from client.batch import FileReport
from client.scores import DetectionResult


class OutputFormat(StrEnum):
    """How reports are written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


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
    "processing_time_seconds",
    "sha256",
    "model_version",
    "error_code",
    "error_message",
)

_STYLES = {DetectionResult.FAKE: "red", DetectionResult.REAL: "green", DetectionResult.UNCERTAIN: "yellow"}


def write_reports(reports: Iterable[FileReport], format_: OutputFormat, stream: TextIO) -> None:
    """Writes the reports as they come; a table needs them all first."""
    writers: dict[OutputFormat, Callable[[Iterable[FileReport], TextIO], None]] = {
        OutputFormat.TABLE: _write_table,
        OutputFormat.JSONL: _write_jsonl,
        OutputFormat.CSV: _write_csv,
    }
    writers[format_](reports, stream)


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


def _write_jsonl(reports: Iterable[FileReport], stream: TextIO) -> None:
    for report in reports:
        stream.write(json.dumps(report_json(report), allow_nan=False) + "\n")
        stream.flush()


def _write_csv(reports: Iterable[FileReport], stream: TextIO) -> None:
    writer = csv.DictWriter(stream, CSV_COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for report in reports:
        row = report_json(report)
        error = row["error"] or {"code": "", "message": ""}
        values = {**row, **(row["scores"] or {}), **(row["metadata"] or {})}
        values |= {"error_code": error["code"], "error_message": _printable(error["message"])}
        writer.writerow({**values, "file": _printable(row["file"])})
        stream.flush()


def _write_table(reports: Iterable[FileReport], stream: TextIO) -> None:
    table = Table(Column("file", overflow="fold"), "result", "fake probability", "frames", "faces", "risk", "reason")
    for report in reports:
        output = report.output
        if output is None:
            reason = f"{report.error_code}: {report.error_message}"
            table.add_row(_printable(str(report.path)), "failed", "", "", "", "", _printable(reason), style="dim")
            continue
        table.add_row(
            _printable(str(report.path)),
            output.result.value,
            f"{output.confidence_score:.4f}",
            str(output.metadata["frames_analyzed"]),
            str(output.metadata["faces_detected"]),
            f"{output.scores.risk_score:.2f}",
            "",
            style=_STYLES[output.result],
        )
    Console(file=stream, markup=False, highlight=False, width=None if stream.isatty() else 200).print(table)


def _printable(text: str) -> str:
    """Without lone surrogates (a file name that is no UTF-8) and control characters."""
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in decoded)
