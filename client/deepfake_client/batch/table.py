"""Reports of files as a table for people."""

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.table import Column, Table

from deepfake_client.batch.rows import escaped
from deepfake_client.batch.scoring import FileReport
from deepfake_client.scores import DetectionResult

_STYLES = {DetectionResult.FAKE: "red", DetectionResult.REAL: "green", DetectionResult.UNCERTAIN: "yellow"}


def write_table(reports: Iterable[FileReport], stream: TextIO) -> None:
    """Writes the table when all reports are there, since they decide the widths of its columns."""
    table = Table(Column("file", overflow="fold"), "result", "fake probability", "frames", "faces", "risk", "reason")
    for report in reports:
        output = report.output
        if output is None:
            reason = f"{report.error_code}: {report.error_message}"
            table.add_row(escaped(str(report.path)), "failed", "", "", "", "", escaped(reason), style="dim")
            continue
        table.add_row(
            escaped(str(report.path)),
            output.result.value,
            f"{output.confidence_score:.4f}",
            str(output.metadata["frames_analyzed"]),
            str(output.metadata["faces_detected"]),
            f"{output.scores.risk_score:.2f}",
            "",
            style=_STYLES[output.result],
        )
    Console(file=stream, markup=False, highlight=False, width=None if stream.isatty() else 200).print(table)
