"""What a calibration fits: a temperature, and verdict bands that keep both error rates within budgets.

Temperature scaling divides logits by one number, so that fake probabilities mean what they say: Guo, Pleiss, Sun and
Weinberger, "On calibration of modern neural networks", ICML 2017. The loss is the binary one of fake against real, also
for a checkpoint with more classes, since the labels say no more. Its targets are those of Platt, "Probabilistic outputs
for support vector machines" (1999): (n + 1) / (n + 2) in place of 1, so that scores which the data set separates
without an error keep a finite temperature that its size can support.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepfake_client.release import VerdictBands
from evaluation.statistics.metrics import BoolArray, FloatArray
from training.errors import CalibrationError

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature: beyond them the scaled head has little in common with the trained one."""

_GRID = 241
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: What logits are divided by.
        at_bound: Whether the best fit lies beyond `LOWEST` or `HIGHEST`.
        loss_before: Mean negative log-likelihood (nats) at 1.
        loss_after: The same at `value`.
    """

    value: float
    at_bound: bool
    loss_before: float
    loss_after: float


def fake_log_odds(logits: FloatArray, fake_indices: Sequence[int], temperature: float = 1.0) -> FloatArray:
    """(N,) float64: log P(fake) / P(not fake) of (N, labels) logits divided by the temperature."""
    scaled = logits / temperature
    fake = list(fake_indices)
    others = [i for i in range(logits.shape[1]) if i not in fake]
    odds = np.logaddexp.reduce(scaled[:, fake], axis=1) - np.logaddexp.reduce(scaled[:, others], axis=1)
    return np.asarray(odds, dtype=np.float64)


def fake_probability(logits: FloatArray, fake_indices: Sequence[int], temperature: float = 1.0) -> FloatArray:
    """(N,) float64 within 0-1."""
    from scipy.special import expit

    return np.asarray(expit(fake_log_odds(logits, fake_indices, temperature)), dtype=np.float64)


def fit_temperature(
    logits: FloatArray, fake_indices: Sequence[int], is_fake: BoolArray, weights: FloatArray | None = None
) -> Temperature:
    """Fits the temperature by maximum likelihood.

    Args:
        logits: (N, labels) float64, finite.
        fake_indices: The fake classes.
        is_fake: (N,) bool, the truth; both classes must be there.
        weights: (N,) float64 above 0; frames of a video share the weight of one file. All 1 by default.
    """
    from scipy.optimize import minimize_scalar

    weight = np.ones(len(logits)) if weights is None else weights
    target = _targets(is_fake, weight)

    def loss(log_temperature: float) -> float:
        odds = fake_log_odds(logits, fake_indices, float(np.exp(log_temperature)))
        # -t log s(x) - (1 - t) log(1 - s(x)) without overflow.
        each = np.logaddexp(0.0, odds) - target * odds
        return float(np.average(each, weights=weight))

    # With more than two classes the loss need not be convex: the best point of a grid, then refined.
    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), _GRID)
    best = int(np.argmin([loss(at) for at in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-7})
    at_bound = best in (0, _GRID - 1) and min(found.x - grid[0], grid[-1] - found.x) < 1e-3
    value = float(np.exp(grid[best] if at_bound else found.x))
    return Temperature(value, at_bound, loss(0.0), loss(float(np.log(value))))


def _targets(is_fake: BoolArray, weight: FloatArray) -> FloatArray:
    fakes, reals = float(weight[is_fake].sum()), float(weight[~is_fake].sum())
    return np.where(is_fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


@dataclass(frozen=True)
class Budget:
    """Error budgets: how often the bands may be wrong.

    Attributes:
        max_fpr: Share of real files that may be called fake, 0-1.
        max_fnr: Share of fakes that may be called real, 0-1.
    """

    max_fpr: float = 0.01
    max_fnr: float = 0.05

    def __post_init__(self) -> None:
        for name, value in (("false positives", self.max_fpr), ("false negatives", self.max_fnr)):
            if not 0 < value < 1:
                raise CalibrationError(f"the budget of {name} is a share above 0 and below 1, not {value:g}")

    @property
    def reals_needed(self) -> int:
        """With fewer real files a single wrong one is over the budget, so the rate cannot be shown."""
        return math.ceil(1 / self.max_fpr - _ROUNDING)

    @property
    def fakes_needed(self) -> int:
        """The same for fakes."""
        return math.ceil(1 / self.max_fnr - _ROUNDING)


@dataclass(frozen=True)
class Edges:
    """Bands, and whether the budgets overlapped.

    Attributes:
        bands: Fake above, real below, uncertain between.
        crossed: Whether the two budgets left an overlap, so that the edges changed places.
    """

    bands: VerdictBands
    crossed: bool


@dataclass(frozen=True)
class Rates:
    """What bands do to labelled scores: shares, 0-1.

    Attributes:
        fpr: Share of the real files called fake.
        fnr: Share of the fakes called real.
        tpr: Share of the fakes called fake.
        uncertain: Share of all files between the bands.
    """

    fpr: float
    fnr: float
    tpr: float
    uncertain: float


def set_edges(is_fake: BoolArray, p: FloatArray, budget: Budget, weights: FloatArray | None = None) -> Edges:
    """The widest bands within the budgets.

    `fake_above` is the smallest threshold that at most `max_fpr` of the real files exceed. `real_below` is the largest
    threshold that at most `max_fnr` of the fakes fall short of. Both are rounded outwards to 4 decimals. When a model
    tells the classes apart so well that the two cross, any threshold between them keeps both budgets. The two then
    change places: both error rates fall further, and scores that hardly any file has are called uncertain.

    Args:
        is_fake: (N,) bool, the truth; both classes must be there.
        p: (N,) float64 within 0-1.
        budget: What may be wrong.
        weights: (N,) float64 above 0; all 1 by default.
    """
    weight = np.ones(len(p)) if weights is None else weights
    above = _exceeded_by(p[~is_fake], weight[~is_fake], budget.max_fpr)
    below = -_exceeded_by(-p[is_fake], weight[is_fake], budget.max_fnr)
    fake_above, real_below = _rounded_up(above), 1 - _rounded_up(1 - below)
    crossed = real_below > fake_above
    if crossed:
        fake_above, real_below = real_below, fake_above
    return Edges(VerdictBands(real_below=round(real_below, 6), fake_above=round(fake_above, 6)), crossed)


def measure_rates(is_fake: BoolArray, p: FloatArray, bands: VerdictBands, weights: FloatArray | None = None) -> Rates:
    """What bands do, by the same comparisons as the client's verdict."""
    weight = np.ones(len(p)) if weights is None else weights
    fake, real = p > bands.fake_above, p < bands.real_below

    def share(chosen: BoolArray, among: BoolArray) -> float:
        whole = float(weight[among].sum())
        return float(weight[chosen & among].sum()) / whole if whole else math.nan

    return Rates(
        fpr=share(fake, ~is_fake),
        fnr=share(real, is_fake),
        tpr=share(fake, is_fake),
        uncertain=share(~fake & ~real, np.ones(len(p), dtype=np.bool_)),
    )


def upper_bound(rate: float, trials: float, confidence: float = 0.95) -> float:
    """One-sided upper bound of a rate seen in so many independent trials.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934. Without a single success in n trials it is about 3 / n.
    """
    from scipy.stats import beta

    successes = rate * trials
    return 1.0 if successes >= trials - _ROUNDING else float(beta.ppf(confidence, successes + 1, trials - successes))


def _exceeded_by(values: FloatArray, weight: FloatArray, share: float) -> float:
    """The smallest value that at most this share of the total weight exceeds."""
    distinct, where = np.unique(values, return_inverse=True)
    held = np.bincount(where, weights=weight, minlength=distinct.size)
    exceeding = held.sum() - np.cumsum(held)
    return float(distinct[int(np.argmax(exceeding <= share * held.sum() + _ROUNDING))])


def _rounded_up(value: float) -> float:
    """To 4 decimals, or to 6 where 4 would leave nothing above."""
    four = math.ceil(value * 1e4 - _ROUNDING) / 1e4
    return four if four < 1 else min(math.ceil(value * 1e6 - _ROUNDING) / 1e6, 1.0)
