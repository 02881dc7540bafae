"""What a calibration fits: a scale of the log odds, and verdict bands that keep both error rates within budgets.

Platt, "Probabilistic outputs for support vector machines" (1999), fits p = sigmoid(a x + b) to scores x. Here x are the
log odds of fake, and a is 1 over a temperature: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural
networks", ICML 2017, fit that alone. The bias b corrects a model that leans to one class. The loss is the binary one of
fake against real, also for a checkpoint with more classes, since the labels say no more. Its targets are Platt's:
(n + 1) / (n + 2) in place of 1, so that scores which the data set separates without an error keep a finite scale that
its size can support. Each class counts half, whatever its number of files: the probabilities are those for a picture
that is as often a fake as not, and their odds are likelihood ratios (prior-weighted logistic regression: Brümmer and du
Preez, Computer Speech and Language 20, 2006).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepfake_client.release import VerdictBands
from evaluation.statistics.metrics import BoolArray, FloatArray, balanced
from training.errors import CalibrationError

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature: beyond them the scaled head has little in common with the trained one."""

_STARTS = (0.2, 1.0, 5.0)
"""Temperatures that the fit starts from: with more than two classes the loss need not be convex."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Scale:
    """How logits are scaled.

    Attributes:
        temperature: What all logits are divided by.
        bias: What is then added to the logits of the fake classes, and so to the log odds of fake, in nats.
    """

    temperature: float = 1.0
    bias: float = 0.0

    @property
    def inverse(self) -> "Scale":
        """What gives the unscaled logits back."""
        return Scale(1 / self.temperature, -self.bias * self.temperature)


UNSCALED = Scale()


@dataclass(frozen=True)
class FittedScale:
    """A fitted scale.

    Attributes:
        scale: The scale.
        at_bound: Whether the best fit lies beyond `LOWEST` or `HIGHEST`.
        loss_before: Mean negative log-likelihood (nats) without it, each class counting half.
        loss_after: The same with it.
    """

    scale: Scale
    at_bound: bool
    loss_before: float
    loss_after: float


def fake_log_odds(logits: FloatArray, fake_indices: Sequence[int], scale: Scale = UNSCALED) -> FloatArray:
    """(N,) float64: log P(fake) / P(not fake) of (N, labels) scaled logits."""
    scaled = logits / scale.temperature
    fake = list(fake_indices)
    others = [i for i in range(logits.shape[1]) if i not in fake]
    odds = np.logaddexp.reduce(scaled[:, fake], axis=1) - np.logaddexp.reduce(scaled[:, others], axis=1)
    return np.asarray(odds + scale.bias, dtype=np.float64)


def fake_probability(logits: FloatArray, fake_indices: Sequence[int], scale: Scale = UNSCALED) -> FloatArray:
    """(N,) float64 within 0-1."""
    from scipy.special import expit

    return np.asarray(expit(fake_log_odds(logits, fake_indices, scale)), dtype=np.float64)


def fit_scale(
    logits: FloatArray, fake_indices: Sequence[int], is_fake: BoolArray, weights: FloatArray | None = None
) -> FittedScale:
    """Fits temperature and bias by maximum likelihood.

    Args:
        logits: (N, labels) float64, finite.
        fake_indices: The fake classes.
        is_fake: (N,) bool, the truth; both classes must be there.
        weights: (N,) float64 above 0; frames of a video share the weight of one file. All 1 by default.
    """
    from scipy.optimize import minimize

    counts = np.ones(len(logits)) if weights is None else weights
    target, weight = platt_targets(is_fake, counts), balanced(is_fake, counts)

    def scale_of(at: Sequence[float]) -> Scale:
        return Scale(float(np.exp(at[0])), float(at[1]))

    def loss(at: Sequence[float]) -> float:
        odds = fake_log_odds(logits, fake_indices, scale_of(at))
        # -t log s(x) - (1 - t) log(1 - s(x)) without overflow.
        return float(np.average(np.logaddexp(0.0, odds) - target * odds, weights=weight))

    low, high = math.log(LOWEST), math.log(HIGHEST)
    found = min(
        (
            minimize(
                loss, (math.log(start), 0.0), method="L-BFGS-B", bounds=((low, high), (None, None)),
                options={"ftol": 1e-15, "gtol": 1e-9},
            )
            for start in _STARTS
        ),
        key=lambda one: float(one.fun),
    )  # fmt: skip
    at_bound = bool(min(found.x[0] - low, high - found.x[0]) < 1e-3)
    return FittedScale(scale_of(found.x), at_bound, loss((0.0, 0.0)), float(found.fun))


def platt_targets(is_fake: BoolArray, weight: FloatArray) -> FloatArray:
    """(N,) float64: what fitted probabilities are to be, a little inside 0-1; see Platt above."""
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
