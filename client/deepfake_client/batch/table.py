"""Reports of files for people: a table, or a block of lines for each file, and one line about the whole run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from deepfake_client.analysis.finding import Finding, FindingCode, Severity
from deepfake_client.analysis.members import ModelScore
from deepfake_client.batch.scoring import FileReport
from deepfake_client.plain_text import escaped, percent
from deepfake_client.presentation.models import weight, what_it_sees
from deepfake_client.presentation.statement import Outcome
from deepfake_client.result import DetectionOutput

FAILED = "failed"
NARROW_COLUMNS, _WIDE_COLUMNS, _NOT_A_TERMINAL_COLUMNS = 80, 100, 200
"""Below the first the table would be cut; below the second names need what verdicts can spare."""

_LONGEST_CODE = max(map(len, FindingCode))
_FIGURES = ("fake probability", "frames", "faces", "people")
_STYLES = {Outcome.SIGNS: "red", Outcome.NO_SIGNS: "green", Outcome.INCONCLUSIVE: "yellow"}


def write_reports(reports: Iterable[FileReport], number: int, stream: TextIO) -> None:
    """Writes a table when all reports are there, or a block for each as it comes; then what the verdicts are worth.

    Args:
        reports: Of the files.
        number: How many there will be; one alone gets a block, which says more than a row.
        stream: A terminal, or another stream. Blocks are also for terminals too narrow for the table.
    """
    width = None if stream.isatty() else _NOT_A_TERMINAL_COLUMNS
    console = Console(file=stream, markup=False, highlight=False, width=width)
    worth: dict[str, str] = {}
    if number == 1 or console.width < NARROW_COLUMNS:
        for report in _noted(reports, worth):
            console.print(Text(_name(report), style="bold"), soft_wrap=True)
            console.print(Padding(_block(report), (0, 0, 0, 2), expand=False))
    else:
        figures = [Column(name.replace(" ", "\n"), justify="right", no_wrap=True) for name in _FIGURES]
        verdict_columns = _LONGEST_CODE if console.width < _WIDE_COLUMNS else None
        texts = Column("file", overflow="fold"), Column("verdict", overflow="fold", width=verdict_columns)
        table = Table(*texts, *figures, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for report in _noted(reports, worth):
            table.add_row(_name(report), *_cells(report))
        console.print(table, "")
    for calibration, headline in worth.items():
        console.print(calibration if len(worth) == 1 else f"{headline}: {calibration}")


def verdict_of(report: FileReport) -> str:
    """The headline of the file's verdict, or that it failed."""
    return report.output.details.statement.headline if report.output else FAILED


def summary(verdicts: Counter[str], elapsed_s: float) -> str:
    """One line: how many files there were, how long they took, and what became of them."""
    parts = [f"{verdict} ({count})" for verdict, count in verdicts.most_common()]
    return f"{verdicts.total()} files in {elapsed_s:.1f} s: {', '.join(parts)}"


def _noted(reports: Iterable[FileReport], worth: dict[str, str]) -> Iterator[FileReport]:
    """Passes the reports on, and notes each sentence about the verdicts' worth with the headline it belongs to."""
    for report in reports:
        if report.output and (calibration := report.output.details.statement.calibration):
            worth.setdefault(calibration, verdict_of(report))
        yield report


def _block(report: FileReport) -> Text:
    """Verdict, reason, figures, each of several models, and findings of a file, each on a line of its own."""
    output = report.output
    if output is None:
        return _failure(report)
    probability, *counts = (f"{name} {value}" for name, value in zip(_FIGURES, _figures(output), strict=True))
    findings = (f"{finding.code.value}: {finding.message}" for finding in _weakening(output))
    models = map(_by_itself, output.details.models)
    lines = (output.details.statement.explanation, probability, *models, ", ".join(counts), *findings)
    return Text.assemble((verdict_of(report), _style(output)), *(f"\n{line}" for line in lines))


def _cells(report: FileReport) -> list[Text]:
    """The verdict with what weakens it, and the figures."""
    output = report.output
    if output is None:
        return [_failure(report)]
    codes = (f"\n{finding.code.value}" for finding in _weakening(output))
    probability, *counts = _figures(output)
    verdict = Text.assemble((verdict_of(report), _style(output)), *codes)
    return [verdict, Text(probability, style=_style(output)), *map(Text, counts)]


def _by_itself(score: ModelScore) -> str:
    calibrated = "" if score.calibrated else ", not calibrated"
    of_it = f"{what_it_sees(score)}, weight {weight(score)}{calibrated}"
    return f"by {escaped(score.name)} alone {percent(score.fake_probability)} ({of_it})"


def _name(report: FileReport) -> str:
    return escaped(str(report.path))


def _failure(report: FileReport) -> Text:
    reason = f"{report.error_code}: {report.error_message.removeprefix(f'{report.path}: ')}"
    return Text(f"{FAILED}\n{escaped(reason)}", style="dim")


def _weakening(output: DetectionOutput) -> list[Finding]:
    return [finding for finding in output.findings if finding.severity is not Severity.INFO]


def _figures(output: DetectionOutput) -> list[str]:
    """A value for each of `_FIGURES`."""
    details = output.details
    counts = (details.frames_analyzed, details.faces_detected, details.people_found)
    return [percent(output.confidence_score), *map(str, counts)]


def _style(output: DetectionOutput) -> str:
    return _STYLES.get(output.details.statement.outcome, "dim")
