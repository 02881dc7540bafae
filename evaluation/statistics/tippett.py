"""The Tippett plot: which shares of the real and the fake files have at least a given likelihood ratio."""

from typing import TYPE_CHECKING

import numpy as np

from evaluation.statistics.metrics import BoolArray, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REAL, _FAKE, _GREY = "#0072B2", "#D55E00", "#6E6E6E"  # Okabe and Ito's palette


def shares_above(log10_lr: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distinct ratios in ascending order, and the share of the files that have at least each of them."""
    values, where = np.unique(log10_lr, return_inverse=True)
    held = np.bincount(where, weights=weights)
    return values, held[::-1].cumsum()[::-1] / held.sum()


def draw_tippett(axes: "Axes", log10_lr: FloatArray, is_fake: BoolArray, weights: FloatArray) -> None:
    """Draws it: Evett and Buckleton, "Statistical analysis of STR data", Advances in Forensic Haemogenetics 6, 1996.

    Args:
        axes: Where.
        log10_lr: (N,) float64.
        is_fake: (N,) bool, both classes.
        weights: (N,) float64 above 0.
    """
    for of, colour, name in ((~is_fake, _REAL, "real"), (is_fake, _FAKE, "fake")):
        values, shares = shares_above(log10_lr[of], weights[of])
        edges = np.concatenate([[values[0] - 0.5], values, [values[-1]]]), np.concatenate([[1.0], shares, [0.0]])
        axes.step(*edges, where="pre", color=colour, linewidth=2, label=f"{name} files")
    axes.axvline(0, color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(ylim=(0, 1.02))
    axes.set_xlabel("log10 likelihood ratio; above 0 the score speaks for a fake")
    axes.set_ylabel("share of files with at least this ratio")
    axes.legend(loc="lower left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
