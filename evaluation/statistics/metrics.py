"""The figures of a binary detector from labels and fake probabilities: pure functions of two arrays.

Everywhere `is_fake` is (N,) bool, `p` is (N,) float64 within 0-1, and a file is called fake at a threshold t when
p >= t. What cannot be computed is NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.bootstrap import IN_RESULTS

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

DECISION_THRESHOLD = 0.5
CALIBRATION_BINS = 15
LATENCY_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class RocCurve:
    """All operating points, from nothing called fake to everything.

    Attributes:
        fpr: (K,) float64, ascending: share of the real files called fake.
        tpr: (K,) float64, ascending: share of the fake files called fake.
        thresholds: (K,) float64, descending; the first is infinite.
    """

    fpr: FloatArray
    tpr: FloatArray
    thresholds: FloatArray

    @property
    def auc(self) -> float:
        """Area under the curve by trapezoids.

        The probability that a random fake scores above a random real, ties counting half (Hanley and McNeil, "The
        meaning and use of the area under a ROC curve", Radiology 143, 1982).
        """
        return float(np.sum(np.diff(self.fpr) * (self.tpr[1:] + self.tpr[:-1])) / 2)

    @property
    def equal_error(self) -> tuple[float, float]:
        """The equal error rate and a threshold.

        The rate is where misses are as frequent as false alarms, FPR = 1 - TPR (Martin et al., "The DET curve in
        assessment of detection task performance", Eurospeech 1997), on the curve joined by straight lines. The
        threshold is the finite one whose FPR and 1 - TPR are closest: on few files none gives the rate itself.
        """
        difference = self.fpr - (1 - self.tpr)  # never falls along the curve: from -1 to 1
        after = int(np.argmax(difference >= 0))
        before = after - 1
        share = -difference[before] / (difference[after] - difference[before])
        rate = float(self.fpr[before] + share * (self.fpr[after] - self.fpr[before]))
        closest = 1 + int(np.argmin(np.abs(difference[1:])))
        return rate, float(self.thresholds[closest])

    def tpr_at(self, max_fpr: float) -> float:
        """The largest TPR of a threshold whose FPR is at most `max_fpr`; no interpolation, so a threshold gives it."""
        return float(self.tpr[self.fpr <= max_fpr + 1e-12].max())

    def threshold_at(self, max_fpr: float) -> float:
        """The threshold that gives `tpr_at`, the highest of several; NaN where only calling nothing fake does."""
        allowed = self.fpr <= max_fpr + 1e-12
        threshold = float(self.thresholds[int(np.argmax(np.where(allowed, self.tpr, -1)))])
        return threshold if math.isfinite(threshold) else math.nan


def roc_curve(is_fake: BoolArray, p: FloatArray) -> RocCurve:
    """The ROC curve (Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006).

    scikit-learn's gives the same points but takes 2 ms for 120 files, nearly all for checks, against 0.1 ms here; a
    bootstrap calls it thousands of times.

    Raises:
        ValueError: One of the classes is missing.
    """
    if is_fake.all() or not is_fake.any():
        raise ValueError("a ROC curve needs both classes")
    order = np.argsort(-p, kind="stable")
    called, truth = p[order], is_fake[order]
    last = np.append(np.flatnonzero(np.diff(called)), called.size - 1)  # of the files with the same p
    fakes = np.cumsum(truth)[last]
    reals = 1 + last - fakes
    return RocCurve(
        np.append(0.0, reals / reals[-1]), np.append(0.0, fakes / fakes[-1]), np.append(np.inf, called[last])
    )


_RANKING = (
    "auc", "average_precision", "eer", "eer_threshold", "tpr_at_1pct_fpr", "threshold_at_1pct_fpr", "tpr_at_5pct_fpr",
    "threshold_at_5pct_fpr",
)  # fmt: skip


def ranking_metrics(is_fake: BoolArray, p: FloatArray) -> dict[str, float]:
    """AUC, average precision, EER, TPR at two FPRs, and thresholds by name; all NaN where a class is missing."""
    if is_fake.all() or not is_fake.any():
        return dict.fromkeys(_RANKING, math.nan)
    curve = roc_curve(is_fake, p)
    eer, threshold = curve.equal_error
    return {
        "auc": curve.auc,
        "average_precision": average_precision(curve, float(is_fake.mean())),
        "eer": eer,
        "eer_threshold": threshold,
        "tpr_at_1pct_fpr": curve.tpr_at(0.01),
        "threshold_at_1pct_fpr": curve.threshold_at(0.01),
        "tpr_at_5pct_fpr": curve.tpr_at(0.05),
        "threshold_at_5pct_fpr": curve.threshold_at(0.05),
    }


def average_precision(curve: RocCurve, fake_share: float) -> float:
    """Mean precision over the fakes in the order of their scores: sum of (R_n - R_{n-1}) P_n, without interpolation.

    Zhu, "Recall, precision and average precision", University of Waterloo 2004; as scikit-learn's, which is slower (see
    `roc_curve`).

    Args:
        curve: Its points.
        fake_share: Share of fakes among the files, 0-1: average precision depends on it.
    """
    right, wrong = curve.tpr[1:] * fake_share, curve.fpr[1:] * (1 - fake_share)
    return float(np.sum(np.diff(curve.tpr) * right / (right + wrong)))


def positive_predictive_value(tpr: float, fpr: float, prevalence: float) -> float:
    """Share of the files called fake that are fake, where this share of all files is fake: Bayes' theorem.

    NaN where nothing is called fake.
    """
    right, wrong = tpr * prevalence, fpr * (1 - prevalence)
    return right / (right + wrong) if right + wrong else math.nan


@dataclass(frozen=True)
class ConfusionMatrix:
    """Files by truth and by decision at a threshold."""

    __pydantic_config__ = IN_RESULTS

    threshold: float
    real_called_real: int
    real_called_fake: int
    fake_called_real: int
    fake_called_fake: int


def confusion_matrix(is_fake: BoolArray, p: FloatArray, threshold: float = DECISION_THRESHOLD) -> ConfusionMatrix:
    """Counts of the four outcomes."""
    called = p >= threshold
    return ConfusionMatrix(
        threshold,
        real_called_real=int(np.sum(~is_fake & ~called)),
        real_called_fake=int(np.sum(~is_fake & called)),
        fake_called_real=int(np.sum(is_fake & ~called)),
        fake_called_fake=int(np.sum(is_fake & called)),
    )


def decision_metrics(is_fake: BoolArray, p: FloatArray) -> dict[str, float]:
    """Accuracy at 0.5, and the shares of real files called fake and of fake files called real."""
    wrong = (p >= DECISION_THRESHOLD) != is_fake
    return {
        "accuracy": 1 - _mean(wrong),
        "false_positive_rate": _mean(wrong[~is_fake]),
        "false_negative_rate": _mean(wrong[is_fake]),
    }


@dataclass(frozen=True)
class CalibrationBin:
    """The scored files whose p lies in [low, high), the last bin including 1; each class counts half altogether."""

    __pydantic_config__ = IN_RESULTS

    low: float
    high: float
    files: int
    mean_p: float | None
    """None in an empty bin."""
    fraction_fake: float | None
    """None in an empty bin."""


def calibration_bins(is_fake: BoolArray, p: FloatArray, bins: int = CALIBRATION_BINS) -> tuple[CalibrationBin, ...]:
    """Bins of equal width over 0-1 (the reliability diagram of Niculescu-Mizil and Caruana, ICML 2005)."""
    index, weight = bin_index(p, bins), balanced(is_fake)
    made = []
    for number in range(bins):
        inside = index == number
        files = int(inside.sum())
        mean_p, fraction = (
            (float(np.average(of[inside], weights=weight[inside])) for of in (p, is_fake)) if files else (None, None)
        )
        made.append(CalibrationBin(number / bins, (number + 1) / bins, files, mean_p, fraction))
    return tuple(made)


def calibration_metrics(is_fake: BoolArray, p: FloatArray) -> dict[str, float]:
    """Expected calibration error over 15 bins, and the Brier score; both 0 at best, and with each class counting half.

    A probability holds for a share of fakes. Here that is 50%, as in `deepfake-calibrate`, whatever the files' own.
    ECE = sum over bins of (files in the bin / N) |fraction fake - mean p|, of the fake probability (Naeini, Cooper and
    Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015), not of the predicted
    class's confidence as Guo et al. (2017) have it. Brier = mean (p - is_fake)^2 (Brier, "Verification of forecasts
    expressed in terms of probability", Monthly Weather Review 78, 1950).
    """
    if is_fake.all() or not is_fake.any():
        return {"ece": math.nan, "brier": math.nan}
    index, weight = bin_index(p, CALIBRATION_BINS), balanced(is_fake)
    gaps = np.bincount(index, weights=weight * (is_fake - p), minlength=CALIBRATION_BINS)
    return {
        "ece": float(np.abs(gaps).sum()),
        "brier": float(np.average((p - is_fake) ** 2, weights=weight)),
    }


def balanced(is_fake: BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """(N,) float64: the weights (1 by default), scaled so that those of each class have the sum 0.5."""
    weight = np.ones(is_fake.size) if weights is None else weights
    sums = np.bincount(is_fake.astype(np.intp), weights=weight, minlength=2)
    return np.asarray(weight / sums[is_fake.astype(np.intp)] / 2, dtype=np.float64)


def score_metrics(is_fake: BoolArray, p: FloatArray) -> dict[str, float]:
    """Everything that follows from labels and probabilities alone, by name."""
    return {**ranking_metrics(is_fake, p), **decision_metrics(is_fake, p), **calibration_metrics(is_fake, p)}


def latency_metrics(latency_s: FloatArray) -> Mapping[str, float]:
    """Percentiles by name (p50_s, ...), linear between order statistics; NaN where there is no value."""
    if not latency_s.size:
        return {f"p{q}_s": math.nan for q in LATENCY_PERCENTILES}
    values = np.percentile(latency_s, LATENCY_PERCENTILES)
    return {f"p{q}_s": float(value) for q, value in zip(LATENCY_PERCENTILES, values, strict=True)}


def bin_index(p: FloatArray, bins: int) -> NDArray[np.intp]:
    """(N,) the number of the bin of each p."""
    return np.minimum((p * bins).astype(np.intp), bins - 1)


def _mean(values: BoolArray) -> float:
    return float(values.mean()) if values.size else math.nan
