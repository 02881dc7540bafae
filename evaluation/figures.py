"""The picture files: ROC curve, scores by class, reliability."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.measure import ScoreTable
from evaluation.results import Results
from evaluation.statistics.bootstrap import CONFIDENCE, resample
from evaluation.statistics.metrics import FloatArray, RocCurve, bin_index, roc_curve
from evaluation.statistics.tippett import draw_tippett

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common kind of colour blindness.
_REAL = "#0072B2"
_FAKE = "#D55E00"
_GREY = "#6E6E6E"
_DASHES = (0, (4, 3))

_SIZE_IN = (5.6, 5.8)
_PADDING_IN = 0.09
_DPI = 110
_GRID_POINTS = 201
_SCORE_BINS = 20
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}}  # the same figures give the same files


@dataclass(frozen=True)
class FigureData:
    """What the figures show.

    Attributes:
        results: The document, for figures and captions.
        table: The scored files.
    """

    results: Results
    table: ScoreTable


def write_figures(data: FigureData, folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Draws what the scores allow and returns the file names.

    Args:
        data: What to draw.
        folder: Existing directory.
        suffixes: "png", "svg": one file of each for each figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawings: dict[str, Callable[[Figure, FigureData], None]] = {}
    if data.table.has_both_classes:
        drawings["roc"] = _draw_roc
    if data.table.p.size:
        drawings["scores"] = _draw_scores
    if data.table.has_both_classes:
        drawings["reliability"] = _draw_reliability
    if data.table.has_ratios:
        drawings["tippett"] = _draw_tippett
    names = []
    for name, draw in drawings.items():
        figure = Figure(figsize=_SIZE_IN, layout=ConstrainedLayoutEngine(h_pad=_PADDING_IN, w_pad=_PADDING_IN))
        draw(figure, data)
        _caption(figure, data.results)
        for suffix in suffixes:
            names.append(f"{name}.{suffix}")
            figure.savefig(folder / names[-1], dpi=_DPI, metadata=_METADATA[suffix])
    return names


def _draw_roc(figure: "Figure", data: FigureData) -> None:
    axes = figure.add_subplot()
    table = data.table
    curve = roc_curve(table.is_fake, table.p)
    grid = np.linspace(0, 1, _GRID_POINTS)
    low, high = _roc_band(data, grid)
    metrics = data.results.metrics
    axes.fill_between(grid, low, high, color=_REAL, alpha=0.2, linewidth=0, label="95% bootstrap band")
    axes.plot(curve.fpr, curve.tpr, color=_REAL, linewidth=2, label=f"AUC {metrics.auc.text()}", clip_on=False)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=_DASHES, label="chance")
    eer, _ = curve.equal_error
    axes.plot(eer, 1 - eer, "o", color=_FAKE, markersize=7, label=f"EER {metrics.eer.text()}")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    figure.suptitle("ROC curve", fontsize=12)
    axes.set_xlabel("false-positive rate: share of real files called fake")
    axes.set_ylabel("true-positive rate: share of fake files called fake")
    axes.legend(loc="lower right", frameon=False)
    _plain(axes)


def _roc_band(data: FigureData, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Percentiles of the TPR at each FPR over the resamples: vertical averaging (Fawcett 2006, section 8)."""
    table = data.table
    curves = np.array(
        [
            _tpr_along(roc_curve(table.is_fake[chosen], table.p[chosen]), grid)
            for chosen in resample(table.is_fake, data.results.command.plan, table.groups)
        ]
    )
    band: FloatArray = np.percentile(curves, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)], axis=0)
    return band[0], band[1]


def _tpr_along(curve: RocCurve, grid: FloatArray) -> FloatArray:
    """TPR of the curve at each FPR of the grid; where the curve rises vertically, its upper end."""
    last = np.searchsorted(curve.fpr, grid, side="right") - 1
    following = np.minimum(last + 1, curve.fpr.size - 1)
    run = curve.fpr[following] - curve.fpr[last]
    share = np.divide(grid - curve.fpr[last], run, out=np.zeros_like(grid), where=run > 0)
    tpr: FloatArray = curve.tpr[last] + share * (curve.tpr[following] - curve.tpr[last])
    return tpr


def _draw_scores(figure: "Figure", data: FigureData) -> None:
    real_axes, fake_axes = figure.subplots(2, 1, sharex=True, sharey=True)
    edges = np.linspace(0, 1, _SCORE_BINS + 1)
    bands = data.results.model.image_bands
    for axes, colour, is_fake, name in ((real_axes, _REAL, False, "real"), (fake_axes, _FAKE, True, "fake")):
        p = data.table.p[data.table.is_fake == is_fake]
        axes.hist(p, edges, color=colour, edgecolor="white", linewidth=0.8)
        for bound in (bands.real_below, bands.fake_above):
            axes.axvline(bound, color=_GREY, linewidth=1, linestyle=_DASHES)
        axes.set_ylabel("files")
        axes.set_title(f"{name}: {p.size} scored files", loc="left", fontsize=10, color=colour)
        axes.yaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
    fake_axes.set(xlim=(0, 1))
    fake_axes.set_xlabel("fake probability (0-1); dashed: verdict bands of images")
    figure.suptitle("Scores by class", fontsize=12)


def _draw_tippett(figure: "Figure", data: FigureData) -> None:
    draw_tippett(figure.add_subplot(), data.table.log10_lr, data.table.is_fake, np.ones(data.table.p.size))
    metrics = data.results.metrics
    figure.suptitle(f"Likelihood ratios: Cllr {metrics.cllr.text()}, at best {metrics.cllr_min.text()}", fontsize=11)


def _draw_reliability(figure: "Figure", data: FigureData) -> None:
    from scipy.stats import binomtest

    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = data.results.calibration
    metrics = data.results.metrics
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=_DASHES)
    is_fake, index = data.table.is_fake, bin_index(data.table.p, len(bins))
    fakes_to_reals = is_fake.mean() / (~is_fake).mean()
    for number, one in enumerate(bins):
        if one.mean_p is not None and one.fraction_fake is not None:
            fakes = int(is_fake[index == number].sum())
            bar = binomtest(fakes, one.files).proportion_ci(CONFIDENCE, method="wilson")
            ends = [share / (share + (1 - share) * fakes_to_reals) for share in (bar.low, bar.high)]
            axes.plot([one.mean_p, one.mean_p], ends, color=_REAL, alpha=0.35, linewidth=4)
            axes.plot(one.mean_p, one.fraction_fake, "o", color=_REAL, markersize=6, clip_on=False, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.suptitle("Reliability", fontsize=12)
    axes.set_title(f"ECE {metrics.ece.text()}   Brier {metrics.brier.text()}", fontsize=10)
    axes.set_ylabel("share of fake files, each class counting half;\nbars: 95% (Wilson)")
    counts.bar(
        [one.low for one in bins], [one.files for one in bins], width=1 / len(bins), align="edge", color=_REAL,
        edgecolor="white", linewidth=0.8,
    )  # fmt: skip
    counts.set_ylabel("files")
    counts.yaxis.get_major_locator().set_params(integer=True)
    counts.set_xlabel(f"fake probability (0-1), {len(bins)} bins; dashed: perfectly calibrated")
    _plain(axes)
    _plain(counts)


def _plain(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _caption(figure: "Figure", results: Results) -> None:
    model, counts = results.model, results.counts
    lines = [
        f"{model.name}@{model.precision}-{model.release_id}",
        f"{counts.real.scored} real and {counts.fake.scored} fake files, data set {results.dataset.digest[:12]}",
    ]
    if not model.trained:
        lines.append("UNTRAINED MODEL: these figures mean nothing")
    figure.supxlabel("\n".join(lines), fontsize=8, color=_GREY if model.trained else _FAKE)
