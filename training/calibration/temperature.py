"""Temperature scaling: logits are divided by one number, so that fake probabilities mean what they say.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017. The loss is the binary one of
fake against real, also for a checkpoint with more classes, since the labels say no more. Its targets are those of
Platt, "Probabilistic outputs for support vector machines" (1999): (n + 1) / (n + 2) in place of 1, so that scores
which the data set separates without an error keep a finite temperature that its size can support.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import CalibrationError

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature: beyond them the scaled head has little in common with the trained one."""

_GRID = 241


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
        is_fake: (N,) bool, the truth.
        weights: (N,) float64 above 0; frames of a video share the weight of one file. All 1 by default.

    Raises:
        CalibrationError: A class is missing.
    """
    from scipy.optimize import minimize_scalar

    if is_fake.all() or not is_fake.any():
        raise CalibrationError("calibration needs real and fake files, and one of the two is missing")
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
