"""Reports of files for people: a table, or blocks of lines on a narrow terminal, and one line about the whole run."""

from collections import Counter
from collections.abc import Iterable
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from deepfake_client.analysis.finding import Severity
from deepfake_client.batch.scoring import FileReport
from deepfake_client.plain_text import escaped
from deepfake_client.scores import DetectionResult

NARROW_COLUMNS = 80
"""A narrower terminal would cut the table's figures."""

NOT_ASSESSABLE = "n/a"
FAILED = "failed"
_NOT_A_TERMINAL_COLUMNS = 200
_HEADINGS = ("result", "fake probability", "frames", "faces", "people", "risk")
_STYLES = {DetectionResult.FAKE: "red", DetectionResult.REAL: "green", DetectionResult.UNCERTAIN: "yellow"}


def write_table(reports: Iterable[FileReport], stream: TextIO) -> None:
    """Writes the table when all reports are there, since they decide the widths; blocks come one by one."""
    width = None if stream.isatty() else _NOT_A_TERMINAL_COLUMNS
    console = Console(file=stream, markup=False, highlight=False, width=width)
    if console.width < NARROW_COLUMNS:
        for report in reports:
            console.print(_block(report), soft_wrap=True)
        return
    table = Table(Column("file", overflow="fold"), *_HEADINGS, box=box.SIMPLE_HEAD)
    for report in reports:
        table.add_row(
            "\n".join(filter(None, (_name(report), _remark(report)))), *_figures(report), style=_style(report)
        )
    console.print(table)


def verdict_of(report: FileReport) -> str:
    """real, fake, uncertain, n/a where it is not assessable, or failed."""
    if report.output is None:
        return FAILED
    return report.output.result.value if report.output.details.assessable else NOT_ASSESSABLE


def summary(verdicts: Counter[str], elapsed_s: float) -> str:
    """One line: how many files there were, what became of them, and how long that took."""
    order = [*(result.value for result in (DetectionResult.FAKE, DetectionResult.REAL, DetectionResult.UNCERTAIN))]
    parts = [f"{verdicts[name]} {name}" for name in (*order, NOT_ASSESSABLE, FAILED) if verdicts[name]]
    return f"{verdicts.total()} files in {elapsed_s:.1f} s: {', '.join(parts)}"


def _block(report: FileReport) -> Text:
    """The file's name, its figures with their names, and a remark, a line each."""
    figures = [f"{name} {value}" for name, value in zip(_HEADINGS[1:], _figures(report)[1:], strict=False)]
    lines = [_name(report), f"  {verdict_of(report)}", *(f"  {figure}" for figure in figures)]
    if remark := _remark(report):
        lines.append(f"  {remark}")
    return Text("\n".join(lines), style=_style(report))


def _name(report: FileReport) -> str:
    return escaped(str(report.path))


def _remark(report: FileReport) -> str:
    """What weakens a result, or why there is none: below the name, since a column for it would leave 80 no room."""
    if report.output is None:
        return escaped(f"{report.error_code}: {report.error_message}")
    return " ".join(finding.code.value for finding in report.output.findings if finding.severity is not Severity.INFO)


def _figures(report: FileReport) -> list[str]:
    output = report.output
    if output is None:
        return [FAILED]
    return [
        verdict_of(report),
        f"{output.confidence_score:.4f}",
        str(output.details.frames_analyzed),
        str(output.details.faces_detected),
        str(output.details.people_found),
        f"{output.scores.risk_score:.2f}",
    ]


def _style(report: FileReport) -> str:
    output = report.output
    return _STYLES[output.result] if output is not None and output.details.assessable else "dim"
