"""How the log-odds of several models are weighed against each other: equally, or by stacking.

Stacking (Wolpert, Neural Networks 5, 1992) is logistic regression on the members' log-odds, by the same loss as the
scale's: see `fitting`. Its weights are kept at 0 or above, as Breiman, "Stacked regressions" (Machine Learning 24,
1996) found best, so that no member's suspicion ever speaks for a picture; a member that adds nothing gets 0.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.metrics import BoolArray, FloatArray, balanced
from training.calibration.fitting import platt_targets
from training.errors import CalibrationError

FusionRule = Literal["mean", "stacking"]
"""How several models are fused."""

FUSION_RULES: tuple[FusionRule, ...] = ("mean", "stacking")

FOLDS = 5

_LEAST = 1e-6


def fit_shares(rule: FusionRule, log_odds: FloatArray, is_fake: BoolArray, weights: FloatArray) -> tuple[float, ...]:
    """What each member counts, 1 altogether; how far their mean is to be trusted is for the scale to say.

    Args:
        rule: mean: all the same.
        log_odds: (N, M) float64, finite: the members' natural log-odds of fake.
        is_fake: (N,) bool, the truth; both classes must be there.
        weights: (N,) float64 above 0; the faces of a file share the weight of 1.

    Raises:
        CalibrationError: No member's log-odds rise with the fakes.
    """
    members = log_odds.shape[1]
    if rule == "mean":
        return (1 / members,) * members
    fitted = _fit_stacking(log_odds, is_fake, weights)
    if fitted.sum() < _LEAST:
        raise CalibrationError("stacking gives every model the weight 0: none tells fakes from real files")
    return tuple((fitted / fitted.sum()).tolist())


def _fit_stacking(log_odds: FloatArray, is_fake: BoolArray, weights: FloatArray) -> FloatArray:
    """(M,) weights of the logistic regression, 0 or above; its intercept is left to the scale."""
    from scipy.optimize import minimize
    from scipy.special import expit

    target, weight = platt_targets(is_fake, weights), balanced(is_fake, weights)
    members = log_odds.shape[1]
    columns = np.column_stack([log_odds, np.ones(len(log_odds))])

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        z = columns @ at
        value = float(weight @ (np.logaddexp(0.0, z) - target * z))
        return value, columns.T @ (weight * (expit(z) - target))

    found = minimize(
        loss, [*[1 / members] * members, 0.0], jac=True, method="L-BFGS-B",
        bounds=[*[(0, None)] * members, (None, None)], options={"ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    return np.asarray(found.x[:members], dtype=np.float64)


def folds_of(is_fake: Sequence[bool], groups: NDArray[np.intp], seed: int) -> NDArray[np.intp] | None:
    """(N,) the number of each file's fold, 0-4; None where a class is in one group alone.

    Groups stay together. Those with fakes, with both classes and with real files are dealt out one after the other, so
    each class is in two folds at least, and what is left beside any fold has both classes.

    Args:
        is_fake: Of each file.
        groups: (N,) intp from 0, equal for files of the same people.
        seed: Of the order.
    """
    count = int(groups.max()) + 1
    has_fake, has_real = (np.bincount(groups, np.equal(is_fake, fake), count) > 0 for fake in (True, False))
    if min(has_fake.sum(), has_real.sum()) < 2:
        return None
    order = np.random.default_rng(seed).permutation(count)
    dealt = order[np.argsort(has_real[order].astype(int) - has_fake[order], kind="stable")]
    fold = np.empty(count, dtype=np.intp)
    fold[dealt] = np.arange(count) % FOLDS
    return fold[groups]
