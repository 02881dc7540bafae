"""Pictures of a calibration: reliability before and after it, and its likelihood ratios."""

from collections.abc import Sequence
from pathlib import Path

from deepfake_client.release import LikelihoodRatios
from evaluation.statistics.metrics import CalibrationBin
from evaluation.statistics.tippett import draw_tippett
from training.calibration.likelihood import log10_ratios
from training.calibration.units import Units

_BEFORE, _AFTER, _GREY = "#D55E00", "#0072B2", "#6E6E6E"  # Okabe and Ito's palette
_DPI = 110


def draw_reliability(before: Sequence[CalibrationBin], after: Sequence[CalibrationBin], path: Path) -> None:
    """Draws both reliability diagrams into one PNG file.

    Args:
        before: Bins of the scores before.
        after: Bins of the scores after.
        path: File to write; the same bins give the same file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    for bins, colour, name in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        filled = [one for one in bins if one.files]
        whole = sum(one.files for one in filled)
        axes.scatter(
            [one.mean_p or 0.0 for one in filled],
            [one.fraction_fake or 0.0 for one in filled],
            s=[20 + 280 * one.files / whole for one in filled],
            color=colour, alpha=0.7, label=name, clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel(f"fake probability (0-1), {len(after)} bins; area: share of the frames")
    axes.set_ylabel("share of fake frames, each class counting half")
    axes.set_title("Reliability before and after calibration", fontsize=11)
    axes.legend(loc="upper left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def draw_ratios(units: Units, ratios: LikelihoodRatios, path: Path) -> None:
    """Draws a Tippett plot of the files that the ratios were set on into a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    draw_tippett(figure.add_subplot(), log10_ratios(units, ratios), units.is_fake, units.weights)
    figure.suptitle(
        f"Likelihood ratios of {units.kind}: Cllr {ratios.cllr:.3f}, at best {ratios.cllr_min:.3f}", fontsize=11
    )
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
