"""The printed result: tables that read the same on a terminal and through a pipe."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Column, Table

from deepfake_client.plain_text import shown
from evaluation.document import FEWEST_REAL
from evaluation.results import ComparisonResult, FileResult, Results
from evaluation.statistics.bootstrap import Estimate

PIPED_WIDTH = 124
"""Columns where there is no terminal; the widest table needs them."""

_MAX_FAILURES = 20

_METRICS = (
    ("AUC", "auc"),
    ("AUC of the frames of videos", "frame_auc"),
    ("average precision", "average_precision"),
    ("EER", "eer"),
    ("EER threshold", "eer_threshold"),
    ("TPR at 1% FPR", "tpr_at_1pct_fpr"),
    ("its threshold", "threshold_at_1pct_fpr"),
    ("TPR at 5% FPR", "tpr_at_5pct_fpr"),
    ("its threshold", "threshold_at_5pct_fpr"),
    ("accuracy at 0.5", "accuracy"),
    ("real called fake at 0.5", "false_positive_rate"),
    ("fake called real at 0.5", "false_negative_rate"),
    ("accuracy of decided verdicts", "decided_accuracy"),
    ("ECE, 15 bins", "ece"),
    ("Brier score", "brier"),
    ("Cllr, bits", "cllr"),
    ("Cllr at best", "cllr_min"),
    ("right of verdicts fake", "ppv"),
    ("uncertain, of scored", "uncertain_rate"),
    ("undecodable, of all", "undecodable_rate"),
    ("unanswered, of all", "unanswered_rate"),
)


def print_report(results: Results, stream: TextIO) -> None:
    """Prints the tables and the notes."""
    console = Console(file=stream, markup=False, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)
    model = results.model
    console.print(shown(f"model    {model.name}@{model.precision}-{model.release_id}"))
    console.print(
        f"data set {results.dataset.real_files} real, {results.dataset.fake_files} fake, "
        f"digest {results.dataset.digest[:16]}"
    )
    console.print(_counts(results))
    console.print(_metrics(results))
    if results.subsets:
        console.print(_subsets(results))
    if results.robustness:
        console.print(_robustness(results, wide=console.width >= PIPED_WIDTH))
    if failures := [file for file in results.files if file.error]:
        console.print(_failures(failures))
    for note in results.notes:
        console.print(shown(f"- {note}"), soft_wrap=True)


def _counts(results: Results) -> Table:
    table = Table("files", *_right("real", "fake"))
    real, fake, matrix = results.counts.real, results.counts.fake, results.confusion_matrix
    table.add_row("all", str(real.files), str(fake.files))
    table.add_row("scored", str(real.scored), str(fake.scored))
    table.add_row("undecodable", str(real.undecodable), str(fake.undecodable))
    table.add_row("unanswered", str(real.unanswered), str(fake.unanswered), end_section=True)
    table.add_row("verdict real", str(real.called_real), str(fake.called_real))
    table.add_row("verdict fake", str(real.called_fake), str(fake.called_fake))
    table.add_row("verdict uncertain", str(real.called_uncertain), str(fake.called_uncertain), end_section=True)
    table.add_row("p < 0.5", str(matrix.real_called_real), str(matrix.fake_called_real))
    table.add_row("p >= 0.5", str(matrix.real_called_fake), str(matrix.fake_called_fake))
    return table


def _metrics(results: Results) -> Table:
    table = Table("metric", *_right("value"), "95% interval")
    for title, name in _METRICS:
        estimate: Estimate = getattr(results.metrics, name)
        value, interval = _cells(estimate)
        few = results.counts.real.scored < FEWEST_REAL.get(name, 0)
        title = f"{title}, {results.command.prevalence:.3g} fake" if name == "ppv" else title
        table.add_row(title, value, f"{interval} (too few real files)" if few and interval else interval)
    latency = results.latency
    for title, estimate in (("p50", latency.p50_s), ("p90", latency.p90_s), ("p99", latency.p99_s)):
        table.add_row(f"latency {title}, {latency.concurrency} files at once", *_cells(estimate, " s"))
    return table


def _subsets(results: Results) -> Table:
    table = Table("class", "method", *_right("scored", "AUC", "TPR at 5% FPR", "verdict fake"))
    for row in results.subsets:
        figures = (row.auc.text(), row.tpr_at_5pct_fpr.text(), row.called_fake_rate.text())
        table.add_row(row.label, shown(row.method), f"{row.scored} of {row.files}", *figures)
    return table


def _robustness(results: Results, wide: bool) -> Table:
    titles = ("files", "AUC", "EER", "accuracy", "TPR at 5% FPR", "mean |dp|", "failed")
    table = Table(Column("degradation", no_wrap=True), *_right(*titles))
    interval = ", 95% interval of the change" if wide else "; intervals are in results.json"
    table.title = f"Degraded: value, change from the clean run over the same frames{interval}"
    table.title_justify, table.title_style = "left", ""
    metrics, counts = results.metrics, results.counts
    clean = [_number(metric.value) for metric in (metrics.auc, metrics.eer, metrics.accuracy, metrics.tpr_at_5pct_fpr)]
    table.add_row("none", str(counts.real.scored + counts.fake.scored), *clean, "", "")
    for row in results.robustness:
        comparisons = (row.auc, row.eer, row.accuracy, row.tpr_at_5pct_fpr)
        cells = [row.degradation, str(row.real_files + row.fake_files), *(_compared(c, wide) for c in comparisons)]
        table.add_row(*cells, _number(row.mean_abs_dp.value), str(row.failed))
    return table


def _failures(failures: Sequence[FileResult]) -> Table:
    table = Table("file without a score", "reason")
    for file in failures[:_MAX_FAILURES]:
        reason = f"{file.error.code}: {file.error.message}" if file.error else ""
        table.add_row(shown(file.path), shown(reason))
    if len(failures) > _MAX_FAILURES:
        table.add_row(f"{len(failures) - _MAX_FAILURES} more", "see results.json")
    return table


def _right(*titles: str) -> list[Column]:
    return [Column(title, justify="right") for title in titles]


def _cells(estimate: Estimate, unit: str = "") -> tuple[str, str]:
    if estimate.value is None:
        return "-", estimate.reason
    interval = f"{_number(estimate.low)} - {_number(estimate.high)}" if estimate.low is not None else ""
    return f"{estimate.value:.3f}{unit}", interval


def _compared(comparison: ComparisonResult, wide: bool) -> str:
    change = comparison.change
    if change.value is None:
        return change.reason
    value, moved = _number(comparison.degraded.value), f"{change.value:+.3f}"
    if not wide or change.low is None or change.high is None:
        return f"{value}\n{moved}"
    return f"{value}  {moved}\n[{change.low:+.3f}, {change.high:+.3f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
